//! `catalog bootstrap-operator`.

use std::path::Path;

use tenantry_ids::SystemIds;
use tenantry_rpc::{Clock, SystemClock};

use crate::app::operators::{self, BootstrapError};
use crate::store::{CentralConfig, CentralDb, schema};

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
