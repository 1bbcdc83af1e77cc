use std::{
    fs,
    io::{BufRead, BufReader, ErrorKind, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{
    ServerError,
    unprivileged::{RunAs, we_are_root},
};

/// A file system with room for a few mebibytes, in memory, which goes away with this.
///
/// It is mounted in a namespace of its own, so it needs no place among the system's mounts and leaves none. Its path
/// leads there through the process that holds the namespace, for that process's user and for root. Who makes paths
/// canonical finds it only from inside: see [`Self::enter`].
#[derive(Debug)]
pub struct SmallDisk {
    holder: Child,
    run_as: RunAs,
    rootless: bool,
    path: PathBuf,
}

impl SmallDisk {
    /// Any folder does: who sees the mount sees nothing else there.
    const PLACE: &str = "/mnt";

    /// Of so many mebibytes, for programs that run as ourselves.
    pub fn mount(mebibytes: u32) -> Result<Self, ServerError> {
        Self::mount_for(mebibytes, RunAs::Ourselves)
    }

    /// Of so many mebibytes, for a server that runs as the first of `users` that exists.
    pub fn mount_for_users(mebibytes: u32, users: &[&str]) -> Result<Self, ServerError> {
        Self::mount_for(mebibytes, RunAs::first_of(users)?)
    }

    fn mount_for(mebibytes: u32, run_as: RunAs) -> Result<Self, ServerError> {
        let rootless = !we_are_root()?;
        let script = "mount -t tmpfs -o size=\"$1m\",mode=0777 tenantry \"$2\" && shift 2 && exec \"$@\"";
        let mut unshare = Command::new("unshare");
        unshare.arg("--mount");
        if rootless {
            unshare.arg("--map-root-user");
        }
        unshare.args(["sh", "-c", script, "sh", &mebibytes.to_string(), Self::PLACE]);
        // Says so as the user that it is by then. Ends with its standard input, which is ours.
        unshare.args(run_as.words()).args(["sh", "-c", "echo mounted && exec cat"]);
        // Ctrl-C on a terminal goes to the foreground process group: servers are stopped before their disk goes.
        unshare.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = unshare.spawn().map_err(ServerError::io("run unshare"))?;
        let mut said = String::new();
        if let Some(stdout) = holder.stdout.as_mut() {
            BufReader::new(stdout).read_line(&mut said).map_err(ServerError::io("read what unshare says"))?;
        }
        let path = PathBuf::from(format!("/proc/{}/root{}", holder.id(), Self::PLACE));
        let disk = Self { holder, run_as, rootless, path };
        if said != "mounted\n" {
            return Err(ServerError::io("mount a file system in memory")(ErrorKind::PermissionDenied.into()));
        }
        Ok(disk)
    }

    /// The same program, words and variables, to be run where the mount is, as the user that it is for.
    #[must_use]
    pub fn enter(&self, command: &Command) -> Command {
        let mut entering = Command::new("nsenter");
        entering.arg("--mount").arg(format!("--target={}", self.holder.id()));
        if self.rootless {
            entering.args(["--user", "--preserve-credentials"]);
        }
        entering.args(self.run_as.words()).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => entering.env(name, value),
                None => entering.env_remove(name),
            };
        }
        entering
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes until nothing more goes in.
    pub fn fill(&self) -> Result<(), ServerError> {
        let mut filler = fs::File::options()
            .create(true)
            .append(true)
            .open(self.filler())
            .map_err(ServerError::io("make what fills a disk"))?;
        // Down to the last byte.
        for size in [65_536, 4_096, 1] {
            let bytes = vec![0; size];
            loop {
                match filler.write(&bytes) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(ServerError::io("fill a disk")(error)),
                }
            }
        }
        Ok(())
    }

    /// Makes room again.
    pub fn free(&self) -> Result<(), ServerError> {
        fs::remove_file(self.filler()).map_err(ServerError::io("remove what filled a disk"))
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Both fail only where it has ended.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_full_and_has_room_again() -> Result<(), Box<dyn std::error::Error>> {
        let disk = SmallDisk::mount(1)?;
        let file = disk.path().join("another");
        disk.fill()?;
        let full = fs::write(&file, "x").unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        disk.free()?;
        fs::write(&file, "x")?;
        let path = disk.path().to_path_buf();
        drop(disk);
        assert!(!path.exists());
        Ok(())
    }
}
