use std::sync::Arc;

use prost::Message;
use tenantry_api::catalog::v1::company_service_server::CompanyService;
use tenantry_api::catalog::v1::{
    Company, CreateCompanyRequest, GetCompanyRequest, ListCompaniesRequest, ListCompaniesResponse,
    RegisterCompanyRequest,
};
use tenantry_idempotency::Fingerprint;
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Call, Caller, Context, Error, Violations, parse_field};
use tonic::{Request, Response, Status};

use super::convert::{company, company_with_steps};
use crate::app::App;
use crate::app::companies::{self, CompanyView, NewCompany, NewOwner};
use crate::app::replay::Replayable;
use crate::domain::{CompanyName, Email, SlugChoice, check_password};

pub(crate) struct CompanyGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl CompanyService for CompanyGrpc {
    async fn register_company(&self, request: Request<RegisterCompanyRequest>) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        let new = self.parse_registration(&call.context, call.body)?;
        let view = companies::register(&self.0, &call.context, new).await?;
        Ok(Response::new(company(view.company)))
    }

    async fn create_company(&self, request: Request<CreateCompanyRequest>) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        let wait = !call.body.no_wait;
        let new = self.parse_creation(&call.context, call.body)?;
        let view = companies::create(&self.0, &call.context, new, wait).await?;
        Ok(Response::new(company_with_steps(view)))
    }

    async fn get_company(&self, request: Request<GetCompanyRequest>) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        let view = companies::view(&self.0, parse_field("id", &call.body.id)?).await?;
        Ok(Response::new(as_seen_by(call.context.caller(), view)))
    }

    async fn list_companies(
        &self,
        request: Request<ListCompaniesRequest>,
    ) -> Result<Response<ListCompaniesResponse>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let page = Page::parse(&mut violations, companies::LIST, call.body.page_size, &call.body.page_token);
        violations.into_result()?;
        let (rows, next_page_token) = companies::list(&self.0, page).await?;
        let companies = rows.into_iter().map(company).collect();
        Ok(Response::new(ListCompaniesResponse { companies, next_page_token }))
    }
}

impl CompanyGrpc {
    fn parse_registration(&self, context: &Context, body: RegisterCompanyRequest) -> Result<NewCompany, Error> {
        let mut violations = Violations::new();
        let fingerprint = self.fingerprint(&body);
        let name = CompanyName::parse(&mut violations, "name", &body.name);
        let slug = SlugChoice::parse(&mut violations, "slug", &body.slug, &name);
        let email = Email::parse(&mut violations, "owner_email", &body.owner_email);
        check_password(&mut violations, "owner_password", &body.owner_password);
        let replay = Replayable::parse(&mut violations, context, &body.request_id, fingerprint);
        let owner = NewOwner { email, password: body.owner_password, known_is_fine: false };
        violations.finish(Some(NewCompany { name, slug, owner, server: None, replay }))
    }

    fn parse_creation(&self, context: &Context, body: CreateCompanyRequest) -> Result<NewCompany, Error> {
        let mut violations = Violations::new();
        let fingerprint = self.fingerprint(&body);
        let name = CompanyName::parse(&mut violations, "name", &body.name);
        let slug = SlugChoice::parse(&mut violations, "slug", &body.slug, &name);
        let email = Email::parse(&mut violations, "owner_email", &body.owner_email);
        if !body.owner_password.is_empty() {
            check_password(&mut violations, "owner_password", &body.owner_password);
        }
        let replay = Replayable::parse(&mut violations, context, &body.request_id, fingerprint);
        let server = Some(body.database_server).filter(|server| !server.is_empty());
        let owner = NewOwner { email, password: body.owner_password, known_is_fine: true };
        violations.finish(Some(NewCompany { name, slug, owner, server, replay }))
    }

    /// Keyed, since these bodies hold a password.
    fn fingerprint(&self, body: &impl Message) -> Fingerprint {
        Fingerprint::keyed(self.0.sealer.fingerprints(), &body.encode_to_vec())
    }
}

fn as_seen_by(caller: &Caller, view: CompanyView) -> Company {
    match caller {
        Caller::Operator(_) => company_with_steps(view),
        Caller::User(_) | Caller::Service(_) | Caller::Anonymous => company(view.company),
    }
}
