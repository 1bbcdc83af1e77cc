use std::{
    env, fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use tenantry_testkit::servers::leftovers;

use crate::failure::{Failure, Outcome, doing};

/// The folder for temporary files of one run: of the servers, and of every test. It shows at the end who left what
/// behind; and it goes, with the tests, when we are killed (see `run_folder.sh`).
#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
    guardian: Child,
}

impl RunFolder {
    pub(crate) fn make() -> Outcome<Self> {
        let path = new_path();
        fs::create_dir(&path).map_err(doing(format!("make {}", path.display())))?;
        // As /tmp: the servers' users make folders in it.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).map_err(doing("open the run's folder"))?;
        let guardian = Command::new("/bin/sh")
            .args(["-c", include_str!("run_folder.sh"), "run"])
            .arg(&path)
            // Not in the terminal's foreground group: Ctrl-C must not end it.
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(doing("start the guardian of the run's folder"))?;
        Ok(Self { path, guardian })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Ends this process group if we are killed. `None` when it ended by itself.
    pub(crate) fn guard(&mut self, group: Option<u32>) -> Outcome {
        let line = group.map_or_else(String::new, |group| group.to_string());
        let orders = self.guardian.stdin.as_mut();
        let written = orders.map(|orders| writeln!(orders, "{line}")).transpose();
        written.map(drop).map_err(doing("reach the guardian of the run's folder"))
    }

    /// Says what the tests left, and removes it.
    pub(crate) fn close(mut self) -> Outcome {
        let entries = leftovers::entries_of(&self.path);
        // Before the guardian goes, which names the folder too.
        let guardian = self.guardian.id();
        let processes: Vec<u32> =
            leftovers::processes_of(&self.path).into_iter().filter(|pid| *pid != guardian).collect();
        self.let_go();
        if entries.is_empty() && processes.is_empty() && !self.path.exists() {
            println!("    nothing is left: no process, no folder");
            return Ok(());
        }
        let path = self.path.display();
        Err(Failure::new(format!("left behind in {path}: files {entries:?}, processes {processes:?}")))
    }

    fn let_go(&mut self) {
        drop(self.guardian.stdin.take());
        // Waiting can only fail if it was waited for already.
        let _ = self.guardian.wait();
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Unix socket paths end at about 100 bytes and servers make theirs in here: neither below `target`, nor below a long
/// TMPDIR. The time is for containers, which share /tmp and all have the same process ids.
fn new_path() -> PathBuf {
    let parent = Some(env::temp_dir()).filter(|folder| folder.as_os_str().len() < 20);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    let name = format!("tenantry-run-{}-{now:x}", std::process::id());
    parent.unwrap_or_else(|| PathBuf::from("/tmp")).join(name)
}
