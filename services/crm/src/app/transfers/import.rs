//! People from a file, batch by batch. What comes in is read as fast as it is written, and no faster: a batch is all
//! that is in memory.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use tenantry_rpc::{Context, Error, FieldViolation, Reason, Violations};
use tenantry_tenancy::{TenantConnection, TenantDb, TenantStream, TenantTx};
use tokio::time::timeout;

use crate::app::act::ATTEMPTS;
use crate::app::people::{Newcomer, add_all};
use crate::app::{Act, App, CrmError, Replay};
use crate::store::places;

/// What a batch holds at most, in bytes of the file.
const MOST_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// What becomes of an import with rows that are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Nothing is written.
    AllOrNothing,
    /// The others are written.
    BestEffort,
}

#[derive(Debug, Clone)]
pub(crate) struct How {
    pub(crate) mode: Mode,
    pub(crate) validate_only: bool,
    pub(crate) replay: Replay,
}

/// What is wrong with a row, by its number.
pub(crate) type RowFlaws = (u64, Vec<FieldViolation>);

/// A row of the file.
pub(crate) struct Row {
    pub(crate) number: u64,
    pub(crate) bytes: usize,
    pub(crate) read: Result<Newcomer, Vec<FieldViolation>>,
}

/// How far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) read: u64,
    pub(crate) written: u64,
    pub(crate) refused: u64,
    pub(crate) bytes: u64,
    #[serde(skip)]
    pub(crate) replayed: bool,
}

/// What the caller is told meanwhile.
pub(crate) enum Told {
    Progress(Done),
    Refused(RowFlaws),
}

/// The caller's side of an import.
pub(crate) trait Upload: Send {
    /// The next row, once there is one.
    fn next(&mut self) -> impl Future<Output = Result<Option<Row>, Error>> + Send;

    /// Bytes read so far.
    fn bytes(&self) -> u64;

    /// Tells the caller, without waiting for them.
    fn tell(&mut self, told: Told);
}

/// Imports everything that comes.
pub(crate) async fn import(
    app: &App,
    mut tenant: TenantStream,
    context: &Context,
    how: &How,
    upload: &mut impl Upload,
) -> Result<Done, Error> {
    let mut work = Import { app, context, upload, done: Done::default(), ended: false };
    match how.mode {
        _ if how.validate_only => work.validate(&mut tenant).await,
        Mode::BestEffort => work.best_effort(&mut tenant).await,
        Mode::AllOrNothing => {
            let limit = app.transfers.transaction_timeout();
            timeout(limit, work.all_or_nothing(&mut tenant, &how.replay)).await.unwrap_or_else(|_elapsed| {
                let message = "all or nothing may not take so long: import less at once, or in BEST_EFFORT";
                Err(Error::new(Reason::DeadlineExceeded, message))
            })
        }
    }
}

/// An import at work.
struct Import<'a, U> {
    app: &'a App,
    context: &'a Context,
    upload: &'a mut U,
    done: Done,
    /// Whether the file has ended.
    ended: bool,
}

type Batch = Vec<(u64, Newcomer)>;

impl<U: Upload> Import<'_, U> {
    async fn best_effort(&mut self, tenant: &mut TenantStream) -> Result<Done, Error> {
        while !self.ended {
            let batch = self.gather().await?;
            if !batch.is_empty() {
                tenant.renew().await?;
                let refused = write(self.app, &tenant.db(), self.context, &batch).await?;
                self.done.written += (batch.len() - refused.len()) as u64;
                self.refuse(refused);
            }
            self.tell_progress();
        }
        Ok(self.done)
    }

    async fn all_or_nothing(&mut self, tenant: &mut TenantStream, replay: &Replay) -> Result<Done, Error> {
        let batch = self.gather().await?;
        tenant.renew().await?;
        if let Some(done) = self.at_once(tenant, batch, replay).await? {
            return Ok(done);
        }
        // Nothing will be written: what follows is only looked at, and holds nothing.
        self.validate(tenant).await?;
        self.done.written = 0;
        Ok(self.done)
    }

    /// Writes everything in one transaction; `None` as soon as a row is refused, and nothing was written.
    async fn at_once(
        &mut self,
        tenant: &TenantStream,
        mut batch: Batch,
        replay: &Replay,
    ) -> Result<Option<Done>, Error> {
        let db = tenant.db();
        let tx = db.begin().await?;
        let act = Act::begin(self.app, &db, self.context)?;
        if let Some(answer) = act.earlier_answer(&tx, replay).await.map_err(Error::from)? {
            let done: Done = serde_json::from_slice(&answer).map_err(Error::internal)?;
            return Ok(Some(Done { replayed: true, ..done }));
        }
        loop {
            let (good, refused) = judge(&act, &tx, &batch).await.map_err(Error::from)?;
            self.refuse(refused);
            if self.done.refused > 0 {
                tx.rollback().await?;
                return Ok(None);
            }
            self.done.written += good.len() as u64;
            add_all(&act, &tx, good).await.map_err(Error::from)?;
            self.tell_progress();
            if self.ended {
                return self.commit(&act, tx, replay).await.map(Some);
            }
            batch = self.gather().await?;
            tenant.check().await?;
        }
    }

    /// Looks at what comes, and writes nothing.
    async fn validate(&mut self, tenant: &mut TenantStream) -> Result<Done, Error> {
        while !self.ended {
            let batch = self.gather().await?;
            tenant.renew().await?;
            let (good, refused) = {
                let db = tenant.db();
                let act = Act::begin(self.app, &db, self.context)?;
                judge(&act, &db.read().await?, &batch).await.map_err(Error::from)?
            };
            self.done.written += good.len() as u64;
            self.refuse(refused);
            self.tell_progress();
        }
        Ok(self.done)
    }

    async fn commit(&mut self, act: &Act<'_>, tx: TenantTx<'_>, replay: &Replay) -> Result<Done, Error> {
        let answer = serde_json::to_vec(&self.done).map_err(Error::internal)?;
        act.remember_answer(&tx, replay, answer).await.map_err(Error::from)?;
        tx.commit().await?;
        Ok(self.done)
    }

    /// The next rows that can be read; the others are refused.
    async fn gather(&mut self) -> Result<Batch, Error> {
        let (mut batch, mut rows, mut bytes) = (Batch::new(), 0, 0);
        while rows < self.app.transfers.import_batch_rows && bytes < MOST_BATCH_BYTES {
            let Some(row) = self.upload.next().await? else {
                self.ended = true;
                break;
            };
            (rows, bytes) = (rows + 1, bytes + row.bytes);
            self.done.read += 1;
            match row.read {
                Ok(newcomer) => batch.push((row.number, newcomer)),
                Err(violations) => self.refuse(vec![(row.number, violations)]),
            }
        }
        self.done.bytes = self.upload.bytes();
        Ok(batch)
    }

    fn refuse(&mut self, rows: Vec<RowFlaws>) {
        self.done.refused += rows.len() as u64;
        for row in rows {
            self.upload.tell(Told::Refused(row));
        }
    }

    fn tell_progress(&mut self) {
        self.upload.tell(Told::Progress(self.done));
    }
}

/// Writes what of a batch is not refused. Rows that collide with what others do at this moment, time and again, are
/// written one by one, so that none is kept back by another.
async fn write(app: &App, db: &TenantDb<'_>, context: &Context, batch: &Batch) -> Result<Vec<RowFlaws>, Error> {
    match write_once(app, db, context, batch).await {
        Ok(refused) => return Ok(refused),
        Err(CrmError::Collided(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let mut refused = Vec::new();
    for (number, newcomer) in batch {
        match write_once(app, db, context, &vec![(*number, newcomer.clone())]).await {
            Ok(own) => refused.extend(own),
            Err(CrmError::Collided(_)) => {
                let mut violations = Violations::new();
                violations.add("row", "must not collide with what others write at the same time; import it again");
                refused.push((*number, violations.into_vec()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(refused)
}

async fn write_once(app: &App, db: &TenantDb<'_>, context: &Context, batch: &Batch) -> Result<Vec<RowFlaws>, CrmError> {
    db.transaction_with(ATTEMPTS, |tx| async move {
        let act = Act::begin(app, db, context)?;
        let (good, refused) = judge(&act, &tx, batch).await?;
        add_all(&act, &tx, good).await?;
        Ok(refused)
    })
    .await
}

/// Who can be added, and who cannot, for what only the clock and the database can tell.
async fn judge(
    act: &Act<'_>,
    db: &impl TenantConnection,
    batch: &Batch,
) -> Result<(Vec<Newcomer>, Vec<RowFlaws>), CrmError> {
    let named = batch.iter().flat_map(|(_, newcomer)| &newcomer.addresses).filter_map(|address| address.place_id);
    let named: BTreeSet<_> = named.collect();
    let known = if named.is_empty() { named } else { places::known(db, named).await? };
    let (mut good, mut refused) = (Vec::with_capacity(batch.len()), Vec::new());
    for (number, newcomer) in batch {
        let mut violations = Violations::new();
        let born = newcomer.profile.is_born(act.now.date_naive());
        violations.check(born, "person.birth_date", "must not be in the future");
        for (at, address) in newcomer.addresses.iter().enumerate() {
            let there = address.place_id.is_none_or(|place| known.contains(&place));
            violations.check(there, &format!("addresses[{at}].place_id"), "must be a place of the company's");
        }
        match violations.into_vec() {
            none if none.is_empty() => good.push(newcomer.clone()),
            violations => refused.push((*number, violations)),
        }
    }
    Ok((good, refused))
}
