//! Companies as the catalog has them: their states, slugs and labels.

use std::time::Duration;

use tenantry_api::catalog::v1::{ListTenantsRequest, Tenant};
use tenantry_ids::CompanyId;
use tenantry_rpc::{Error, Reason, client};
use tokio::time::Instant;
use tonic::Status;

use super::CatalogClient;

/// How long one answer of the catalog may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Ids in one question.
const MAX_IDS: usize = 1_000;
/// Tenants per page.
const PAGE_SIZE: i32 = 2_000;

/// The company as the catalog has it, if it does.
pub(crate) async fn find(catalog: &CatalogClient, company: CompanyId) -> Result<Option<Tenant>, Error> {
    let request = ListTenantsRequest { company_ids: vec![company.to_string()], ..Default::default() };
    Ok(page(catalog, request).await?.0.into_iter().next())
}

/// These companies as the catalog has them, purged ones too; those that it does not know are left out.
pub(crate) async fn of_companies(catalog: &CatalogClient, companies: &[CompanyId]) -> Result<Vec<Tenant>, Error> {
    let mut tenants = Vec::new();
    for some in companies.chunks(MAX_IDS) {
        let company_ids = some.iter().map(CompanyId::to_string).collect();
        let mut page_token = String::new();
        loop {
            let request =
                ListTenantsRequest { company_ids: Vec::clone(&company_ids), page_token, page_size: PAGE_SIZE };
            let (found, next) = page(catalog, request).await?;
            tenants.extend(found);
            if next.is_empty() {
                break;
            }
            page_token = next;
        }
    }
    Ok(tenants)
}

/// Every tenant that is not purged.
pub(crate) async fn all(catalog: &CatalogClient) -> Result<Vec<Tenant>, Error> {
    let mut tenants = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListTenantsRequest { page_size: PAGE_SIZE, page_token, ..Default::default() };
        let (found, next) = page(catalog, request).await?;
        tenants.extend(found);
        if next.is_empty() {
            return Ok(tenants);
        }
        page_token = next;
    }
}

async fn page(catalog: &CatalogClient, request: ListTenantsRequest) -> Result<(Vec<Tenant>, String), Error> {
    let request = client::request(request, Instant::now() + ANSWER_TIMEOUT);
    let answer = catalog.clone().list_tenants(request).await.map_err(unavailable)?.into_inner();
    Ok((answer.tenants, answer.next_page_token))
}

pub(crate) fn unavailable(status: Status) -> Error {
    Error::new(Reason::CatalogUnavailable, "the catalog cannot be asked; try again")
        .retry_after(Duration::from_secs(1))
        .caused_by(status)
}
