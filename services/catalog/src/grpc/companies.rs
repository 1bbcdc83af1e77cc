use std::sync::Arc;

use prost::Message;
use tenantry_api::catalog::v1::company_service_server::CompanyService;
use tenantry_api::catalog::v1::{
    Company, CreateCompanyRequest, DeleteCompanyRequest, EnterMaintenanceRequest, GetCompanyRequest,
    LeaveMaintenanceRequest, ListCompaniesRequest, ListCompaniesResponse, PurgeCompanyRequest, RegisterCompanyRequest,
    ResumeCompanyRequest, RetryProvisioningRequest, RotateDatabaseCredentialRequest, RotateDatabaseCredentialResponse,
    SignOutEveryoneRequest, SuspendCompanyRequest, UndeleteCompanyRequest, UpdateCompanyRequest,
};
use tenantry_idempotency::Fingerprint;
use tenantry_ids::CompanyId;
use tenantry_rpc::{Call, Caller, Context, Error, Violations, parse_field};
use tonic::{Request, Response, Status};

use super::company_requests as parse;
use super::convert::{company, company_for_operator, limits_shown, rotated_credential};
use crate::app::companies::{self, CompanyView, NewCompany, NewOwner, Traits};
use crate::app::lifecycle::{self, Ask};
use crate::app::replay::Replayable;
use crate::app::{App, rotation, updates};
use crate::domain::{Action, CompanyName, Email, SlugChoice, check_password};

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
        Ok(Response::new(company_for_operator(view)))
    }

    async fn get_company(&self, request: Request<GetCompanyRequest>) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        let view = companies::get(&self.0, parse::wanted(call.body)?).await?;
        Ok(Response::new(as_seen_by(call.context.caller(), view)))
    }

    async fn list_companies(
        &self,
        request: Request<ListCompaniesRequest>,
    ) -> Result<Response<ListCompaniesResponse>, Status> {
        let call = Call::open(request)?;
        let (filter, page) = parse::list(call.body)?;
        let (views, next_page_token) = companies::list(&self.0, &filter, page).await?;
        let companies = views.into_iter().map(company_for_operator).collect();
        Ok(Response::new(ListCompaniesResponse { companies, next_page_token }))
    }

    async fn update_company(&self, request: Request<UpdateCompanyRequest>) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        let (id, revision, changes) = parse::update(call.body)?;
        let view = updates::update(&self.0, &call.context, id, revision, &changes).await?;
        Ok(Response::new(company_for_operator(view)))
    }

    async fn suspend_company(&self, request: Request<SuspendCompanyRequest>) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        self.apply(&call.context, parse::suspend(call.body)?).await
    }

    async fn resume_company(&self, request: Request<ResumeCompanyRequest>) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        self.apply(&call.context, parse::resume(call.body)?).await
    }

    async fn enter_maintenance(&self, request: Request<EnterMaintenanceRequest>) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        self.apply(&call.context, parse::enter_maintenance(call.body)?).await
    }

    async fn leave_maintenance(&self, request: Request<LeaveMaintenanceRequest>) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        self.apply(&call.context, (parse_field("id", &call.body.id)?, Ask::to(Action::LeaveMaintenance))).await
    }

    async fn delete_company(&self, request: Request<DeleteCompanyRequest>) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        self.apply(&call.context, parse::delete(call.body)?).await
    }

    async fn undelete_company(&self, request: Request<UndeleteCompanyRequest>) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        self.apply(&call.context, (parse_field("id", &call.body.id)?, Ask::to(Action::Undelete))).await
    }

    async fn purge_company(&self, request: Request<PurgeCompanyRequest>) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        let wait = !call.body.no_wait;
        let (id, ask) = parse::purge(call.body)?;
        let view = lifecycle::begin(&self.0, &call.context, id, &ask, wait).await?;
        Ok(Response::new(company_for_operator(view)))
    }

    async fn retry_provisioning(
        &self,
        request: Request<RetryProvisioningRequest>,
    ) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        let (id, ask) = (parse_field("id", &call.body.id)?, Ask::to(Action::RetryProvisioning));
        let view = lifecycle::begin(&self.0, &call.context, id, &ask, !call.body.no_wait).await?;
        Ok(Response::new(company_for_operator(view)))
    }

    async fn rotate_database_credential(
        &self,
        request: Request<RotateDatabaseCredentialRequest>,
    ) -> Result<Response<RotateDatabaseCredentialResponse>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let fingerprint = self.fingerprint(&call.body);
        let id = violations.parse("id", &call.body.id);
        let replay = Replayable::parse(&mut violations, &call.context, &call.body.request_id, fingerprint);
        let rotated = rotation::rotate(&self.0, &call.context, violations.finish(id)?, &replay).await?;
        Ok(Response::new(rotated_credential(rotated)))
    }

    async fn sign_out_everyone(&self, request: Request<SignOutEveryoneRequest>) -> Result<Response<Company>, Status> {
        let call = Call::open(request)?;
        let (id, ask) = (parse_field("id", &call.body.id)?, Ask::to(Action::SignOutEveryone));
        let view = lifecycle::apply(&self.0, &call.context, id, &ask).await?;
        Ok(Response::new(as_seen_by(call.context.caller(), view)))
    }
}

impl CompanyGrpc {
    async fn apply(&self, context: &Context, (id, ask): (CompanyId, Ask)) -> Result<Response<Company>, Status> {
        let view = lifecycle::apply(&self.0, context, id, &ask).await?;
        Ok(Response::new(company_for_operator(view)))
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
        violations.finish(Some(NewCompany {
            name,
            slug,
            owner,
            server: None,
            adoption: None,
            traits: Traits::default(),
            replay,
        }))
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
        let traits = parse::traits(&mut violations, body.labels, &body.plan, &body.region);
        let adoption = parse::adoption(&mut violations, body.adopt_database, &body.database_server);
        let server = Some(body.database_server).filter(|server| !server.is_empty());
        let owner = NewOwner { email, password: body.owner_password, known_is_fine: true };
        violations.finish(Some(NewCompany { name, slug, owner, server, adoption, traits, replay }))
    }

    /// Keyed, since these bodies hold a password.
    fn fingerprint(&self, body: &impl Message) -> Fingerprint {
        Fingerprint::keyed(self.0.sealer.fingerprints(), &body.encode_to_vec())
    }
}

fn as_seen_by(caller: &Caller, view: CompanyView) -> Company {
    match caller {
        Caller::Operator(_) => company_for_operator(view),
        Caller::User(_) | Caller::Service(_) | Caller::Anonymous => {
            Company { effective_limits: limits_shown(view.limits), ..company(view.company) }
        }
    }
}
