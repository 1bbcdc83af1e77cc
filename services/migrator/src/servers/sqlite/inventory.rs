use std::collections::BTreeSet;

use super::{SUFFIXES, ServerError, SqliteServer};
use crate::ident::Ident;
use crate::servers::inventory::{FoundDatabase, Inventory};

/// A database's own file; the others come and go with its connections.
const DATABASE: &str = SUFFIXES[SUFFIXES.len() - 1];

impl SqliteServer {
    pub(crate) async fn inventory(&self) -> Result<Inventory, ServerError> {
        let mut inventory = Inventory::default();
        let mut files = match tokio::fs::read_dir(&self.folder).await {
            Ok(files) => files,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Inventory { is_nowhere: true, ..inventory });
            }
            Err(error) => return Err(ServerError::Unavailable(error.into())),
        };
        while let Some(file) = files.next_entry().await.map_err(ServerError::File)? {
            let file = file.file_name();
            if let Some(name) = file.to_str().and_then(|file| file.strip_suffix(DATABASE)) {
                inventory.databases.insert(name.to_owned(), FoundDatabase::default());
            }
        }
        Ok(inventory)
    }

    pub(crate) fn unheld(&self, names: &[Ident]) -> BTreeSet<String> {
        let held = self.scratches.names();
        names.iter().map(|name| name.as_str().to_owned()).filter(|name| !held.contains(name)).collect()
    }

    pub(crate) async fn drop_leftover(&self, name: &Ident) -> Result<bool, ServerError> {
        let _held = self.lock.lock().await;
        if self.unheld(std::slice::from_ref(name)).is_empty() {
            return Ok(false);
        }
        self.remove(name).await.map(|()| true)
    }
}
