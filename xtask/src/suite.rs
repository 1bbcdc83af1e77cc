use std::{
    io::{BufRead as _, BufReader, Read},
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::{
    failure::{Failure, Outcome, doing},
    report::Report,
    run_folder::RunFolder,
    servers::Servers,
    step::{self, judged_step, step},
    tools::Tools,
    workspace::cargo,
};

/// How long the tests may say nothing. A bound for what hangs, no measure of speed.
const LONGEST_SILENCE: Duration = Duration::from_secs(900);
const NOT_ENDED: &str = "The tests hang and cannot be ended: see the error above.";

/// Runs the tests on real servers. The report is the last thing printed, and its last line is `N passed, N failed`.
pub(crate) fn run(tools: &Tools, filter: Option<&str>) -> Outcome {
    step("cargo build", build)?;
    let mut run = RunFolder::make()?;
    let servers = step("servers", || Servers::start(tools, run.path()))?;
    let tested = judged_step("cargo test", Report::is_good, || cargo_test(tools, filter, &servers, &mut run));
    let cleaned = step("clean up", || {
        // Both, whatever the first says.
        let stopped = servers.stop();
        run.close().and(stopped)
    });
    let mut report = tested?;
    if let Err(Failure::Message(message)) = cleaned {
        report.fail(message);
    }
    print!("\n{report}");
    if report.is_good() { Ok(()) } else { Err(Failure::Reported) }
}

/// Runs one benchmark on servers of its own.
pub(crate) fn bench(tools: &Tools, name: &str) -> Outcome {
    let run = RunFolder::make()?;
    let servers = step("servers", || Servers::start(tools, run.path()))?;
    let mut bench = cargo(&["bench", "--package", "tenantry-tests", "--all-features", "--bench", name]);
    bench.envs(servers.variables(tools)).env("TMPDIR", run.path());
    let measured = step::run(&mut bench, "The benchmark's own message is above.");
    let stopped = servers.stop();
    measured.and(run.close()).and(stopped)
}

/// The programs that tests run as processes. `cargo test` builds a program for tests of its own package alone. The tests
/// are built here too, of the same packages and targets, so that both take the same features and debug information of
/// every dependency and nothing is built twice.
fn build() -> Outcome {
    let words = ["build", "--workspace", "--all-features", "--lib", "--bins", "--tests"];
    step::run(&mut cargo(&words), "Fix the errors above.")
}

fn cargo_test(tools: &Tools, filter: Option<&str>, servers: &Servers, run: &mut RunFolder) -> Outcome<Report> {
    let mut tests = cargo(&["test", "--workspace", "--all-features", "--no-fail-fast"]);
    tests.args(filter).envs(servers.variables(tools)).env("TMPDIR", run.path());
    // A group of their own, so that the run's guardian can end cargo, rustc and the tests together.
    let mut tests =
        tests.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().map_err(doing("run cargo test"))?;
    run.guard(Some(tests.id()))?;
    let mut report = Report::default();
    if let Some(output) = tests.stdout.take() {
        read_all(output, tests.id(), LONGEST_SILENCE, &mut report)?;
    }
    let status = tests.wait().map_err(doing("wait for cargo test"))?;
    run.guard(None)?;
    report.finish(status.success());
    Ok(report)
}

/// Prints and counts what the tests of a process group say. Ends the group once it has said nothing for so long.
fn read_all(output: impl Read + Send + 'static, group: u32, silence: Duration, report: &mut Report) -> Outcome {
    let (lines, said) = mpsc::channel();
    thread::spawn(move || {
        // By bytes: a test may print what is no UTF-8.
        for line in BufReader::new(output).split(b'\n') {
            if lines.send(line).is_err() {
                break;
            }
        }
    });
    loop {
        match said.recv_timeout(silence) {
            Ok(line) => {
                let line = line.map_err(doing("read the output of cargo test"))?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                report.read(&line);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                report.fail(format!("nothing was said for {} s: the tests were ended", silence.as_secs()));
                return step::run(Command::new("kill").args(["-s", "KILL", "--", &format!("-{group}")]), NOT_ENDED);
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error, os::unix::process::ExitStatusExt as _};

    use super::*;

    #[test]
    fn tests_that_hang_are_ended_and_counted_as_failed() -> Result<(), Box<dyn Error>> {
        let mut tests = Command::new("sh");
        tests.args(["-c", "echo running 1 test && sleep 1000"]).process_group(0).stdout(Stdio::piped());
        let mut tests = tests.spawn()?;
        let output = tests.stdout.take().ok_or("no output")?;
        let mut report = Report::default();
        let read = read_all(output, tests.id(), Duration::from_secs(1), &mut report);
        assert_eq!(tests.wait()?.signal(), Some(9));
        assert!(read.is_ok() && !report.is_good());
        Ok(())
    }
}
