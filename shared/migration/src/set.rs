use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sea_orm::DbBackend;
use sea_orm_migration::MigrationTrait;
use tracing::Span;

use crate::{engine::Engine, error::MigrationError, recording::Recording, recording::sha256, seed::Seeder, version};

/// How a migration is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its statements are known beforehand.
    Recorded,
    /// It reads first, so it runs alone and its plan has no statements.
    Code,
}

/// A SeaORM migration and what SeaORM does not know of it.
#[derive(Clone)]
pub struct Migration {
    inner: Arc<dyn MigrationTrait>,
    kind: Kind,
    irreversible: Option<&'static str>,
    both: bool,
    statement_timeout: Option<Duration>,
}

impl<M: MigrationTrait + 'static> From<M> for Migration {
    fn from(migration: M) -> Self {
        Self::new(migration)
    }
}

impl Migration {
    /// Recorded and reversible, and in a transaction unless its `use_transaction` says `Some(false)`.
    pub fn new(migration: impl MigrationTrait + 'static) -> Self {
        Self {
            inner: Arc::new(migration),
            kind: Kind::Recorded,
            irreversible: None,
            both: false,
            statement_timeout: None,
        }
    }

    /// It must read first.
    #[must_use]
    pub fn code(mut self) -> Self {
        self.kind = Kind::Code;
        self
    }

    /// It has no way back; the reason is shown to whoever asks for one.
    #[must_use]
    pub fn irreversible(mut self, reason: &'static str) -> Self {
        self.irreversible = Some(reason);
        self
    }

    /// How long each of its statements may run, instead of the run's own limit: for one that has to rewrite a table.
    #[must_use]
    pub fn statement_timeout(mut self, limit: Duration) -> Self {
        self.statement_timeout = Some(limit);
        self
    }

    pub(crate) fn own_statement_timeout(&self) -> Option<Duration> {
        self.statement_timeout
    }

    pub fn version(&self) -> &str {
        self.inner.name()
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn irreversible_reason(&self) -> Option<&'static str> {
        self.irreversible
    }

    /// Whether it belongs to the set that enters more than one sequence.
    pub fn is_both(&self) -> bool {
        self.both
    }

    /// `false` means: outside a transaction on PostgreSQL (`CREATE INDEX CONCURRENTLY`). SQLite runs every
    /// migration in a transaction (a table is rebuilt under `PRAGMA defer_foreign_keys`), MariaDB none.
    pub fn is_transactional(&self) -> bool {
        self.inner.use_transaction() != Some(false)
    }

    pub(crate) fn inner(&self) -> &dyn MigrationTrait {
        self.inner.as_ref()
    }
}

impl std::fmt::Debug for Migration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Migration({}, {:?})", self.version(), self.kind)
    }
}

/// Puts a set together; [`build`](Self::build) sorts it and finds the mistakes.
pub struct SetBuilder {
    name: &'static str,
    about: &'static str,
    settings: &'static str,
    migrations: Vec<Migration>,
    seeders: Vec<Arc<dyn Seeder>>,
}

impl SetBuilder {
    /// The name is the ledger's key: `[a-z0-9_]`, at most 63 bytes, never changed.
    pub fn new(name: &'static str) -> Self {
        Self { name, about: "", settings: "{}", migrations: Vec::new(), seeders: Vec::new() }
    }

    /// What the set is for, in a sentence: a plugin's is shown to those who may install it.
    #[must_use]
    pub fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// What a plugin is set to where nobody says otherwise: a JSON object.
    #[must_use]
    pub fn default_settings(mut self, settings: &'static str) -> Self {
        self.settings = settings;
        self
    }

    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a list is added to, not summed")]
    pub fn add(mut self, migration: impl Into<Migration>) -> Self {
        self.migrations.push(migration.into());
        self
    }

    /// Migrations that central's and the tenants' databases share. They enter in version order, and each
    /// ledger records and rolls them back on its own, under the name of the set they entered.
    #[must_use]
    pub fn add_both(mut self, migrations: impl IntoIterator<Item = Migration>) -> Self {
        self.migrations.extend(migrations.into_iter().map(|m| Migration { both: true, ..m }));
        self
    }

    /// Seeders run in the order in which they were added.
    #[must_use]
    pub fn seeder(mut self, seeder: impl Seeder + 'static) -> Self {
        self.seeders.push(Arc::new(seeder));
        self
    }

    /// # Errors
    /// [`MigrationError::InvalidSet`] for a name or version out of shape and for a version that comes twice.
    pub fn build(self) -> Result<MigrationSet, MigrationError> {
        let Self { name, about, settings, mut migrations, seeders } = self;
        let invalid = |reason: String| MigrationError::InvalidSet { set: name, reason };
        if !version::is_word(name) || name.len() > 63 {
            return Err(invalid("its name is not [a-z0-9_] of at most 63 bytes".into()));
        }
        if let Some(bad) = migrations.iter().find(|m| !version::is_valid(m.version())) {
            return Err(invalid(format!("{:?} is not mYYYYMMDD_HHMMSS_name", bad.version())));
        }
        migrations.sort_by(|a, b| a.version().cmp(b.version()));
        if let Some(twice) = migrations.windows(2).find(|pair| pair[0].version() == pair[1].version()) {
            return Err(invalid(format!("{} comes twice", twice[0].version())));
        }
        let inner = Inner { about, settings, migrations, seeders, recorded: Default::default() };
        Ok(MigrationSet { name, inner: Arc::new(inner) })
    }
}

/// A named, sorted list of migrations with its seeders. Cheap to clone; recorded at most once per engine.
#[derive(Clone)]
pub struct MigrationSet {
    name: &'static str,
    inner: Arc<Inner>,
}

struct Inner {
    about: &'static str,
    settings: &'static str,
    migrations: Vec<Migration>,
    seeders: Vec<Arc<dyn Seeder>>,
    recorded: [OnceLock<Vec<Recording>>; Engine::COUNT],
}

impl MigrationSet {
    /// The span of doing something with it to a database.
    pub(crate) fn span(&self, doing: &'static str) -> Span {
        tracing::info_span!("migration", "otel.name" = doing, "tenantry.migrations" = self.name)
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it is for; may be empty.
    pub fn about(&self) -> &'static str {
        self.inner.about
    }

    /// A JSON object.
    pub fn default_settings(&self) -> &'static str {
        self.inner.settings
    }

    /// In version order.
    pub fn migrations(&self) -> &[Migration] {
        &self.inner.migrations
    }

    pub fn versions(&self) -> impl Iterator<Item = &str> {
        self.inner.migrations.iter().map(Migration::version)
    }

    /// The newest version, absent in an empty set.
    pub fn head(&self) -> Option<&str> {
        self.inner.migrations.last().map(Migration::version)
    }

    /// The set as it was when `version` was its newest: what a fleet that has not come further makes its new
    /// databases from.
    ///
    /// # Errors
    /// [`MigrationError::NoSuchVersion`].
    pub fn up_to(&self, version: &str) -> Result<Self, MigrationError> {
        self.must_contain(Some(version))?;
        let wanted = self.migrations().iter().filter(|migration| migration.version() <= version);
        let inner = Inner {
            about: self.inner.about,
            settings: self.inner.settings,
            migrations: wanted.cloned().collect(),
            seeders: self.inner.seeders.clone(),
            recorded: Default::default(),
        };
        Ok(Self { name: self.name, inner: Arc::new(inner) })
    }

    pub fn contains(&self, version: &str) -> bool {
        self.position(version).is_some()
    }

    /// One recording per migration, in the same order as [`migrations`](Self::migrations).
    ///
    /// # Errors
    /// [`MigrationError::Recording`] naming the migration and what to change in it.
    pub fn recordings(&self, backend: DbBackend) -> Result<&[Recording], MigrationError> {
        let cell = &self.inner.recorded[Engine::of(backend).index()];
        if let Some(recorded) = cell.get() {
            return Ok(recorded);
        }
        let recorded = self.migrations().iter().map(|m| Recording::of(m, backend)).collect::<Result<_, _>>()?;
        Ok(cell.get_or_init(|| recorded))
    }

    /// One sum over the whole set and its seeds for an engine: two equal sums build equal databases.
    ///
    /// # Errors
    /// As [`recordings`](Self::recordings).
    pub fn checksum(&self, backend: DbBackend) -> Result<String, MigrationError> {
        self.checksum_beside(backend, &[])
    }

    /// The same, with whatever else new databases depend on.
    ///
    /// # Errors
    /// As [`recordings`](Self::recordings).
    pub fn checksum_beside(&self, backend: DbBackend, beside: &[&str]) -> Result<String, MigrationError> {
        let recordings = self.recordings(backend)?;
        let seeds = self.seed_statements(backend);
        let sums = recordings.iter().map(|recording| recording.checksum.as_str());
        Ok(sha256(sums.chain(seeds.iter().map(String::as_str)).chain(beside.iter().copied())))
    }

    pub(crate) fn seeders(&self) -> &[Arc<dyn Seeder>] {
        &self.inner.seeders
    }

    pub(crate) fn position(&self, version: &str) -> Option<usize> {
        self.inner.migrations.binary_search_by(|m| m.version().cmp(version)).ok()
    }
}

impl std::fmt::Debug for MigrationSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MigrationSet({}, {:?})", self.name, self.migrations())
    }
}
