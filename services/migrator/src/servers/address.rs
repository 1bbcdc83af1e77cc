//! Where a database server is, as an operator writes it.

use std::str::FromStr;

use secrecy::SecretString;

/// One database server as configured: `name=url`, with the credential in the url.
#[derive(Clone)]
pub struct ServerAddress {
    pub(super) name: String,
    pub(super) url: SecretString,
}

impl std::fmt::Debug for ServerAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerAddress").field("name", &self.name).finish_non_exhaustive()
    }
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, url) =
            text.split_once('=').ok_or("write it as name=postgres://admin:password@host:port/postgres")?;
        let known =
            ["postgres:", "postgresql:", "mysql:", "mariadb:", "sqlite:"].iter().any(|scheme| url.starts_with(scheme));
        if name.is_empty() || !known {
            return Err(format!("{name:?} needs a postgres:, mysql: or sqlite: url"));
        }
        Ok(Self { name: name.to_owned(), url: url.to_owned().into() })
    }
}
