//! `cargo xtask`: the checks and tests of this workspace, with every tool and server that they need.
//!
//! Nothing has to be installed first but Rust, npm and Python. Database servers come from the machine's package manager
//! if they are missing; everything else lives below `target/tools`.

mod checks;
mod failure;
mod report;
mod run_folder;
mod servers;
mod step;
mod suite;
mod tools;
mod workspace;

use std::{env, process::ExitCode};

use failure::{Failure, Outcome};

const HELP: &str = "\
cargo xtask test                  every check and every test; ends with `N passed, N failed`
cargo xtask test --only <filter>  only the tests whose path contains <filter>, without the checks
cargo xtask lint                  only the checks: format, protos, images and manifests, lock file, clippy
cargo xtask servers               start PostgreSQL and MariaDB, print the variables that tests read, stop on Enter
cargo xtask bench <name>          a benchmark of tests/benches on a PostgreSQL of its own
cargo xtask baseline              write proto/baseline.binpb, which later changes of the protos are checked against
cargo xtask help                  this text";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(words: &[&str]) -> Outcome {
    match words {
        ["test"] => {
            let tools = tools::ensure()?;
            checks::all(&tools)?;
            suite::run(&tools, None)
        }
        ["test", "--only", filter] => suite::run(&tools::ensure()?, Some(filter)),
        ["lint"] => checks::all(&tools::ensure()?),
        ["bench", name] => suite::bench(&tools::ensure()?, name),
        ["servers"] => servers::until_enter(&tools::ensure()?),
        ["baseline"] => checks::write_baseline(&tools::ensure()?),
        [] | ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => Err(Failure::new(format!("`{}` is no command here.\n\n{HELP}", words.join(" ")))),
    }
}
