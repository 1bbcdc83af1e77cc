//! Proof that nothing is left of a server: what `cargo xtask test` prints at its end, and what the tests assert.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Processes that work in this folder or name it on their command line. Sees them even when the folder is removed.
///
/// Reads `/proc`; where there is none (macOS) the list is empty.
#[must_use]
pub fn processes_of(folder: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .filter(|(pid, _)| *pid != std::process::id())
        .filter(|(_, process)| works_in(process, folder) || names(process, folder))
        .map(|(pid, _)| pid)
        .collect()
}

/// What is inside this folder, not looking into subfolders.
#[must_use]
pub fn entries_of(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

fn works_in(process: &Path, folder: &Path) -> bool {
    fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder) || deleted(folder) == cwd)
}

/// How Linux shows a working folder that is gone.
fn deleted(folder: &Path) -> PathBuf {
    PathBuf::from(format!("{} (deleted)", folder.display()))
}

fn names(process: &Path, folder: &Path) -> bool {
    let folder = folder.to_string_lossy();
    fs::read(process.join("cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(folder.as_ref()))
}
