//! Keeps every server's places filled, and drops what is of no use.

use std::sync::Arc;
use std::time::Duration;

use tenantry_ids::{DatabaseId, RunId};
use tenantry_migration::{MigrationSet, Run};
use tenantry_rpc::{Error, Shutdown};
use tokio::task::JoinSet;

use super::LEASE;
use crate::app::{App, rollouts};
use crate::ident::Ident;
use crate::servers::DatabaseServer;
use crate::store::spares::{self, Spare, SpareState};

/// How many databases are made ahead.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Spares")]
pub struct SpareSettings {
    /// Databases that are made ahead on each PostgreSQL server, so that a new company gets one at once.
    #[arg(long, env = "MIGRATOR_SPARES_PER_SERVER", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=1_000))]
    pub spares_per_server: u16,

    /// Of those, how many are made at the same time on a server.
    #[arg(long, env = "MIGRATOR_SPARES_REFILL_AT_ONCE", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub spares_refill_at_once: u16,

    /// How often it is looked whether there are enough of them, in milliseconds.
    #[arg(long, env = "MIGRATOR_SPARES_POLL_MS", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(10..))]
    pub spares_poll_ms: u64,
}

impl Default for SpareSettings {
    fn default() -> Self {
        Self { spares_per_server: 0, spares_refill_at_once: 2, spares_poll_ms: 2_000 }
    }
}

/// The worker of one process.
pub(crate) struct Spares {
    pub(crate) app: Arc<App>,
    pub(crate) settings: SpareSettings,
}

/// Something to do about a spare.
enum Work {
    Make(Spare),
    Drop(Spare),
}

impl Spares {
    /// Works until the shutdown begins. What is under way then is finished, or dropped when the shutdown is forced: its
    /// row says so, and somebody removes it.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let worker = Arc::new(self);
        while !shutdown.has_begun() {
            let round = async {
                let mut servers = JoinSet::new();
                for name in worker.app.servers.with_spares() {
                    let (worker, name) = (worker.clone(), name.to_owned());
                    // Each by itself: one that does not answer keeps no other waiting for long.
                    servers.spawn(async move { worker.look_after(&name).await.map_err(|error| (name, error)) });
                }
                while let Some(looked) = servers.join_next().await {
                    if let Ok(Err((server, error))) = looked {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(server, error, "spares cannot be looked after");
                    }
                }
            };
            tokio::select! {
                () = round => {}
                () = shutdown.forced() => return,
            }
            tokio::select! {
                () = worker.app.spare_taken.0.notified() => {}
                () = tokio::time::sleep(Duration::from_millis(worker.settings.spares_poll_ms)) => {}
                () = shutdown.begun() => {}
            }
        }
    }

    async fn look_after(self: &Arc<Self>, name: &str) -> Result<(), Error> {
        let set = rollouts::set_for_new_databases(&self.app).await?;
        let checksum = self.app.servers.named(name)?.digest(&set)?;
        let known = spares::on_server(&self.app.db, name).await?;
        let mut work = Vec::new();
        for spare in &known {
            if self.is_useless(spare, &checksum)
                && spares::change(&self.app.db, spare, SpareState::Dropping, self.lease()).await?
            {
                work.push(Work::Drop(Spare { state: SpareState::Dropping, ..spare.clone() }));
            }
        }
        let places =
            (0..i32::from(self.settings.spares_per_server)).filter(|at| known.iter().all(|of| of.place != *at));
        for place in places {
            let id = DatabaseId::new(&*self.app.ids);
            let spare = Spare {
                id,
                server: name.to_owned(),
                place,
                name: self.app.prefix.database(id)?.as_str().to_owned(),
                set_checksum: checksum.clone(),
                state: SpareState::Making,
                lease_until: self.lease(),
                created_at: self.app.now(),
            };
            work.push(Work::Make(spare));
        }
        self.do_all(work, &set).await
    }

    /// Made by somebody who is gone, left by somebody who was to drop it, at other migrations, or one too many.
    fn is_useless(&self, spare: &Spare, checksum: &str) -> bool {
        let left = spare.lease_until < self.app.now();
        match spare.state {
            SpareState::Making | SpareState::Dropping => left,
            SpareState::Ready => {
                spare.set_checksum != checksum || spare.place >= i32::from(self.settings.spares_per_server)
            }
        }
    }

    async fn do_all(self: &Arc<Self>, work: Vec<Work>, set: &MigrationSet) -> Result<(), Error> {
        let mut at_once = JoinSet::new();
        let mut failed = None;
        for one in work {
            if self.app.stopping.has_begun() {
                break; // The rest is found at the next start.
            }
            if at_once.len() >= usize::from(self.settings.spares_refill_at_once) {
                failed = failed.or(outcome(at_once.join_next().await));
            }
            let (worker, set) = (self.clone(), set.clone());
            at_once.spawn(async move {
                match one {
                    Work::Make(spare) => worker.make(spare, &set).await,
                    Work::Drop(spare) => super::drop_one(&worker.app, &spare).await,
                }
            });
        }
        while let Some(done) = at_once.join_next().await {
            failed = failed.or(outcome(Some(done)));
        }
        failed.map_or(Ok(()), Err)
    }

    /// The row first: whatever happens from here on, somebody knows of the database.
    async fn make(&self, spare: Spare, set: &MigrationSet) -> Result<(), Error> {
        // Its turn may have come late.
        let spare = Spare { lease_until: self.lease(), ..spare };
        if !spares::insert(&self.app.db, &spare).await? {
            return Ok(()); // Another replica has taken the place.
        }
        let run = self.app.limited(Run::new(RunId::new(&*self.app.ids).0, self.app.now()));
        match self.server(&spare)?.make_spare(&Ident::new(&spare.name)?, set, &run).await {
            Ok(()) => {
                spares::change(&self.app.db, &spare, SpareState::Ready, spare.lease_until).await?;
                Ok(())
            }
            Err(error) => {
                // Dropped at the next look.
                spares::change(&self.app.db, &spare, SpareState::Dropping, self.app.now()).await?;
                Err(error.into())
            }
        }
    }

    fn server(&self, spare: &Spare) -> Result<&DatabaseServer, Error> {
        self.app.servers.named(&spare.server)
    }

    fn lease(&self) -> chrono::DateTime<chrono::Utc> {
        self.app.now() + LEASE
    }
}

fn outcome(done: Option<Result<Result<(), Error>, tokio::task::JoinError>>) -> Option<Error> {
    match done? {
        Ok(done) => done.err(),
        Err(stopped) => Some(Error::internal(stopped)),
    }
}
