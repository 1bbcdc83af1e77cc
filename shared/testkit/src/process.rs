//! Our programs as processes of their own, as an operator runs them. A process that a test lets go of, on whatever
//! way out, is killed and waited for.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, bail, ensure};

/// How long a process may take to say something. A bound for what hangs, no measure of speed.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to end, as long as it says something.
const LONGEST: Duration = Duration::from_secs(1_200);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The command that runs a program of this workspace, without any of our environment.
///
/// Cargo builds programs beside the tests of their own packages only; `cargo xtask test` builds them all.
pub fn program(name: &str) -> anyhow::Result<Command> {
    let test = std::env::current_exe()?;
    // The test is target/debug/deps/<test>, the program target/debug/<program>.
    let folder = test.parent().and_then(Path::parent).context("a test that is not below target")?;
    let path = folder.join(name);
    let built = fs::metadata(&path).and_then(|program| program.modified());
    let built = built.with_context(|| format!("{} is not built: run through `cargo xtask test`", path.display()))?;
    if let Some(changed) = newer_source(&path.with_extension("d"), built)? {
        let (path, changed) = (path.display(), changed.display());
        bail!("{path} is older than {changed}: run through `cargo xtask test`");
    }
    let mut command = Command::new(path);
    command.env_clear();
    Ok(command)
}

/// A file that the program was made from and that has changed since, by the list that cargo keeps beside it.
fn newer_source(list: &Path, built: SystemTime) -> anyhow::Result<Option<PathBuf>> {
    let text = fs::read_to_string(list).with_context(|| format!("reading {}", list.display()))?;
    let (_, sources) = text.split_once(": ").with_context(|| format!("{} is no list", list.display()))?;
    // As in a makefile: a blank in a name has a backslash before it.
    let sources = sources.trim_end().replace("\\ ", "\0");
    let mut sources = sources.split(' ').map(|path| PathBuf::from(path.replace('\0', " ")));
    Ok(sources.find(|source| changed_since(source, built)))
}

fn changed_since(path: &Path, built: SystemTime) -> bool {
    let changed = fs::metadata(path).and_then(|file| file.modified());
    // A source that is gone is a change too.
    changed.map_or(true, |changed| changed > built)
        || fs::read_dir(path).is_ok_and(|entries| entries.flatten().any(|entry| changed_since(&entry.path(), built)))
}

/// A process that runs.
pub struct Process {
    name: String,
    child: Child,
    stdout: Output,
    stderr: Output,
}

/// How a process ended, and all that it said.
#[derive(Debug)]
pub struct Ended {
    name: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Process {
    /// Starts it, with nothing on its standard input.
    pub fn start(mut command: Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
        let (stdout, stderr) = (Output::of(child.stdout.take()), Output::of(child.stderr.take()));
        Ok(Self { name, child, stdout, stderr })
    }

    /// Waits until `find` finds what it looks for in the standard output. That the process ends first is an error.
    pub async fn says<T>(&mut self, find: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let until = Instant::now() + PATIENCE;
        loop {
            let ended = self.child.try_wait()?.is_some();
            if ended {
                self.finish().await?;
            }
            if let Some(found) = find(&self.stdout.text()) {
                return Ok(found);
            }
            let state = if ended { "ended" } else { "hangs" };
            if ended || Instant::now() >= until {
                bail!("{} {state}, having said\n{}{}", self.name, self.stdout.text(), self.stderr.text());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by its name without SIG.
    pub fn signal(&self, name: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status()?;
        ensure!(sent.success(), "{} cannot be sent {name}", self.name);
        Ok(())
    }

    /// Waits for its end: longer for one that goes on saying something.
    pub async fn end(mut self) -> anyhow::Result<Ended> {
        let begun = Instant::now();
        let (mut silent_since, mut said) = (begun, 0);
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            let now_said = self.stdout.len() + self.stderr.len();
            if now_said != said {
                (silent_since, said) = (Instant::now(), now_said);
            }
            let ends = silent_since.elapsed() < PATIENCE && begun.elapsed() < LONGEST;
            let all = || format!("{}{}", self.stdout.text(), self.stderr.text());
            ensure!(ends, "{} does not end, having said\n{}", self.name, all());
            tokio::time::sleep(LOOK_EVERY).await;
        };
        self.finish().await?;
        let (stdout, stderr) = (self.stdout.text(), self.stderr.text());
        Ok(Ended { name: self.name.clone(), status, stdout, stderr })
    }

    /// Reads what is left of one that has ended.
    async fn finish(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !(self.stdout.is_read() && self.stderr.is_read()) {
            ensure!(Instant::now() < until, "{} has ended, and a child that it left holds its output", self.name);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// Sends it a signal, waits for its end and demands an exit with 0. Its standard output.
    pub async fn stop(self, signal: &str) -> anyhow::Result<String> {
        self.signal(signal)?;
        self.end().await?.success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only where it has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end.
pub async fn run(command: Command) -> anyhow::Result<Ended> {
    Process::start(command)?.end().await
}

impl Ended {
    /// The standard output of one that ended with 0.
    pub fn success(self) -> anyhow::Result<String> {
        ensure!(self.status.success(), "{}: {}\n{}{}", self.name, self.status, self.stdout, self.stderr);
        Ok(self.stdout)
    }

    /// The standard error of one that ended by itself with anything else.
    pub fn refusal(self) -> anyhow::Result<String> {
        let refused = self.status.code().is_some_and(|code| code != 0);
        ensure!(refused, "{}: {}, which is no refusal\n{}{}", self.name, self.status, self.stdout, self.stderr);
        Ok(self.stderr)
    }
}

/// A stream of a process, read as it comes, so that the process never waits for us.
struct Output {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Output {
    fn of(stream: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let into = bytes.clone();
        let reader = stream.map(|mut stream| {
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    into.lock().unwrap_or_else(PoisonError::into_inner).extend(&buffer[..count]);
                }
            })
        });
        Self { bytes, reader }
    }

    fn len(&self) -> usize {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Whether nothing more comes. A reader that panicked has read what it could.
    fn is_read(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn what_was_said_and_how_it_ended_come_back() -> anyhow::Result<()> {
        let ended = run(shell("echo one; echo two >&2; exit 3")).await?;
        assert_eq!((ended.status.code(), ended.stdout.as_str()), (Some(3), "one\n"));
        assert_eq!(ended.refusal()?, "two\n");
        assert!(run(shell("kill -s KILL $$")).await?.refusal().is_err(), "a signal is no refusal");
        Ok(())
    }

    #[tokio::test]
    async fn a_line_is_waited_for_and_an_early_end_is_told() -> anyhow::Result<()> {
        let number = |text: &str| text.lines().find_map(|line| line.strip_prefix("at ")?.parse::<u16>().ok());
        let mut process = Process::start(shell("echo at 17; exec sleep 100"))?;
        assert_eq!(process.says(number).await?, 17);
        process.signal("TERM")?;
        assert!(process.end().await?.success().is_err());

        let error = Process::start(shell("echo why >&2; exit 1"))?.says(number).await.map(drop);
        assert!(error.is_err_and(|error| error.to_string().contains("ended")));
        Ok(())
    }

    #[tokio::test]
    async fn a_process_that_is_let_go_of_is_ended() -> anyhow::Result<()> {
        let process = Process::start(shell("exec sleep 100"))?;
        let pid = process.child.id().to_string();
        drop(process);
        assert!(!Command::new("kill").args(["-0", &pid]).stderr(Stdio::null()).status()?.success());
        Ok(())
    }

    #[test]
    fn a_source_that_changed_or_is_gone_is_found() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let (source, list) = (folder.path().join("a b.rs"), folder.path().join("program.d"));
        fs::write(&source, "")?;
        fs::write(&list, format!("program: {}\n", source.display().to_string().replace(' ', "\\ ")))?;
        let written = fs::metadata(&source)?.modified()?;
        assert_eq!(newer_source(&list, written)?, None);
        assert_eq!(newer_source(&list, written - Duration::from_secs(1))?, Some(source.clone()));
        fs::remove_file(&source)?;
        assert_eq!(newer_source(&list, written)?, Some(source));
        Ok(())
    }
}
