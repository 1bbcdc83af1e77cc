//! The event log, for those who read it: the audit trail, page by page, and the stream of what happens.
//!
//! Whoever changes something appends its event in the same transaction ([`append`](crate::store::events::append)).
//! Nothing else writes here but [`sweep`], which removes what is older than it is to be kept.

mod settings;
mod sweep;
mod watch;

use std::sync::Arc;

use tenantry_rpc::Error;
use tenantry_rpc::paging::Page;
use tokio::sync::{Semaphore, watch as signal};
use uuid::Uuid;

pub use settings::EventSettings;
pub(crate) use sweep::sweep;
pub(crate) use watch::{Beginning, Interest, Message, Told, watch};

use super::App;
use crate::store::entities::event;
pub(crate) use crate::store::events::Filter;
use crate::store::{StoreError, events};

/// The name of the list of events in page tokens.
pub(crate) const LIST: &str = "events";

/// What those who watch share in one process.
pub(crate) struct EventLog {
    settings: EventSettings,
    /// The newest event that this process has seen.
    head: signal::Sender<i64>,
    room: Arc<Semaphore>,
}

impl EventLog {
    pub(crate) fn new(settings: EventSettings) -> Self {
        let room = Arc::new(Semaphore::new(settings.events_max_watchers));
        Self { head: signal::channel(0).0, room, settings }
    }
}

/// The events of a page and one more, if there are more, newest first.
pub(crate) async fn list(app: &App, filter: &Filter, page: Page) -> Result<Vec<event::Model>, Error> {
    // A token of this list is a sequence in the form of an id.
    let before = page.after.map(|after| i64::try_from(after.as_u128()).unwrap_or(i64::MAX));
    Ok(events::list(&app.db, filter, before, page.size + 1).await?)
}

/// What the next page goes on after.
pub(crate) fn page_key(event: &event::Model) -> Uuid {
    Uuid::from_u128(u128::from(event.sequence.unsigned_abs()))
}

/// Looks how far the log is, for those who watch it.
pub(super) async fn note_head(app: &App) -> Result<(), StoreError> {
    let log = &app.event_log;
    if log.head.receiver_count() == 0 {
        return Ok(());
    }
    let newest = events::newest(&app.db).await?;
    log.head.send_if_modified(|head| std::mem::replace(head, newest) != newest);
    Ok(())
}
