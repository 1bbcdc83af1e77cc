//! Installs a database server where it is missing, from the machine's own package manager, and starts no service.

use std::process::{Command, Stdio};

use super::{MariaDbPrograms, PostgresPrograms, ServerError, unprivileged};

pub(super) const POSTGRES_PACKAGES: &str =
    "`apt-get install postgresql` (Debian, Ubuntu) or `dnf install postgresql-server` (Fedora)";
pub(super) const MARIADB_PACKAGES: &str =
    "`apt-get install mariadb-server` (Debian, Ubuntu) or `dnf install mariadb-server` (Fedora)";

/// Finds PostgreSQL's programs, or installs them: as root, or with `sudo -n`.
pub fn ensure_postgres() -> Result<PostgresPrograms, ServerError> {
    PostgresPrograms::find().or_else(|missing| {
        install("postgresql", missing)?;
        PostgresPrograms::find()
    })
}

/// Finds MariaDB's programs, or installs them: as root, or with `sudo -n`.
pub fn ensure_mariadb() -> Result<MariaDbPrograms, ServerError> {
    MariaDbPrograms::find().or_else(|missing| {
        install("mariadb-server", missing)?;
        MariaDbPrograms::find()
    })
}

fn install(package: &str, missing: ServerError) -> Result<(), ServerError> {
    let script = include_str!("install.sh");
    let mut command = if unprivileged::we_are_root()? {
        Command::new("/bin/sh")
    } else if may_sudo() {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "/bin/sh"]);
        sudo
    } else {
        return Err(missing);
    };
    let output = command
        .args(["-c", script, "install", package])
        .stdin(Stdio::null())
        .output()
        .map_err(ServerError::io(format!("install {package}")))?;
    if output.status.success() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let start = text.floor_char_boundary(text.len().saturating_sub(2_000));
    Err(ServerError::Install { packages: package.to_owned(), output: text[start..].to_owned() })
}

fn may_sudo() -> bool {
    let mut probe = Command::new("sudo");
    probe.args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}
