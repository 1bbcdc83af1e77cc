use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    ServerError, ServerOptions, SmallDisk, folder,
    guardian::{self, Guardian, Order, Signals},
    leftovers, port,
    unprivileged::RunAs,
};

const READY_WITHIN: Duration = Duration::from_secs(60);
const BETWEEN_LOGINS: Duration = Duration::from_millis(50);
/// How often another process may take our port between choosing it and binding it.
const PORT_TRIES: u32 = 5;

/// What one engine must say so that a [`ServerProcess`] can run it.
pub(super) trait Engine {
    /// For people, and for the folder's name.
    const NAME: &'static str;
    const SHORT_NAME: &'static str;
    /// Whom to run as when we are root, best first.
    const USERS: &'static [&'static str];
    const SIGNALS: Signals;

    /// Writes what [`Engine::init_script`] needs into the folder.
    fn write_files(&self, folder: &Path) -> Result<(), ServerError>;
    /// Makes the data folder. A shell script.
    fn init_script(&self, folder: &Path) -> String;
    /// Program and arguments of the server.
    fn server_words(&self, folder: &Path, port: u16, options: &ServerOptions) -> Vec<String>;
    /// A client that logs in over TCP with a password only this server knows, so that another server on the port is
    /// not taken for ours. It runs the SQL that it gets on its standard input.
    fn client(&self, port: u16) -> Command;
}

/// One server of any engine: its guardian, its folder, its port.
#[derive(Debug)]
pub(super) struct ServerProcess<E: Engine> {
    pub(super) engine: E,
    folder: PathBuf,
    port: u16,
    guardian: Guardian,
    options: ServerOptions,
}

impl<E: Engine> ServerProcess<E> {
    /// Initialises a data folder and starts the server on a free port.
    pub(super) fn start(engine: E, options: ServerOptions) -> Result<Self, ServerError> {
        let run_as = RunAs::first_of(E::USERS)?;
        let parent = options.disk.as_deref().map(SmallDisk::path).or(options.parent_folder.as_deref());
        let folder = folder::make(parent, E::SHORT_NAME, run_as)?;
        let guardian = Guardian::spawn(&folder, options.disk.as_deref(), run_as, E::SIGNALS).inspect_err(|_| {
            // Without a guardian nobody else would.
            let _ = fs::remove_dir_all(&folder);
        })?;
        // From here on `Drop` cleans up.
        let mut server = Self { engine, folder, port: 0, guardian, options };
        server.engine.write_files(&server.folder)?;
        folder::write(&server.folder, "init.sh", &server.engine.init_script(&server.folder))?;
        if !server.order(Order::Init)? {
            return Err(ServerError::Exited { server: E::NAME, log: folder::log_tail(&server.folder) });
        }
        server.start_on_a_free_port()?;
        Ok(server)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server's process, while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        let pid = fs::read_to_string(self.folder.join("pid")).ok()?.trim().parse().ok()?;
        (!self.has_exited()).then_some(pid)
    }

    pub(super) fn stop_keeping_data(&mut self) -> Result<(), ServerError> {
        self.end(Order::Stop)
    }

    pub(super) fn crash(&mut self) -> Result<(), ServerError> {
        self.end(Order::Crash)
    }

    /// Same folder, same port, same passwords.
    pub(super) fn restart(&mut self) -> Result<(), ServerError> {
        self.end(Order::Stop)?;
        self.launch()
    }

    /// Runs SQL as the superuser. The SQL goes by a pipe, so that its passwords show in no process list.
    pub(super) fn run_sql(&self, sql: &str) -> Result<(), ServerError> {
        use std::io::Write as _;
        let mut client = self.engine.client(self.port);
        let doing = || ServerError::io(format!("run the client of {}", E::NAME));
        let mut child =
            client.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(doing())?;
        if let Some(mut input) = child.stdin.take() {
            // A client that ended early says why on its standard error, which is read below.
            let _ = input.write_all(sql.as_bytes());
        }
        let output = child.wait_with_output().map_err(doing())?;
        if output.status.success() {
            return Ok(());
        }
        let output = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(ServerError::Program { program: "the SQL client", output })
    }

    pub(super) fn shut_down(&mut self) -> Result<(), ServerError> {
        let pid = self.pid();
        self.guardian.dismiss();
        if self.folder.exists() {
            self.clean_up_after_a_lost_guardian(pid);
        }
        if self.folder.exists() || !leftovers::processes_of(&self.folder).is_empty() {
            return Err(self.left_behind());
        }
        Ok(())
    }

    fn start_on_a_free_port(&mut self) -> Result<(), ServerError> {
        for _ in 0..PORT_TRIES {
            self.port = port::free()?;
            match self.launch() {
                Err(ServerError::Exited { log, .. }) if log.contains("Address already in use") => {}
                outcome => return outcome,
            }
        }
        Err(ServerError::NoFreePort { tried: PORT_TRIES })
    }

    fn launch(&mut self) -> Result<(), ServerError> {
        let words = self.engine.server_words(&self.folder, self.port, &self.options);
        let words: Vec<String> = words.iter().map(|word| folder::quoted(word)).collect();
        let pid_file = folder::quoted(&self.folder.join("pid").to_string_lossy());
        folder::write(&self.folder, "start.sh", &format!("echo $$ >{pid_file}\nexec {}\n", words.join(" ")))?;
        self.order(Order::Start)?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&self) -> Result<(), ServerError> {
        let started = Instant::now();
        loop {
            let ready = self.run_sql("SELECT 1;").is_ok();
            let log = || folder::log_tail(&self.folder);
            if self.has_exited() {
                return Err(ServerError::Exited { server: E::NAME, log: log() });
            }
            if ready {
                return Ok(());
            }
            if started.elapsed() > READY_WITHIN {
                return Err(ServerError::NotReady { server: E::NAME, waited: READY_WITHIN, log: log() });
            }
            thread::sleep(BETWEEN_LOGINS);
        }
    }

    /// The guardian writes this file when the server ended.
    fn has_exited(&self) -> bool {
        self.folder.join("exit").exists()
    }

    fn order(&mut self, order: Order) -> Result<bool, ServerError> {
        self.guardian.order(order).ok_or(ServerError::GuardianGone { server: E::NAME })
    }

    fn end(&mut self, order: Order) -> Result<(), ServerError> {
        if self.order(order)? { Ok(()) } else { Err(self.left_behind()) }
    }

    fn left_behind(&self) -> ServerError {
        let processes = leftovers::processes_of(&self.folder);
        ServerError::LeftBehind { server: E::NAME, folder: self.folder.clone(), processes }
    }

    fn clean_up_after_a_lost_guardian(&self, pid: Option<u32>) {
        if let Some(pid) = pid {
            let _ = Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
            thread::sleep(Duration::from_secs(1));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl<E: Engine> Drop for ServerProcess<E> {
    fn drop(&mut self) {
        // `stop` reports this; a drop has nobody to report to.
        let _ = self.shut_down();
    }
}

/// A command that sees nothing of the environment of whoever runs the tests.
pub(super) fn clean_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    guardian::clean_environment(&mut command, Path::new("/nonexistent"));
    command
}
