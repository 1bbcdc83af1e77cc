//! The caller's side of an import: parts come in, answers go out, and neither waits for the other. A caller who reads
//! only when everything is sent gets everything then, but for some of the progress.

use std::collections::VecDeque;
use std::time::Duration;

use tenantry_api::crm::v1::import_people_request::Part;
use tenantry_api::crm::v1::import_people_response::Message;
use tenantry_api::crm::v1::{
    FieldViolation as WireViolation, ImportOptions, ImportPeopleRequest, ImportPeopleResponse, ImportProgress,
    ImportSummary, RowError,
};
use tenantry_rpc::streaming::Answering;
use tenantry_rpc::{Error, FieldViolation, Reason};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

use super::rows::{Format, Parsed, Rows};
use crate::app::transfers::{Done, How, Mode, Row, RowFlaws, Told, TransferConfig, Upload};

/// The largest part.
const MOST_CHUNK_BYTES: usize = 1024 * 1024;
/// How many rows are told of that are refused, and what is wrong with each.
const MOST_ROWS_TOLD: usize = 1_000;
const MOST_VIOLATIONS_TOLD: usize = 20;
/// How long a description is, in characters: some repeat what the caller sent.
const MOST_DESCRIPTION_CHARS: usize = 300;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// The messages of a caller.
pub(super) struct Parts {
    parts: Streaming<ImportPeopleRequest>,
    patience: Duration,
}

impl Parts {
    /// Each must come within the time.
    pub(super) fn new(parts: Streaming<ImportPeopleRequest>, patience: Duration) -> Self {
        Self { parts, patience }
    }

    /// The first message.
    pub(super) async fn options(&mut self) -> Result<ImportOptions, Error> {
        match self.next().await? {
            Some(Part::Options(options)) => Ok(options),
            Some(Part::Chunk(_)) | None => Err(wrong("options", "must come in the first message")),
        }
    }

    async fn next(&mut self) -> Result<Option<Part>, Error> {
        let message = timeout(self.patience, self.parts.message()).await.map_err(|_elapsed| {
            Error::new(Reason::DeadlineExceeded, "no part of the file came for too long; send them as they are read")
        })?;
        match message.map_err(|status| broken(&status))? {
            Some(message) => message.part.map(Some).ok_or_else(|| wrong("part", "must be options or a chunk")),
            None => Ok(None),
        }
    }

    pub(super) fn upload(
        self,
        format: Format,
        limits: TransferConfig,
        answering: Answering<ImportPeopleResponse>,
    ) -> FileUpload {
        let rows = Rows::new(format, limits.import_max_row_bytes);
        FileUpload {
            parts: self,
            rows,
            limits,
            answering,
            pending: Vec::new(),
            at: 0,
            begun: false,
            ended: false,
            number: 0,
            bytes: 0,
            row_bytes: 0,
            told: 0,
            waiting: VecDeque::new(),
        }
    }
}

/// A file that is being sent.
pub(super) struct FileUpload {
    parts: Parts,
    rows: Rows,
    limits: TransferConfig,
    answering: Answering<ImportPeopleResponse>,
    /// What has come, and how much of it is read.
    pending: Vec<u8>,
    at: usize,
    /// Whether the beginning was looked at for a byte order mark.
    begun: bool,
    ended: bool,
    /// Of the row read last.
    number: u64,
    bytes: u64,
    /// Bytes of the row that is being read.
    row_bytes: usize,
    /// Rows that were told of.
    told: usize,
    /// Answers that the caller has not made room for.
    waiting: VecDeque<ImportPeopleResponse>,
}

impl Upload for FileUpload {
    async fn next(&mut self) -> Result<Option<Row>, Error> {
        loop {
            if self.at < self.pending.len() {
                let (took, parsed) = self.rows.push(&self.pending[self.at..])?;
                self.at += took;
                self.row_bytes += took;
                if let Some(parsed) = parsed {
                    return self.row(parsed).map(Some);
                }
            } else if !self.ended {
                self.receive().await?;
            } else {
                return self.rows.finish()?.map(|parsed| self.row(parsed)).transpose();
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn tell(&mut self, told: Told) {
        self.tell_waiting();
        match told {
            // Another comes.
            Told::Progress(done) if self.waiting.is_empty() => {
                let _ = self.answering.try_answer(answer(Message::Progress(progress(done))));
            }
            Told::Refused(row) if self.told < MOST_ROWS_TOLD => {
                self.told += 1;
                self.waiting.push_back(answer(Message::RowError(row_error(row))));
                self.tell_waiting();
            }
            Told::Progress(_) | Told::Refused(_) => {}
        }
    }
}

impl FileUpload {
    /// Tells the rest, and how it ended.
    pub(super) async fn end(mut self, done: Done, how: &How) -> Result<(), Error> {
        for waiting in std::mem::take(&mut self.waiting) {
            self.answering.answer(waiting).await;
        }
        self.answering.answer(answer(Message::Summary(summary(done)))).await;
        if how.mode == Mode::AllOrNothing && !how.validate_only && done.refused > 0 {
            let message = "rows are refused, so nothing was written; correct them and import everything again";
            return Err(Error::new(Reason::ImportRefused, message).with("rows_refused", done.refused.to_string()));
        }
        Ok(())
    }

    fn row(&mut self, read: Parsed) -> Result<Row, Error> {
        self.number += 1;
        if self.number > self.limits.import_max_rows {
            return Err(too_large(format!("more than {} rows", self.limits.import_max_rows)));
        }
        Ok(Row { number: self.number, bytes: std::mem::take(&mut self.row_bytes), read })
    }

    async fn receive(&mut self) -> Result<(), Error> {
        match self.parts.next().await? {
            Some(Part::Chunk(chunk)) if chunk.len() > MOST_CHUNK_BYTES => {
                return Err(wrong("chunk", &format!("must have at most {MOST_CHUNK_BYTES} bytes")));
            }
            Some(Part::Chunk(chunk)) if self.begun => {
                (self.pending, self.at, self.bytes) = {
                    let bytes = self.bytes + chunk.len() as u64;
                    (chunk, 0, bytes)
                }
            }
            Some(Part::Chunk(chunk)) => {
                self.bytes += chunk.len() as u64;
                self.pending.extend(chunk);
                self.at = self.pending.len();
            }
            Some(Part::Options(_)) => return Err(wrong("options", "must come in the first message only")),
            None => self.ended = true,
        }
        if self.bytes > self.limits.import_max_bytes {
            return Err(too_large(format!("more than {} bytes", self.limits.import_max_bytes)));
        }
        if !self.begun && (self.ended || self.pending.len() >= BYTE_ORDER_MARK.len()) {
            self.begun = true;
            self.at = if self.pending.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        }
        Ok(())
    }

    fn tell_waiting(&mut self) {
        while let Some(waiting) = self.waiting.pop_front() {
            if let Err(refused) = self.answering.try_answer(waiting) {
                self.waiting.push_front(refused);
                return;
            }
        }
    }
}

fn answer(message: Message) -> ImportPeopleResponse {
    ImportPeopleResponse { message: Some(message) }
}

fn whole(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn progress(done: Done) -> ImportProgress {
    ImportProgress {
        rows_read: whole(done.read),
        rows_written: whole(done.written),
        rows_refused: whole(done.refused),
        bytes_read: whole(done.bytes),
    }
}

fn summary(done: Done) -> ImportSummary {
    ImportSummary {
        rows_read: whole(done.read),
        rows_written: whole(done.written),
        rows_refused: whole(done.refused),
        bytes_read: whole(done.bytes),
        replayed: done.replayed,
    }
}

fn row_error((row, violations): RowFlaws) -> RowError {
    let convert = |violation: FieldViolation| WireViolation {
        field: violation.field,
        description: violation.description.chars().take(MOST_DESCRIPTION_CHARS).collect(),
    };
    let violations = violations.into_iter().take(MOST_VIOLATIONS_TOLD).map(convert).collect();
    RowError { row: whole(row), violations }
}

fn wrong(field: &str, description: &str) -> Error {
    Error::fields(vec![FieldViolation { field: field.to_owned(), description: description.to_owned() }])
}

fn too_large(what: String) -> Error {
    Error::new(Reason::ImportTooLarge, format!("the file has {what}; import it in parts"))
}

/// Why no message came. Where the caller has gone nobody reads it.
fn broken(status: &Status) -> Error {
    match status.code() {
        Code::OutOfRange => wrong("chunk", &format!("must have at most {MOST_CHUNK_BYTES} bytes")),
        _ => Error::new(Reason::MalformedMessage, "the stream broke off, or its bytes are no messages of an import"),
    }
}
