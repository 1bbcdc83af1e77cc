//! Many people at once, into a company and out of it, and everything that it has.

mod bounds;
mod everything;
mod importing;
mod memory;
mod round_trip;

use tenantry_api::crm::v1::import_people_request::Part;
use tenantry_api::crm::v1::import_people_response::Message;
use tenantry_api::crm::v1::{
    ExportPeopleRequest, ImportMode, ImportOptions, ImportPeopleRequest, ImportPeopleResponse, ImportProgress,
    ImportSummary, ListPeopleRequest, RowError, TransferFormat,
};
use tenantry_testkit::actors::Actor;
use tenantry_testkit::sandbox::{Clients, Sandbox};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

/// What came of an import.
#[derive(Debug, Default)]
struct Outcome {
    progress: Vec<ImportProgress>,
    errors: Vec<RowError>,
    summary: Option<ImportSummary>,
    /// How the stream ended, where it did not end well.
    refusal: Option<Status>,
}

impl Outcome {
    /// Rows read, written and refused.
    fn counts(&self) -> Option<(i64, i64, i64)> {
        self.summary.as_ref().map(|summary| (summary.rows_read, summary.rows_written, summary.rows_refused))
    }

    /// Each refused row with the fields that are wrong.
    fn flaws(&self) -> Vec<(i64, Vec<&str>)> {
        self.errors.iter().map(|row| (row.row, row.violations.iter().map(|it| &*it.field).collect())).collect()
    }

    fn reason(self) -> Option<tenantry_rpc::Reason> {
        self.refusal.as_ref().and_then(tenantry_rpc::reason_of)
    }
}

fn options(format: TransferFormat, mode: ImportMode) -> ImportOptions {
    ImportOptions { format: format.into(), mode: mode.into(), ..ImportOptions::default() }
}

fn csv(mode: ImportMode) -> ImportOptions {
    options(TransferFormat::Csv, mode)
}

fn part(part: Part) -> ImportPeopleRequest {
    ImportPeopleRequest { part: Some(part) }
}

fn chunk(bytes: &[u8]) -> ImportPeopleRequest {
    part(Part::Chunk(bytes.to_vec()))
}

/// An import that goes on for as long as the test likes.
struct Sending {
    parts: mpsc::Sender<ImportPeopleRequest>,
    answers: Streaming<ImportPeopleResponse>,
}

impl Sending {
    async fn begin(sandbox: &Sandbox, by: &impl Actor, options: ImportOptions) -> Result<Self, Status> {
        Self::begin_at(sandbox.clients(), by, options).await
    }

    async fn begin_at(at: Clients, by: &impl Actor, options: ImportOptions) -> Result<Self, Status> {
        let (parts, received) = mpsc::channel(4);
        parts.send(part(Part::Options(options))).await.expect("a receiver");
        let request = by.request(ReceiverStream::new(received));
        let mut client = at.transfers().expect("a client");
        Ok(Self { parts, answers: client.import_people(request).await?.into_inner() })
    }

    async fn send(&self, bytes: &[u8]) {
        // Once the import has ended nobody receives.
        let _ = self.parts.send(chunk(bytes)).await;
    }

    /// The next answer that tells of progress.
    async fn progress(&mut self) -> Result<ImportProgress, Status> {
        loop {
            match self.answers.message().await?.and_then(|answer| answer.message) {
                Some(Message::Progress(progress)) => return Ok(progress),
                Some(Message::RowError(_)) => {}
                other => return Err(Status::internal(format!("{other:?}"))),
            }
        }
    }

    /// The rest.
    async fn end(self) -> Outcome {
        let Self { parts, mut answers } = self;
        drop(parts);
        let mut outcome = Outcome::default();
        loop {
            match answers.message().await {
                Ok(Some(answer)) => match answer.message {
                    Some(Message::Progress(progress)) => outcome.progress.push(progress),
                    Some(Message::RowError(error)) => outcome.errors.push(error),
                    Some(Message::Summary(summary)) => outcome.summary = Some(summary),
                    None => panic!("an empty answer"),
                },
                Ok(None) => return outcome,
                Err(status) => {
                    outcome.refusal = Some(status);
                    return outcome;
                }
            }
        }
    }
}

/// Imports a whole file, in pieces of an awkward size.
async fn import(sandbox: &Sandbox, by: &impl Actor, options: ImportOptions, file: &[u8]) -> anyhow::Result<Outcome> {
    let sending = Sending::begin(sandbox, by, options).await?;
    for piece in file.chunks(7_001) {
        sending.send(piece).await;
    }
    Ok(sending.end().await)
}

/// The whole file of an export.
async fn export(sandbox: &Sandbox, by: &impl Actor, format: TransferFormat) -> Result<Vec<u8>, Status> {
    let request = by.request(ExportPeopleRequest { format: format.into() });
    let mut client = sandbox.clients().transfers().expect("a client");
    let mut parts = client.export_people(request).await?.into_inner();
    let mut file = Vec::new();
    while let Some(part) = parts.message().await? {
        assert!(part.chunk.len() < 512 * 1024);
        file.extend(part.chunk);
    }
    Ok(file)
}

/// Everybody's name, in the order of the list.
async fn names(sandbox: &Sandbox, by: &impl Actor) -> anyhow::Result<Vec<String>> {
    let (mut names, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListPeopleRequest { page_size: 1_000, page_token, ..Default::default() };
        let page = sandbox.people()?.list_people(by.request(request)).await?.into_inner();
        names.extend(page.people.into_iter().map(|person| person.name));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(names);
        }
    }
}
