//! Scratch databases: made as a tenant's is, with a login that nobody can use, to compare with, and dropped again.
//!
//! Whoever makes one holds a lock on its name in a session that dies with them, as long as it is there. So one whose
//! lock is free has been left behind, whoever it was, and the next one who comes removes it.

use tenantry_migration::Run;

use super::mysql::MySqlScratch;
use super::postgres::PostgresScratch;
use super::sqlite::SqliteScratch;
use super::{AdminDb, DatabaseServer, Goal, NewTenant, ServerError, Verifier};
use crate::ident::Ident;

/// The name of a scratch database, held. [`Scratch::drop_database`] has to end it, however far it came.
pub(crate) struct Scratch<'s> {
    server: &'s DatabaseServer,
    new: NewTenant,
    session: Session<'s>,
}

enum Session<'s> {
    Postgres(PostgresScratch<'s>),
    MySql(MySqlScratch<'s>),
    Sqlite(SqliteScratch<'s>),
}

impl DatabaseServer {
    /// Takes the name for a scratch database, of which nothing is made yet, and removes what others have left behind:
    /// names that begin with `family`.
    pub(crate) async fn hold_scratch(&self, name: Ident, family: &Ident) -> Result<Scratch<'_>, ServerError> {
        let session = match self {
            Self::Postgres(server) => Session::Postgres(server.hold_scratch(&name, family).await?),
            Self::MySql(server) => Session::MySql(server.hold_scratch(&name, family).await?),
            Self::Sqlite(server) => Session::Sqlite(server.hold_scratch(&name, family).await?),
        };
        Ok(Scratch {
            server: self,
            new: NewTenant { role: name.clone(), name, verifier: Verifier::of_nothing() },
            session,
        })
    }
}

impl Scratch<'_> {
    /// Makes the database with everything that a tenant's of that version has, but rows.
    pub(crate) async fn make(&mut self, goal: Goal<'_>, run: &Run) -> Result<(), ServerError> {
        match &mut self.session {
            Session::Postgres(session) => Box::pin(session.make(&self.new, goal, run)).await,
            Session::MySql(session) => Box::pin(session.make(&self.new, goal, run)).await,
            Session::Sqlite(session) => Box::pin(session.make(&self.new, goal, run)).await,
        }
    }

    /// Its name, and its login role's.
    pub(crate) fn name(&self) -> &Ident {
        &self.new.name
    }

    pub(crate) async fn open(&self) -> Result<AdminDb, ServerError> {
        self.server.open(&self.new.name).await
    }

    /// Drops the database and its role, as far as they are there, and lets the name go.
    pub(crate) async fn drop_database(self) -> Result<(), ServerError> {
        match self.session {
            Session::Postgres(session) => session.drop_database(&self.new.name).await,
            Session::MySql(session) => session.drop_database(&self.new.name).await,
            Session::Sqlite(session) => session.drop_database(&self.new.name).await,
        }
    }
}

/// What is left behind is no reason not to go on.
pub(super) fn note_leftovers(swept: Result<(), ServerError>) {
    if let Err(error) = swept {
        tracing::warn!(error = &error as &dyn std::error::Error, "scratch databases were left behind, and stay so");
    }
}
