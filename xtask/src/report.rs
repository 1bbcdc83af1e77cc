//! Counts what libtest prints, per database engine.

use std::fmt;

/// What a test says in its path: a module (or function) named after the engine that it ran on.
const ENGINES: [&str; 4] = ["postgres", "postgres_18", "mariadb", "sqlite"];
const NO_ENGINE: &str = "no engine";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u32,
    failed: u32,
    ignored: u32,
}

impl Counts {
    fn all(self) -> u32 {
        self.passed + self.failed + self.ignored
    }

    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            passed: self.passed.saturating_sub(other.passed),
            failed: self.failed.saturating_sub(other.failed),
            ignored: self.ignored.saturating_sub(other.ignored),
        }
    }
}

/// The result of one `cargo test`. Feed it every line, then [`Report::finish`] it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    per_engine: [Counts; ENGINES.len()],
    no_engine: Counts,
    /// From the lines `running 12 tests`.
    announced: u32,
    /// From the lines `test result: …`: they are right even where a test printed into the line of another.
    summed: Counts,
    /// The tests that libtest says run for long, until they end.
    slow: Vec<String>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn read(&mut self, line: &str) {
        if let Some(count) = announcement(line) {
            self.announced += count;
        } else if let Some(counts) = summary(line) {
            self.summed = self.summed.plus(counts);
        } else if let Some(path) = slow(line) {
            self.slow.push(path.to_owned());
        } else if let Some((path, counts)) = result(line) {
            self.slow.retain(|slow| slow != path);
            let row = engine_of(path).map_or(&mut self.no_engine, |engine| &mut self.per_engine[engine]);
            *row = row.plus(counts);
            if counts.failed > 0 {
                self.notes.push(format!("failed: {path}"));
            }
        }
    }

    /// Settles what single lines did not say. `cargo_succeeded` is the last word: no report is better than cargo's.
    pub(crate) fn finish(&mut self, cargo_succeeded: bool) {
        let torn = self.summed.minus(self.total());
        if torn.all() > 0 {
            self.no_engine = self.no_engine.plus(torn);
            self.notes.push(format!(
                "results without a readable line of their own, counted as `{NO_ENGINE}`: {}",
                torn.all()
            ));
        }
        let silent = self.announced.saturating_sub(self.total().all());
        if silent > 0 {
            self.no_engine.failed += silent;
            self.notes.push(format!("tests that started and never reported, because their process died: {silent}"));
            self.notes.extend(self.slow.drain(..).map(|path| format!("never ended: {path}")));
        }
        let total = self.total();
        if !cargo_succeeded && total.failed == 0 {
            self.fail("cargo test failed without a failed test: see its error above");
        }
        if cargo_succeeded && total.all() == 0 {
            self.fail("no test ran: does the filter match anything?");
        }
        if total.ignored > 0 {
            self.notes.push("ignored tests count as failed: run them, or delete them".to_owned());
        }
    }

    /// Counts what went wrong outside of any test, so that the last line never looks good then.
    pub(crate) fn fail(&mut self, why: impl Into<String>) {
        self.no_engine.failed += 1;
        self.notes.push(why.into());
    }

    pub(crate) fn is_good(&self) -> bool {
        let total = self.total();
        total.failed + total.ignored == 0
    }

    fn total(&self) -> Counts {
        self.per_engine.iter().fold(self.no_engine, |sum, counts| sum.plus(*counts))
    }
}

/// A table, then `N passed, N failed`. Nothing comes after that.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        let engines = ENGINES.into_iter().zip(self.per_engine);
        let rows = engines.chain([(NO_ENGINE, self.no_engine), ("total", total)]);
        writeln!(f, "{:<11} {:>7} {:>7} {:>7}", "engine", "passed", "failed", "ignored")?;
        for (name, Counts { passed, failed, ignored }) in rows {
            writeln!(f, "{name:<11} {passed:>7} {failed:>7} {ignored:>7}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        writeln!(f, "{} passed, {} failed", total.passed, total.failed + total.ignored)
    }
}

/// `running 12 tests`
fn announcement(line: &str) -> Option<u32> {
    let rest = line.strip_prefix("running ")?;
    rest.strip_suffix(" tests").or_else(|| rest.strip_suffix(" test"))?.parse().ok()
}

/// `test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s`
fn summary(line: &str) -> Option<Counts> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |word: &str| numbers.split("; ").find_map(|part| part.strip_suffix(word)?.trim().parse().ok());
    Some(Counts { passed: number("passed")?, failed: number("failed")?, ignored: number("ignored")? })
}

/// `test some::path::name has been running for over 60 seconds`
fn slow(line: &str) -> Option<&str> {
    Some(line.strip_prefix("test ")?.split_once(" has been running for over ")?.0)
}

/// `test some::path::name ... ok`, and the path.
fn result(line: &str) -> Option<(&str, Counts)> {
    let (path, word) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let counts = match word.split([' ', ',']).next()? {
        "ok" => Counts { passed: 1, ..Counts::default() },
        "FAILED" => Counts { failed: 1, ..Counts::default() },
        "ignored" => Counts { ignored: 1, ..Counts::default() },
        _ => return None,
    };
    Some((path, counts))
}

/// Doc tests say `shared/tenancy/src/handle.rs - handle::postgres (line 12) - compile fail`: their path is the second
/// part.
fn engine_of(path: &str) -> Option<usize> {
    let path = path.split(" - ").find(|part| !part.contains(".rs")).unwrap_or_default();
    let path = path.split(" (line").next()?;
    path.split("::").find_map(|segment| ENGINES.iter().position(|engine| *engine == segment))
}

#[cfg(test)]
mod tests;
