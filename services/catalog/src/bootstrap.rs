//! What the command line does without a server: `catalog bootstrap-operator` and `catalog import-signing-key`.

use std::path::{Path, PathBuf};

use tenantry_ids::SystemIds;
use tenantry_rpc::auth::{KeyAlgorithm, SigningKey};
use tenantry_rpc::{Clock, SystemClock};
use zeroize::Zeroizing;

use crate::app::keys::{KeySettings, Keyring, KeyringError};
use crate::app::operators::{self, BootstrapError};
use crate::secrets::{SealError, SealingConfig};
use crate::store::{CentralConfig, CentralDb, StoreError, schema};

/// A credential to be shown once.
pub struct Shown(String);

impl Shown {
    /// The credential.
    pub fn credential(&self) -> &str {
        &self.0
    }
}

/// Makes the first operator. The credential goes into `file`, which must not be
/// there yet and is made readable for its owner only, or is returned to be shown.
pub async fn bootstrap_operator(
    central: &CentralConfig,
    name: &str,
    file: Option<&Path>,
) -> Result<Option<Shown>, BootstrapError> {
    let db = CentralDb::open(central).await?;
    if !schema::is_new_enough(&db).await? {
        return Err(BootstrapError::SchemaTooOld);
    }
    let now = SystemClock.now();
    let shown = match file {
        Some(file) => {
            operators::bootstrap_to_file(&db, &SystemIds, name, file, now).await?;
            None
        }
        None => Some(Shown(operators::bootstrap(&db, &SystemIds, name, now).await?.expose().to_owned())),
    };
    db.close().await?;
    Ok(shown)
}

/// What `catalog import-signing-key` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct ImportKey {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub central: CentralConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub sealing: SealingConfig,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub keys: KeySettings,

    /// The private key, PKCS#8 in PEM ("openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048").
    #[arg(long)]
    pub key_file: PathBuf,

    /// What it signs with: RS256 or ES256.
    #[arg(long, default_value = "RS256")]
    pub algorithm: KeyAlgorithm,
}

/// A key that was not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The central database is not migrated.
    #[error("the central database is older than this catalog needs: run \"migrator migrate-central\" first")]
    SchemaTooOld,
    /// The central database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key-encryption key.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The file cannot be read.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It holds no key.
    #[error("{0} is no private key in PKCS#8 PEM; \"openssl pkcs8 -topk8 -nocrypt\" makes one of other forms")]
    Pem(PathBuf),
    /// The key cannot be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

/// What was imported.
pub struct Imported {
    /// The key's id.
    pub key_id: String,
    /// When it begins to sign.
    pub signs_from: String,
}

/// Takes a private key in: sealed, published, and the one that signs after the overlap.
pub async fn import_signing_key(import: ImportKey) -> Result<Imported, ImportError> {
    let path = import.key_file;
    let read = std::fs::read_to_string(&path).map(Zeroizing::new);
    let pem = read.map_err(|source| ImportError::File { path: path.clone(), source })?;
    let pkcs8 = SigningKey::der_of_pem(&pem).ok_or(ImportError::Pem(path))?;
    let db = CentralDb::open(&import.central).await?;
    if !schema::is_new_enough(&db).await? {
        return Err(ImportError::SchemaTooOld);
    }
    // How long tokens live does not matter here: nothing retires.
    let times = import.keys.times(std::time::Duration::ZERO);
    let keyring = Keyring::new(db.clone(), import.sealing.sealer()?, times);
    let row = keyring.import(import.algorithm, &pkcs8, &SystemIds, SystemClock.now()).await?;
    db.close().await?;
    Ok(Imported { key_id: row.id.to_string(), signs_from: row.not_before.to_rfc3339() })
}
