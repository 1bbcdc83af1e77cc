//! What one call still has to do, and one migration in one direction.

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{IntoSchemaManagerConnection, SchemaManager};

use crate::{
    apply::Run,
    engine::Engine,
    error::{Direction, Limit, MigrationError},
    ledger,
    rollback::Rollback,
    set::{Kind, Migration, MigrationSet},
    status::Status,
};

/// Asked again after every transaction, since the ledger may have moved in between.
pub(crate) enum Goal<'a> {
    Up {
        target: Option<&'a str>,
    },
    /// `chosen` is fixed at the first look: "the last two" must not become the next two.
    Down {
        to: Rollback<'a>,
        chosen: Option<Vec<String>>,
    },
}

impl Goal<'_> {
    /// The steps of these versions, whatever a ledger says.
    pub(crate) fn up_by<'s>(
        set: &'s MigrationSet,
        backend: DbBackend,
        versions: &[&str],
    ) -> Result<Vec<Step<'s>>, MigrationError> {
        let recordings = set.recordings(backend)?;
        let positions = versions.iter().filter_map(|version| set.position(version));
        let step = |at: usize| Step {
            migration: &set.migrations()[at],
            direction: Direction::Up,
            statements: &recordings[at].up,
            checksum: &recordings[at].checksum,
        };
        Ok(positions.map(step).collect())
    }

    /// In the order in which they have to run.
    pub(crate) fn remaining<'s>(
        &mut self,
        set: &'s MigrationSet,
        backend: DbBackend,
        status: &Status,
    ) -> Result<Vec<Step<'s>>, MigrationError> {
        status.refuse_conflicts()?;
        let recordings = set.recordings(backend)?;
        let (positions, direction) = match self {
            Self::Up { target } => (set.pending(status, *target)?, Direction::Up),
            Self::Down { to, chosen } => {
                let chosen = match chosen {
                    Some(chosen) => chosen,
                    None => chosen.insert(to.choose(set, status)?),
                };
                let left = status.applied.iter().rev().filter(|entry| chosen.contains(&entry.version));
                (left.filter_map(|entry| set.position(&entry.version)).collect(), Direction::Down)
            }
        };
        let steps = positions.into_iter().map(|at| {
            let recording = &recordings[at];
            let statements = match direction {
                Direction::Up => recording.up.as_slice(),
                Direction::Down => recording.down.as_slice(),
            };
            Step { migration: &set.migrations()[at], direction, statements, checksum: &recording.checksum }
        });
        Ok(steps.collect())
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Step<'s> {
    pub(crate) migration: &'s Migration,
    pub(crate) direction: Direction,
    /// Empty for code.
    pub(crate) statements: &'s [String],
    pub(crate) checksum: &'s str,
}

impl<'s> Step<'s> {
    pub(crate) fn version(&self) -> &'s str {
        self.migration.version()
    }

    /// Whether it may share one batch and one transaction with its neighbours.
    pub(crate) fn is_batchable(&self) -> bool {
        self.migration.kind() == Kind::Recorded && self.migration.is_transactional()
    }

    pub(crate) fn ledger(&self, engine: Engine, set: &MigrationSet, duration: &str, run: &Run) -> String {
        match self.direction {
            Direction::Up => ledger::insert(engine, set, self.version(), self.checksum, duration, run),
            Direction::Down => ledger::delete(engine, set, self.version()),
        }
    }

    pub(crate) fn failed(&self, statement: Option<usize>) -> impl FnOnce(DbErr) -> MigrationError {
        let (version, direction) = (self.version().to_owned(), self.direction);
        move |source| MigrationError::Failed { version, direction, statement, source }
    }

    /// Statement by statement, so that an error names the one that failed. The ledger is the caller's.
    pub(crate) async fn run<'c, C>(&self, conn: &'c C, run: &Run) -> Result<(), MigrationError>
    where
        C: ConnectionTrait,
        &'c C: IntoSchemaManagerConnection<'c>,
    {
        if self.migration.kind() == Kind::Code {
            let manager = SchemaManager::new(conn);
            let result = match self.direction {
                Direction::Up => self.migration.inner().up(&manager).await,
                Direction::Down => self.migration.inner().down(&manager).await,
            };
            return result.map_err(self.failed_within(run, None));
        }
        for (at, statement) in self.statements.iter().enumerate() {
            conn.execute_unprepared(statement).await.map_err(self.failed_within(run, Some(at + 1)))?;
        }
        Ok(())
    }

    /// As [`failed`](Self::failed), with the statement's limit told apart.
    pub(crate) fn failed_within(&self, run: &Run, statement: Option<usize>) -> impl FnOnce(DbErr) -> MigrationError {
        move |source| match Limit::of(&source) {
            Some(Limit::Time) => self.timed_out(run),
            Some(Limit::Lock) | None => self.failed(statement)(source),
        }
    }

    pub(crate) fn timed_out(&self, run: &Run) -> MigrationError {
        let limit = self.migration.own_statement_timeout().unwrap_or(run.statement_timeout);
        MigrationError::TimedOut { version: self.version().to_owned(), limit }
    }
}

/// The first run of steps that can share a transaction: all that are batchable, or one that is not.
pub(crate) fn first_chunk<'a, 's>(steps: &'a [Step<'s>]) -> &'a [Step<'s>] {
    let together = steps.iter().take_while(|step| step.is_batchable()).count();
    &steps[..together.max(1).min(steps.len())]
}
