use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    process::Stdio,
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
        // By bytes: a test may print what is no UTF-8.
        for line in BufReader::new(output).split(b'\n') {
            let line = line.map_err(doing("read the output of cargo test"))?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            report.read(&line);
        }
    }
    let status = tests.wait().map_err(doing("wait for cargo test"))?;
    run.guard(None)?;
    report.finish(status.success());
    Ok(report)
}
