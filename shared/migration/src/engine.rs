//! The three engines, closed.

use sea_orm::DbBackend;

/// SeaORM's `DbBackend` is non-exhaustive; ours is not, so that a new engine is a compile error everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Postgres,
    MariaDb,
    Sqlite,
}

impl Engine {
    pub(crate) const COUNT: usize = 3;

    pub(crate) fn of(backend: DbBackend) -> Self {
        match backend {
            DbBackend::Postgres => Self::Postgres,
            DbBackend::MySql => Self::MariaDb,
            _ => Self::Sqlite,
        }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }

    /// An identifier of ours in the engine's quotes; `set` is a reserved word in MySQL.
    pub(crate) fn quote(self, identifier: &str) -> String {
        match self {
            Self::MariaDb => format!("`{identifier}`"),
            Self::Postgres | Self::Sqlite => format!("\"{identifier}\""),
        }
    }
}
