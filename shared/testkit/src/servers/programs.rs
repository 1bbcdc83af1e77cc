use std::{
    cmp::Reverse,
    env, fs,
    path::{Path, PathBuf},
};

use super::{ServerError, install};

/// PostgreSQL's programs, all of one version: they come from one folder.
#[derive(Clone, Debug)]
pub struct PostgresPrograms {
    pub initdb: PathBuf,
    pub postgres: PathBuf,
    pub psql: PathBuf,
}

impl PostgresPrograms {
    /// Another version's server, from a folder with `bin`, and the client that is here.
    #[must_use]
    pub fn with_server_of(self, folder: &Path) -> Self {
        let program = |name: &str| folder.join("bin").join(name);
        Self { initdb: program("initdb"), postgres: program("postgres"), ..self }
    }

    /// Looks in `PATH`, then where distributions put the newest version.
    pub fn find() -> Result<Self, ServerError> {
        folders()
            .into_iter()
            .map(|folder| Self {
                initdb: folder.join("initdb"),
                postgres: folder.join("postgres"),
                psql: folder.join("psql"),
            })
            .find(|found| found.initdb.is_file() && found.postgres.is_file() && found.psql.is_file())
            .ok_or(ServerError::NotInstalled { server: "PostgreSQL", packages: install::POSTGRES_PACKAGES })
    }
}

/// MariaDB's programs. Distributions spread them over several folders.
#[derive(Clone, Debug)]
pub struct MariaDbPrograms {
    pub install_db: PathBuf,
    pub server: PathBuf,
    pub client: PathBuf,
}

impl MariaDbPrograms {
    /// Looks in `PATH`, then where distributions put servers.
    pub fn find() -> Result<Self, ServerError> {
        let folders = folders();
        let find = |name: &str| {
            folders
                .iter()
                .map(|folder| folder.join(name))
                .find(|path| path.is_file())
                .ok_or(ServerError::NotInstalled { server: "MariaDB", packages: install::MARIADB_PACKAGES })
        };
        Ok(Self { install_db: find("mariadb-install-db")?, server: find("mariadbd")?, client: find("mariadb")? })
    }
}

fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    folders.extend(newest_first(subfolders(Path::new("/usr/lib/postgresql"))).into_iter().map(|it| it.join("bin")));
    folders.extend(newest_first(subfolders(Path::new("/usr"))).into_iter().map(|it| it.join("bin")));
    let fixed = ["/usr/bin", "/usr/sbin", "/usr/libexec", "/usr/local/bin", "/usr/local/sbin", "/usr/local/pgsql/bin"];
    folders.extend(fixed.map(PathBuf::from));
    folders
}

fn subfolders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    entries.unwrap_or_default()
}

/// `9.6`, `15`, `pgsql-16`: by version, not by letter. Names without one are no version folders.
fn newest_first(folders: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = folders.into_iter().filter_map(|it| Some((major(&it)?, it))).collect();
    versions.sort_by_key(|(version, _)| Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

fn major(folder: &Path) -> Option<u32> {
    let name = folder.file_name()?.to_str()?;
    name.trim_start_matches("pgsql-").split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_by_number() {
        let folders = ["/p/9.6", "/p/15", "/p/pgsql-16", "/p/bin"].map(PathBuf::from).to_vec();
        assert_eq!(newest_first(folders), ["/p/pgsql-16", "/p/15", "/p/9.6"].map(PathBuf::from).to_vec());
    }
}
