use std::sync::Arc;

use prost_types::Timestamp;
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Call, Clock, Violations};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::store::{self, note};
use crate::v1::note_service_server::NoteService;
use crate::v1::{ListNotesRequest, ListNotesResponse, Note, PutNoteRequest};

const MAX_TEXT_CHARS: usize = 1_000;

pub(crate) struct NoteGrpc {
    pub(crate) clock: Arc<dyn Clock>,
}

#[tonic::async_trait]
impl NoteService for NoteGrpc {
    async fn put_note(&self, request: Request<PutNoteRequest>) -> Result<Response<Note>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let id: Option<Uuid> = violations.parse("id", &call.body.id);
        let text = violations.lines("text", &call.body.text, MAX_TEXT_CHARS);
        violations.check(!text.is_empty(), "text", "must not be empty");
        let (id, author_id) = (violations.finish(id)?, call.context.user()?.principal().into());
        let note = note::Model { id, text, author_id, written_at: self.clock.now() };
        store::put(&call.tenant_db()?.read().await?, note.clone()).await?;
        Ok(Response::new(message(note)))
    }

    async fn list_notes(&self, request: Request<ListNotesRequest>) -> Result<Response<ListNotesResponse>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let page = Page::parse(&mut violations, "notes", call.body.page_size, &call.body.page_token);
        violations.into_result()?;
        let mut rows = store::list(&call.tenant_db()?.read().await?, page.after, page.size + 1).await?;
        let next_page_token = page.cut("notes", &mut rows, |row| row.id);
        Ok(Response::new(ListNotesResponse { notes: rows.into_iter().map(message).collect(), next_page_token }))
    }
}

fn message(note: note::Model) -> Note {
    let nanos = i32::try_from(note.written_at.timestamp_subsec_nanos()).unwrap_or_default();
    let write_time = Some(Timestamp { seconds: note.written_at.timestamp(), nanos });
    Note { id: note.id.to_string(), text: note.text, author_id: note.author_id.to_string(), write_time }
}
