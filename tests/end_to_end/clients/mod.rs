//! Stock clients, which know a server's address and nothing else: everything they say comes from reflection.

mod buf;
mod pasted;
pub(crate) mod python;

pub(crate) use python::tour;

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

/// A tool that the suite installs.
pub(crate) fn tool(variable: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os(variable);
    let path = path.with_context(|| format!("{variable} is not set: run through `cargo xtask test`"))?;
    Ok(path.into())
}

/// A command with nothing of our environment but the way to programs.
pub(crate) fn command(program: impl Into<PathBuf>) -> Command {
    let mut command = Command::new(program.into());
    command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
}
