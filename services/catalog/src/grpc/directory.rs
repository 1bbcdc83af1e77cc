use std::pin::Pin;
use std::sync::Arc;

use tenantry_api::catalog::v1::tenant_directory_service_server::TenantDirectoryService;
use tenantry_api::catalog::v1::{
    ListTenantsRequest, ListTenantsResponse, ReportPluginsRequest, ReportPluginsResponse, ReportSchemaVersionsRequest,
    ReportSchemaVersionsResponse, ResolveTenantRequest, ResolveTenantResponse, SchemaVersionReport,
    Tenant as TenantMessage, WatchTenantsRequest, WatchTenantsResponse,
};
use tenantry_ids::CompanyId;
use tenantry_rpc::paging::{Page, PageSizes};
use tenantry_rpc::{Call, Error, Violations, parse_field};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};

use super::convert::{company_state, timestamp, visible_slug};
use super::plugins::parse_report;
use super::room::fitting;
use super::watching::{TenantCursor, watched};
use crate::app::fleet::{self, Report, Tenant};
use crate::app::{App, changes, directory, plugins};
use crate::domain::Labels;

/// A rollout reads the whole fleet, so its pages are large.
const PAGES: PageSizes = PageSizes { default: 1_000, most: 5_000 };
const MAX_IDS: usize = 1_000;
const MAX_REPORTS: usize = 1_000;
const MAX_VERSION_CHARS: usize = 100;
const MAX_PLUGIN_CHARS: usize = 63;

pub(crate) struct DirectoryGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl TenantDirectoryService for DirectoryGrpc {
    type WatchTenantsStream = Pin<Box<dyn Stream<Item = Result<WatchTenantsResponse, Status>> + Send>>;

    async fn resolve_tenant(
        &self,
        request: Request<ResolveTenantRequest>,
    ) -> Result<Response<ResolveTenantResponse>, Status> {
        let call = Call::open(request)?;
        let tenant = parse_field("company_id", &call.body.company_id)?;
        Ok(Response::new(directory::resolve(&self.0, &call.context, tenant).await?))
    }

    async fn list_tenants(
        &self,
        request: Request<ListTenantsRequest>,
    ) -> Result<Response<ListTenantsResponse>, Status> {
        let call = Call::open(request)?;
        let (only, page) = parse_list(call.body)?;
        let found = fleet::list(&self.0, &only, page).await?;
        Ok(Response::new(page_of(page, found)))
    }

    async fn watch_tenants(
        &self,
        request: Request<WatchTenantsRequest>,
    ) -> Result<Response<Self::WatchTenantsStream>, Status> {
        let cursor = Call::open(request)?.body.cursor;
        let position = if cursor.is_empty() { None } else { Some(parse_field::<TenantCursor>("cursor", &cursor)?.0) };
        let messages = ReceiverStream::new(changes::watch(&self.0, position)?);
        let answers = messages.map(|message| message.map(watched).map_err(Status::from));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn report_plugins(
        &self,
        request: Request<ReportPluginsRequest>,
    ) -> Result<Response<ReportPluginsResponse>, Status> {
        let reported = parse_report(&self.0, Call::open(request)?.body.plugins)?;
        plugins::report(&self.0, reported).await?;
        Ok(Response::new(ReportPluginsResponse {}))
    }

    async fn report_schema_versions(
        &self,
        request: Request<ReportSchemaVersionsRequest>,
    ) -> Result<Response<ReportSchemaVersionsResponse>, Status> {
        let call = Call::open(request)?;
        let reports = parse_reports(call.body.reports)?;
        let accepted = fleet::report(&self.0, &call.context, reports).await?;
        Ok(Response::new(ReportSchemaVersionsResponse { accepted: i32::try_from(accepted).unwrap_or(i32::MAX) }))
    }
}

fn parse_list(body: ListTenantsRequest) -> Result<(Vec<CompanyId>, Page), Error> {
    let mut violations = Violations::new();
    let page = Page::parse_sized(&mut violations, fleet::LIST, PAGES, body.page_size, &body.page_token);
    violations.check(body.company_ids.len() <= MAX_IDS, "company_ids", "must be at most 1,000");
    let ids = body.company_ids.iter().take(MAX_IDS).enumerate();
    let only = ids.filter_map(|(at, id)| violations.parse(&format!("company_ids[{at}]"), id)).collect();
    violations.finish(Some((only, page)))
}

fn parse_reports(reports: Vec<SchemaVersionReport>) -> Result<Vec<Report>, Error> {
    let mut violations = Violations::new();
    violations.check((1..=MAX_REPORTS).contains(&reports.len()), "reports", "must be 1 to 1,000");
    let parsed = reports.into_iter().take(MAX_REPORTS).enumerate().filter_map(|(at, report)| {
        let field = |name: &str| format!("reports[{at}].{name}");
        violations.check(report.sequence >= 1, &field("sequence"), "must be at least 1");
        let version = violations.text(&field("schema_version"), &report.schema_version, MAX_VERSION_CHARS);
        let company = violations.parse(&field("company_id"), &report.company_id);
        let database = violations.parse(&field("database_id"), &report.database_id);
        let (company, database) = company.zip(database)?;
        let plugin = violations.optional_text(&field("plugin"), &report.plugin, MAX_PLUGIN_CHARS);
        let plugin = Some(plugin).filter(|plugin| !plugin.is_empty());
        Some(Report { company, database, plugin, version, sequence: report.sequence })
    });
    let parsed = parsed.collect();
    violations.finish(Some(parsed))
}

/// As many tenants as the page holds, and as fit into a message that every client reads.
fn page_of(page: Page, mut found: Vec<Tenant>) -> ListTenantsResponse {
    let size = usize::try_from(page.size).unwrap_or(usize::MAX);
    let mut tenants: Vec<_> = found.iter().take(size).map(convert).collect();
    let page = Page { size: fitting(&tenants), ..page };
    let next_page_token = page.cut(fleet::LIST, &mut found, |tenant| tenant.company.id.0);
    tenants.truncate(found.len());
    ListTenantsResponse { tenants, next_page_token }
}

fn convert(Tenant { company, database, lease_until }: &Tenant) -> TenantMessage {
    let database = database.as_ref();
    TenantMessage {
        company_id: company.id.to_string(),
        slug: visible_slug(company).to_owned(),
        state: company_state(company.state).into(),
        labels: Labels::from_json(&company.labels).into_map(),
        server: database.map(|row| row.server.clone()).unwrap_or_default(),
        database_id: database.map(|row| row.id.to_string()).unwrap_or_default(),
        schema_version: database.and_then(|row| row.schema_version.clone()).unwrap_or_default(),
        purge_begun: company.purge_begun_at.is_some(),
        database: database.and_then(|row| row.name.clone()).unwrap_or_default(),
        lease_expire_time: lease_until.map(timestamp),
    }
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use serde_json::json;
    use tenantry_api::MAX_MESSAGE_BYTES;

    use super::*;
    use crate::store::entities::company;

    #[test]
    fn a_page_holds_what_every_client_can_read() {
        let value = "電".repeat(255);
        let labels: serde_json::Value = (0..64).map(|n| (format!("key-{n}"), json!(value))).collect();
        let tenant = |n: u128| {
            let id = CompanyId(uuid::Uuid::from_u128(n));
            let company =
                company::Model { id, labels: labels.clone(), ..company::Model::example(company::State::Active) };
            Tenant { company, database: None, lease_until: None }
        };
        let mut page = Page { size: 150, after: None };
        let (mut seen, mut pages) = (Vec::new(), 0);
        loop {
            let after = page.after.map_or(0, |id| id.as_u128());
            let answer = page_of(page, (after + 1..=150).map(tenant).collect());
            assert!(answer.encoded_len() < MAX_MESSAGE_BYTES);
            pages += 1;
            seen.extend(answer.tenants.into_iter().map(|tenant| tenant.company_id));
            if answer.next_page_token.is_empty() {
                break;
            }
            let request = ListTenantsRequest { page_token: answer.next_page_token, ..Default::default() };
            page = Page { size: 150, ..parse_list(request).expect("a page").1 };
        }
        assert!(pages > 1);
        assert_eq!(seen, (1..=150).map(|n| uuid::Uuid::from_u128(n).to_string()).collect::<Vec<_>>());
    }
}
