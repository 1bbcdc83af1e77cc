//! A directory from a JSON file.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use secrecy::SecretString;
use serde::Deserialize;
use tenantry_ids::CompanyId;
use tokio::sync::RwLock;

use super::{Directory, ResolveError};
use crate::{Endpoint, InstalledPlugin, Limits, Placement, TenantState};

/// Answers from a JSON file, for small installations and tests.
///
/// The file is read again whenever its modification time or length changes. A
/// file that has become unreadable or wrong is reported in the log and the
/// last good one keeps answering: a slip of the editor stops no tenant.
///
/// It holds passwords, so keep it readable by the service's user only
/// (`chmod 600`). An example is `docs/tenants.example.json` in this crate:
///
/// ```json
#[doc = include_str!("../../docs/tenants.example.json")]
/// ```
///
/// Unknown fields are refused, and so are two entries for one tenant or for
/// one database: the second would hand a company another one's data.
#[derive(Debug)]
pub struct FileDirectory {
    path: PathBuf,
    loaded: RwLock<Loaded>,
}

#[derive(Debug)]
struct Loaded {
    stamp: Stamp,
    tenants: Arc<HashMap<CompanyId, Placement>>,
}

/// What says that the file is another one than we read.
type Stamp = (SystemTime, u64);

/// Why a directory file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileDirectoryError {
    /// The file cannot be read.
    #[error("cannot read the tenant directory {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not of the documented form.
    #[error("the tenant directory {path} is not of the documented form")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and on which line.
        source: serde_json::Error,
    },
    /// A tenant is listed more than once.
    #[error("the tenant directory lists tenant {0} more than once")]
    RepeatedTenant(CompanyId),
    /// Two tenants share a database.
    #[error("the tenant directory gives database {database} on server {server} to more than one tenant")]
    SharedDatabase {
        /// The server's name.
        server: String,
        /// The database's name or path.
        database: String,
    },
}

impl FileDirectory {
    /// Reads `path`, which must be there and valid at the start.
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, FileDirectoryError> {
        let path = path.into();
        let stamp = stamp(&path).await?;
        let tenants = Arc::new(read(&path).await?);
        Ok(Self { path, loaded: RwLock::new(Loaded { stamp, tenants }) })
    }

    /// The tenants as the file lists them now.
    async fn tenants(&self) -> Arc<HashMap<CompanyId, Placement>> {
        let current = match stamp(&self.path).await {
            Ok(current) => current,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "keeping the last good tenant directory");
                return Arc::clone(&self.loaded.read().await.tenants);
            }
        };
        {
            let loaded = self.loaded.read().await;
            if loaded.stamp == current {
                return Arc::clone(&loaded.tenants);
            }
        }
        let mut loaded = self.loaded.write().await;
        if loaded.stamp != current {
            // Remembered even when the file turns out wrong: it is reported
            // once per change, not once per request.
            loaded.stamp = current;
            match read(&self.path).await {
                Ok(tenants) => loaded.tenants = Arc::new(tenants),
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "keeping the last good tenant directory");
                }
            }
        }
        Arc::clone(&loaded.tenants)
    }
}

#[async_trait]
impl Directory for FileDirectory {
    async fn resolve(&self, tenant: CompanyId) -> Result<Placement, ResolveError> {
        self.tenants().await.get(&tenant).cloned().ok_or(ResolveError::NotFound)
    }
}

async fn stamp(path: &Path) -> Result<Stamp, FileDirectoryError> {
    let failed = |source| FileDirectoryError::Read { path: path.to_owned(), source };
    let metadata = tokio::fs::metadata(path).await.map_err(failed)?;
    Ok((metadata.modified().map_err(failed)?, metadata.len()))
}

async fn read(path: &Path) -> Result<HashMap<CompanyId, Placement>, FileDirectoryError> {
    let text =
        tokio::fs::read(path).await.map_err(|source| FileDirectoryError::Read { path: path.to_owned(), source })?;
    let file: File =
        serde_json::from_slice(&text).map_err(|source| FileDirectoryError::Parse { path: path.to_owned(), source })?;

    let mut tenants = HashMap::with_capacity(file.tenants.len());
    let mut databases = HashSet::with_capacity(file.tenants.len());
    for entry in file.tenants {
        let placement = Placement::from(entry);
        let database = match &placement.endpoint {
            Endpoint::Sqlite { path } => path.display().to_string(),
            Endpoint::Postgres { .. } | Endpoint::MySql { .. } => placement.database.clone(),
        };
        let server = placement.server.clone();
        if !databases.insert((server.clone(), database.clone())) {
            return Err(FileDirectoryError::SharedDatabase { server, database });
        }
        let tenant = placement.tenant;
        if tenants.insert(tenant, placement).is_some() {
            return Err(FileDirectoryError::RepeatedTenant(tenant));
        }
    }
    Ok(tenants)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tenants: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    tenant: CompanyId,
    #[serde(default = "active")]
    state: TenantState,
    #[serde(default)]
    access_epoch: u64,
    #[serde(default)]
    generation: u64,
    schema_version: String,
    server: String,
    database: String,
    endpoint: EndpointEntry,
    maintenance_retry_s: Option<u64>,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    plugins: Vec<PluginEntry>,
}

/// A plugin's name and the newest migration of its tables, which whoever has a range for them needs; or its name alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum PluginEntry {
    Named(String),
    At(InstalledPlugin),
}

#[derive(Deserialize)]
#[serde(tag = "engine", rename_all = "lowercase", deny_unknown_fields)]
enum EndpointEntry {
    Postgres { host: String, port: u16, user: String, password: SecretString },
    MySql { host: String, port: u16, user: String, password: SecretString },
    Sqlite { path: PathBuf },
}

fn active() -> TenantState {
    TenantState::Active
}

impl From<PluginEntry> for InstalledPlugin {
    fn from(entry: PluginEntry) -> Self {
        match entry {
            PluginEntry::Named(name) => Self { name, schema_version: String::new() },
            PluginEntry::At(plugin) => plugin,
        }
    }
}

impl From<Entry> for Placement {
    fn from(entry: Entry) -> Self {
        Self {
            tenant: entry.tenant,
            state: entry.state,
            access_epoch: entry.access_epoch,
            generation: entry.generation,
            schema_version: entry.schema_version,
            server: entry.server,
            database: entry.database,
            maintenance_retry: entry.maintenance_retry_s.map(Duration::from_secs),
            limits: entry.limits,
            plugins: entry.plugins.into_iter().map(InstalledPlugin::from).collect(),
            endpoint: match entry.endpoint {
                EndpointEntry::Postgres { host, port, user, password } => {
                    Endpoint::Postgres { host, port, user, password }
                }
                EndpointEntry::MySql { host, port, user, password } => Endpoint::MySql { host, port, user, password },
                EndpointEntry::Sqlite { path } => Endpoint::Sqlite { path },
            },
        }
    }
}
