use std::{
    env, fs,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{ServerError, secret, unprivileged::RunAs};

/// Unix socket paths end at about 100 bytes, and the deepest one that we make is 30 bytes below the folder.
const LONGEST_PARENT: usize = 50;
const LOG_TAIL: u64 = 4_000;

/// Makes a server's folder, which only its user (and root) can enter: passwords are written into it.
pub(super) fn make(parent: Option<&Path>, engine: &str, run_as: RunAs) -> Result<PathBuf, ServerError> {
    let folder = parent.map_or_else(temporary, Path::to_path_buf).join(format!("tenantry-{engine}-{}", secret::tag()?));
    fs::DirBuilder::new().mode(0o700).create(&folder).map_err(ServerError::io(format!("make {}", folder.display())))?;
    write(&folder, "server.log", "")?;
    run_as.own(&folder.join("server.log"))?;
    for name in ["socket", "tmp"] {
        fs::create_dir(folder.join(name)).map_err(ServerError::io(format!("make the server's {name} folder")))?;
        run_as.own(&folder.join(name))?;
    }
    run_as.own(&folder)?;
    Ok(folder)
}

/// A file that the server's user may read, whatever our umask says; the folder keeps everybody else out.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> Result<(), ServerError> {
    let path = folder.join(name);
    fs::write(&path, text)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o644)))
        .map_err(ServerError::io(format!("write {}", path.display())))
}

/// The end of the server's log, for an error message. A log that cannot be read must not hide that error.
pub(super) fn log_tail(folder: &Path) -> String {
    read_tail(&folder.join("server.log")).unwrap_or_else(|error| format!("(no log: {error})"))
}

fn read_tail(path: &Path) -> std::io::Result<String> {
    let mut file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn temporary() -> PathBuf {
    let folder = env::temp_dir();
    if folder.as_os_str().len() > LONGEST_PARENT { PathBuf::from("/tmp") } else { folder }
}

/// One word for the shell, whatever it contains.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_reads_back_what_was_quoted() -> std::io::Result<()> {
        let word = "it's $HOME; `id` \\ \"x\" *";
        let script = format!("printf %s {}", quoted(word));
        let output = std::process::Command::new("/bin/sh").args(["-c", &script]).output()?;
        assert_eq!(String::from_utf8_lossy(&output.stdout), word);
        Ok(())
    }
}
