use sea_orm::DbBackend;

use crate::{
    apply::Run,
    engine::Engine,
    error::MigrationError,
    ledger,
    postgres::join,
    set::{Kind, MigrationSet},
};

impl MigrationSet {
    /// The whole set as one script with its ledger: builds an **empty** database or a template in one message.
    ///
    /// The result equals a migration step by step, ledger included except for durations. It takes no lock and
    /// refuses nothing: who runs it owns the database and has just created it.
    ///
    /// # Errors
    /// [`MigrationError::NotRecorded`] when a migration is code, [`MigrationError::Recording`].
    pub fn squash(&self, backend: DbBackend, run: &Run) -> Result<String, MigrationError> {
        let engine = Engine::of(backend);
        if let Some(code) = self.migrations().iter().find(|m| m.kind() == Kind::Code) {
            return Err(MigrationError::NotRecorded { set: self.name(), version: code.version().to_owned() });
        }
        let recordings = self.recordings(backend)?;
        let steps = self.versions().zip(recordings).flat_map(|(version, recording)| {
            let row = ledger::insert(engine, self, version, &recording.checksum, "0", run);
            recording.up.iter().cloned().chain([row])
        });
        Ok(join([ledger::create(engine)].into_iter().chain(steps)))
    }
}
