use std::{
    io::Write as _,
    process::Command,
    time::{Duration, Instant},
};

use crate::failure::{Failure, Outcome, doing};

/// One part of a command: a heading, the work, and how long it took.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
    judged_step(name, |_| true, work)
}

/// A step whose result may be a bad one.
pub(crate) fn judged_step<T>(
    name: &str,
    is_good: impl FnOnce(&T) -> bool,
    work: impl FnOnce() -> Outcome<T>,
) -> Outcome<T> {
    println!("==> {name}");
    flush();
    let started = Instant::now();
    let outcome = work();
    let word = if outcome.as_ref().is_ok_and(is_good) { "ok" } else { "FAILED" };
    println!("    {name}: {word}, {}", seconds(started.elapsed()));
    flush();
    outcome
}

/// Runs a program that talks to the terminal itself.
pub(crate) fn run(command: &mut Command, advice: &str) -> Outcome {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(doing(format!("run {program}")))?;
    if status.success() { Ok(()) } else { Err(Failure::new(advice)) }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// Programs that we start write to the same terminal: ours first.
fn flush() {
    // A closed terminal is no reason to stop.
    let _ = std::io::stdout().flush();
}
