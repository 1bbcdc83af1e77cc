use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use super::ServerError;

/// Whom a server runs as: a system user if we are root, else ourselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunAs {
    Ourselves,
    User { uid: u32, gid: u32 },
}

impl RunAs {
    /// The first of these users that exists, if we are root.
    pub(super) fn first_of(names: &[&str]) -> Result<Self, ServerError> {
        if !we_are_root()? {
            return Ok(Self::Ourselves);
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(ServerError::io("read /etc/passwd"))?;
        names
            .iter()
            .find_map(|name| look_up(&passwd, name))
            .ok_or_else(|| ServerError::NoUnprivilegedUser { wanted: names.join(", ") })
    }

    pub(super) fn own(self, path: &Path) -> Result<(), ServerError> {
        match self {
            Self::Ourselves => Ok(()),
            Self::User { uid, gid } => chown(path, Some(uid), Some(gid))
                .map_err(ServerError::io(format!("give {} to user {uid}", path.display()))),
        }
    }

    /// What a program's words come after, to run as this user where only root can start it.
    pub(super) fn words(self) -> Vec<String> {
        match self {
            Self::Ourselves => Vec::new(),
            Self::User { uid, gid } => {
                vec!["setpriv".into(), format!("--reuid={uid}"), format!("--regid={gid}"), "--clear-groups".into()]
            }
        }
    }

    pub(super) fn apply(self, command: &mut Command) {
        if let Self::User { uid, gid } = self {
            command.uid(uid).gid(gid);
        }
    }
}

/// The owner of a new process's entry in /proc would be Linux only; the owner of a file that we make is everywhere.
pub(super) fn we_are_root() -> Result<bool, ServerError> {
    let probe = std::env::temp_dir().join(format!("tenantry-uid-{}-{}", std::process::id(), super::secret::tag()?));
    let doing = || format!("make {}", probe.display());
    fs::File::create_new(&probe).map_err(ServerError::io(doing()))?;
    let owner = fs::metadata(&probe).map(|meta| meta.uid());
    let removed = fs::remove_file(&probe);
    let owner = owner.map_err(ServerError::io(doing()))?;
    removed.map_err(ServerError::io(format!("remove {}", probe.display())))?;
    Ok(owner == 0)
}

/// `name:password:uid:gid:…`. A root by another name is not an unprivileged user.
fn look_up(passwd: &str, name: &str) -> Option<RunAs> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok().filter(|uid| *uid != 0)?;
        let gid = fields.next()?.parse().ok()?;
        Some(RunAs::User { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\n\
        postgres-backup:x:7:8::/:/bin/sh\n\
        broken\n\
        postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n\
        toor:x:0:0::/root:/bin/sh\n\
        odd:x:seven:8::/:/bin/sh\n";

    #[test]
    fn finds_the_whole_name_only() {
        assert_eq!(look_up(PASSWD, "postgres"), Some(RunAs::User { uid: 101, gid: 104 }));
        assert_eq!(look_up(PASSWD, "post"), None);
    }

    #[test]
    fn refuses_root_and_unreadable_lines() {
        assert_eq!(look_up(PASSWD, "toor"), None);
        assert_eq!(look_up(PASSWD, "odd"), None);
        assert_eq!(look_up(PASSWD, "broken"), None);
    }
}
