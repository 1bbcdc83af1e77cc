//! The folder that a standalone instance lives in.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SecureRandom;
use tenantry_rpc::auth::{IdentityError, ServiceKeyFiles, create_service_key};

/// A data folder that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Another instance runs on it.
    #[error("another instance is running on {0}; stop it, or choose another folder with --data")]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("cannot use {path}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A service's key cannot be made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The random generator gave nothing.
    #[error("the system's random generator failed")]
    Random,
}

/// A data folder, locked for this process. The lock goes with the value, and
/// with the process, however it ends.
pub struct DataFolder {
    path: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Makes the folder if it is not there, for its owner alone, and locks it.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::File { path: path.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        // One that was there may be open to others.
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path)),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The key files of a service, made at the first start.
    pub fn identity(&self, service: &str) -> Result<ServiceKeyFiles, FolderError> {
        let keys = self.join("keys");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&keys)
            .map_err(|source| FolderError::File { path: keys.clone(), source })?;
        let (key, trusted) = (keys.join(format!("{service}.pem")), keys.join("services.json"));
        if !key.exists() {
            create_service_key(service, &key, &trusted)?;
        }
        Ok(ServiceKeyFiles { service_key_file: Some(key), trusted_services_file: Some(trusted) })
    }

    /// The file with the key-encryption key, made at the first start.
    pub fn key_encryption_key(&self) -> Result<PathBuf, FolderError> {
        let path = self.join("key-encryption-key");
        if path.exists() {
            return Ok(path);
        }
        let mut key = [0; 32];
        ring::rand::SystemRandom::new().fill(&mut key).map_err(|_| FolderError::Random)?;
        let written = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path);
        written
            .and_then(|mut file| writeln!(file, "{}", STANDARD.encode(key)))
            .map_err(|source| FolderError::File { path: path.clone(), source })?;
        Ok(path)
    }
}
