mod company;
mod rows;
mod text;
mod upload;

use tenantry_api::crm::v1::transfer_service_server::TransferService;
use tenantry_api::crm::v1::{
    ExportCompanyRequest, ExportCompanyResponse, ExportPeopleRequest, ExportPeopleResponse, ImportMode, ImportOptions,
    ImportPeopleRequest, ImportPeopleResponse, TransferFormat,
};
use tenantry_rpc::streaming::{Answering, Answers, answers};
use tenantry_rpc::{Call, Context, Error, Violations};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status, Streaming};

use self::rows::{Format, Sheet};
use self::upload::Parts;
use super::standard::replay;
use crate::app::App;
use crate::app::transfers::{How, Mode, PeopleExport, import};

/// What a part of an export has at least, but for the last one, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

pub(crate) struct TransferGrpc(pub(crate) std::sync::Arc<App>);

#[tonic::async_trait]
impl TransferService for TransferGrpc {
    type ImportPeopleStream = Answers<ImportPeopleResponse>;
    type ExportPeopleStream = Answers<ExportPeopleResponse>;
    type ExportCompanyStream = Answers<ExportCompanyResponse>;

    async fn import_people(
        &self,
        request: Request<Streaming<ImportPeopleRequest>>,
    ) -> Result<Response<Self::ImportPeopleStream>, Status> {
        let call = Call::open(request)?;
        let (app, tenant) = (self.0.clone(), call.tenant_stream()?);
        let turn = app.turns.begin(call.context.user()?.tenant())?;
        let Call { context, body, .. } = call;
        Ok(Response::new(answers(context.deadline(), |answering| async move {
            let _turn = turn;
            let mut parts = Parts::new(body, app.transfers.idle_timeout());
            let (format, how) = parse_options(&context, &parts.options().await?)?;
            let mut upload = parts.upload(format, app.transfers.clone(), answering);
            let done = import(&app, tenant, &context, &how, &mut upload).await?;
            upload.end(done, &how).await
        })))
    }

    async fn export_people(
        &self,
        request: Request<ExportPeopleRequest>,
    ) -> Result<Response<Self::ExportPeopleStream>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let format = parse_format(&mut violations, "format", call.body.format);
        let format = violations.finish(format)?;
        let export = PeopleExport::new(call.tenant_stream()?);
        let turn = self.0.turns.begin(call.context.user()?.tenant())?;
        Ok(Response::new(answers(call.context.deadline(), |answering| async move {
            let _turn = turn;
            export_all(export, format, answering).await
        })))
    }

    async fn export_company(
        &self,
        request: Request<ExportCompanyRequest>,
    ) -> Result<Response<Self::ExportCompanyStream>, Status> {
        let call = Call::open(request)?;
        let (tenant, company) = (call.tenant_stream()?, call.context.user()?.tenant());
        let (turn, now) = (self.0.turns.begin(company)?, self.0.clock.now());
        Ok(Response::new(answers(call.context.deadline(), |answering| async move {
            let _turn = turn;
            company::export_all(tenant, company, now, answering).await
        })))
    }
}

async fn export_all(
    mut export: PeopleExport,
    format: Format,
    answering: Answering<ExportPeopleResponse>,
) -> Result<(), Error> {
    let (mut sheet, mut rows) = (Sheet::new(format), 0);
    loop {
        let page = export.next().await?;
        let ended = page.is_empty();
        for person in page {
            sheet.add(person);
            rows += 1;
            if sheet.len() >= CHUNK_BYTES {
                answering.answer(ExportPeopleResponse { chunk: sheet.take(), rows }).await;
            }
        }
        if ended {
            if sheet.len() > 0 {
                answering.answer(ExportPeopleResponse { chunk: sheet.take(), rows }).await;
            }
            return Ok(());
        }
    }
}

fn parse_format(violations: &mut Violations, field: &str, format: i32) -> Option<Format> {
    match TransferFormat::try_from(format) {
        Ok(TransferFormat::Csv) => Some(Format::Csv),
        Ok(TransferFormat::JsonLines) => Some(Format::JsonLines),
        Ok(TransferFormat::Unspecified) | Err(_) => {
            violations.add(field, "must be CSV or JSON_LINES");
            None
        }
    }
}

fn parse_options(context: &Context, options: &ImportOptions) -> Result<(Format, How), Error> {
    let mut violations = Violations::new();
    let format = parse_format(&mut violations, "options.format", options.format);
    let mode = match ImportMode::try_from(options.mode) {
        Ok(ImportMode::AllOrNothing) => Some(Mode::AllOrNothing),
        Ok(ImportMode::BestEffort) => Some(Mode::BestEffort),
        Ok(ImportMode::Unspecified) | Err(_) => {
            violations.add("options.mode", "must be ALL_OR_NOTHING or BEST_EFFORT");
            None
        }
    };
    let replay = replay(&mut violations, context, &options.request_id, options);
    let at_once = mode == Some(Mode::AllOrNothing) || options.request_id.is_empty();
    violations.check(at_once, "options.request_id", "must be empty in BEST_EFFORT: go on after the last rows_read");
    let how = mode.map(|mode| How { mode, validate_only: options.validate_only, replay });
    violations.finish(format.zip(how))
}
