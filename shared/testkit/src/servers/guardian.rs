use std::{
    env,
    fs::File,
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use super::{ServerError, SmallDisk, unprivileged::RunAs};

/// How an engine is told to end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signals {
    /// Ends sessions and writes everything.
    pub(super) stop: &'static str,
    /// Ends at once, as a crash would.
    pub(super) crash: &'static str,
}

/// What `guardian.sh` understands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    Init,
    Start,
    Stop,
    Crash,
}

/// The process that holds a server and its folder, and survives us just long enough to clean up. See `guardian.sh`.
#[derive(Debug)]
pub(super) struct Guardian {
    child: Child,
    /// The pipe whose end tells the guardian that we are gone. Rust opens it close-on-exec, so no other child of ours
    /// can hold it open.
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Guardian {
    pub(super) fn spawn(
        folder: &Path,
        disk: Option<&SmallDisk>,
        run_as: RunAs,
        signals: Signals,
    ) -> Result<Self, ServerError> {
        let log = File::options()
            .append(true)
            .create(true)
            .open(folder.join("server.log"))
            .map_err(ServerError::io("make the server's log"))?;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", include_str!("guardian.sh"), "guardian"]).arg(folder).args([signals.stop, signals.crash]);
        match disk {
            Some(disk) => command = disk.enter(&command),
            None => run_as.apply(&mut command),
        }
        // Ctrl-C on a terminal goes to the foreground process group: the guardian must not be in it.
        command.process_group(0).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        clean_environment(&mut command, folder);
        // A starting MariaDB removes temporary tables that it finds, another server's too: never share this folder.
        command.env("TMPDIR", folder.join("tmp"));
        let mut child = command.spawn().map_err(ServerError::io("start the server's guardian"))?;
        let orders = child.stdin.take();
        let answers = child.stdout.take().ok_or(ServerError::GuardianGone { server: "a new server" })?;
        Ok(Self { child, orders, answers: BufReader::new(answers) })
    }

    /// Gives an order, waits until it is carried out. `None` means that the guardian is gone.
    pub(super) fn order(&mut self, order: Order) -> Option<bool> {
        let word = match order {
            Order::Init => "init\n",
            Order::Start => "start\n",
            Order::Stop => "stop\n",
            Order::Crash => "crash\n",
        };
        self.orders.as_mut()?.write_all(word.as_bytes()).ok()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).ok().filter(|length| *length > 0)?;
        Some(answer.trim() == "0")
    }

    /// Lets go: the guardian stops the server, removes the folder and ends.
    pub(super) fn dismiss(&mut self) {
        self.orders = None;
        // Waiting can only fail if it was waited for already.
        let _ = self.child.wait();
    }
}

/// Settings of the person who runs the tests (`PGHOST`, `~/.my.cnf`, a locale) must not reach the servers.
pub(super) fn clean_environment(command: &mut Command, home: &Path) {
    command.env_clear().env("HOME", home).env("LC_ALL", "C").env("TZ", "UTC");
    if let Some(path) = env::var_os("PATH") {
        command.env("PATH", path);
    }
}
