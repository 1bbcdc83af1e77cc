use std::sync::Arc;

use prost::Message;
use tenantry_api::catalog::v1::issuer_service_server::IssuerService;
use tenantry_api::catalog::v1::{
    CreateIssuerCompanyRequest, CreateIssuerRequest, CreateIssuerUserRequest, DeleteIssuerCompanyRequest,
    DeleteIssuerRequest, DeleteIssuerUserRequest, GetIssuerRequest, Issuer, IssuerAlgorithm, IssuerCompany, IssuerUser,
    ListIssuerCompaniesRequest, ListIssuerCompaniesResponse, ListIssuerUsersRequest, ListIssuerUsersResponse,
    ListIssuersRequest, ListIssuersResponse, UpdateIssuerRequest,
};
use tenantry_idempotency::Fingerprint;
use tenantry_ids::IssuerId;
use tenantry_rpc::auth::KeyAlgorithm;
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Call, Context, Error, Violations, parse_field};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use crate::app::App;
use crate::app::issuers::{self, Changes, NewIssuer, Traits, mapping};
use crate::app::replay::Replayable;
use crate::domain::{IssuerUrl, KeyHost, PlainHttp};
use crate::store::entities::{issuer, issuer_company, issuer_user};

const MAX_URL_CHARS: usize = 512;
/// Of an audience, a claim's name, a claim's value and a subject.
const MAX_TEXT_CHARS: usize = 255;
/// Of audiences and of key hosts.
const MAX_LISTED: usize = 10;
const TOKEN_AGE_S: std::ops::RangeInclusive<i32> = 60..=86_400;
const DEFAULT_TOKEN_AGE_S: i32 = 3_600;
const DEFAULT_USER_CLAIM: &str = "sub";

/// The fields that a mask can name.
const FIELDS: [&str; 8] = [
    "audiences",
    "algorithms",
    "company_claim",
    "user_claim",
    "link_by_verified_email",
    "key_hosts",
    "max_token_age_seconds",
    "disabled",
];

pub(crate) struct IssuerGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl IssuerService for IssuerGrpc {
    async fn create_issuer(&self, request: Request<CreateIssuerRequest>) -> Result<Response<Issuer>, Status> {
        let call = Call::open(request)?;
        let new = parse_creation(&call.context, call.body, self.0.issuer_keys.plain_http())?;
        Ok(Response::new(convert(issuers::create(&self.0, &call.context, new).await?)))
    }

    async fn get_issuer(&self, request: Request<GetIssuerRequest>) -> Result<Response<Issuer>, Status> {
        let id = parse_field("id", &Call::open(request)?.body.id)?;
        Ok(Response::new(convert(issuers::get(&self.0, id).await?)))
    }

    async fn list_issuers(
        &self,
        request: Request<ListIssuersRequest>,
    ) -> Result<Response<ListIssuersResponse>, Status> {
        let body = Call::open(request)?.body;
        let mut violations = Violations::new();
        let page = Page::parse(&mut violations, issuers::LIST, body.page_size, &body.page_token);
        let (rows, next_page_token) = issuers::list(&self.0, violations.finish(Some(page))?).await?;
        Ok(Response::new(ListIssuersResponse { issuers: rows.into_iter().map(convert).collect(), next_page_token }))
    }

    async fn update_issuer(&self, request: Request<UpdateIssuerRequest>) -> Result<Response<Issuer>, Status> {
        let call = Call::open(request)?;
        let (which, changes) = parse_update(call.body)?;
        Ok(Response::new(convert(issuers::update(&self.0, &call.context, which, &changes).await?)))
    }

    async fn delete_issuer(&self, request: Request<DeleteIssuerRequest>) -> Result<Response<()>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let id = violations.parse("id", &call.body.id);
        let revision = violations.etag("etag", &call.body.etag);
        issuers::delete(&self.0, &call.context, violations.finish(id)?, revision).await?;
        Ok(Response::new(()))
    }

    async fn create_issuer_company(
        &self,
        request: Request<CreateIssuerCompanyRequest>,
    ) -> Result<Response<IssuerCompany>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let issuer = violations.parse("issuer_id", &call.body.issuer_id);
        let value = parse_text(&mut violations, "claim_value", &call.body.claim_value);
        let company = violations.parse("company_id", &call.body.company_id);
        let (issuer, company) = violations.finish(issuer.zip(company))?;
        let row = mapping::map(&self.0, &call.context, (issuer, &value, company)).await?;
        Ok(Response::new(convert_company(row)))
    }

    async fn list_issuer_companies(
        &self,
        request: Request<ListIssuerCompaniesRequest>,
    ) -> Result<Response<ListIssuerCompaniesResponse>, Status> {
        let body = Call::open(request)?.body;
        let (issuer, page) = parse_list(mapping::COMPANIES, &body.issuer_id, body.page_size, &body.page_token)?;
        let (rows, next_page_token) = mapping::companies(&self.0, issuer, page).await?;
        let issuer_companies = rows.into_iter().map(convert_company).collect();
        Ok(Response::new(ListIssuerCompaniesResponse { issuer_companies, next_page_token }))
    }

    async fn delete_issuer_company(
        &self,
        request: Request<DeleteIssuerCompanyRequest>,
    ) -> Result<Response<()>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let issuer = violations.parse("issuer_id", &call.body.issuer_id);
        let value = parse_text(&mut violations, "claim_value", &call.body.claim_value);
        mapping::unmap(&self.0, &call.context, violations.finish(issuer)?, &value).await?;
        Ok(Response::new(()))
    }

    async fn create_issuer_user(
        &self,
        request: Request<CreateIssuerUserRequest>,
    ) -> Result<Response<IssuerUser>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let issuer = violations.parse("issuer_id", &call.body.issuer_id);
        let subject = parse_text(&mut violations, "subject", &call.body.subject);
        let user = violations.parse("user_id", &call.body.user_id);
        let (issuer, user) = violations.finish(issuer.zip(user))?;
        let row = mapping::link(&self.0, &call.context, (issuer, &subject, user)).await?;
        Ok(Response::new(convert_user(row)))
    }

    async fn list_issuer_users(
        &self,
        request: Request<ListIssuerUsersRequest>,
    ) -> Result<Response<ListIssuerUsersResponse>, Status> {
        let body = Call::open(request)?.body;
        let (issuer, page) = parse_list(mapping::USERS, &body.issuer_id, body.page_size, &body.page_token)?;
        let (rows, next_page_token) = mapping::users(&self.0, issuer, page).await?;
        let issuer_users = rows.into_iter().map(convert_user).collect();
        Ok(Response::new(ListIssuerUsersResponse { issuer_users, next_page_token }))
    }

    async fn delete_issuer_user(&self, request: Request<DeleteIssuerUserRequest>) -> Result<Response<()>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let issuer = violations.parse("issuer_id", &call.body.issuer_id);
        let subject = parse_text(&mut violations, "subject", &call.body.subject);
        mapping::unlink(&self.0, &call.context, violations.finish(issuer)?, &subject).await?;
        Ok(Response::new(()))
    }
}

fn parse_creation(context: &Context, body: CreateIssuerRequest, plain_http: PlainHttp) -> Result<NewIssuer, Error> {
    let mut violations = Violations::new();
    let fingerprint = Fingerprint::of(&body.encode_to_vec());
    let replay = Replayable::parse(&mut violations, context, &body.request_id, fingerprint);
    let issuer = body.issuer.unwrap_or_default();
    let url = violations.text("issuer.issuer_url", &issuer.issuer_url, MAX_URL_CHARS);
    if let Err(problem) = IssuerUrl::parse(&url, plain_http) {
        violations.add("issuer.issuer_url", problem);
    }
    let or = |text: String, default: &str| if text.is_empty() { default.to_owned() } else { text };
    let algorithms = match issuer.algorithms.as_slice() {
        [] => vec![KeyAlgorithm::Es256, KeyAlgorithm::Rs256],
        some => parse_algorithms(&mut violations, some),
    };
    let max_token_age_s = match issuer.max_token_age_seconds {
        0 => DEFAULT_TOKEN_AGE_S,
        age => parse_age(&mut violations, age),
    };
    let traits = Traits {
        audiences: parse_audiences(&mut violations, issuer.audiences),
        algorithms,
        company_claim: parse_text(&mut violations, "issuer.company_claim", &issuer.company_claim),
        user_claim: parse_text(&mut violations, "issuer.user_claim", &or(issuer.user_claim, DEFAULT_USER_CLAIM)),
        link_by_verified_email: issuer.link_by_verified_email,
        key_hosts: parse_hosts(&mut violations, issuer.key_hosts),
        max_token_age_s,
        disabled: issuer.disabled,
    };
    violations.finish(Some(NewIssuer { url, traits, replay }))
}

/// A field that is not in the mask is not checked: it is not written.
fn parse_update(body: UpdateIssuerRequest) -> Result<((IssuerId, Option<i64>), Changes), Error> {
    let mut violations = Violations::new();
    let issuer = body.issuer.unwrap_or_default();
    let fields = masked(&mut violations, body.update_mask.unwrap_or_default().paths, &issuer);
    let named = |field: &str| fields.iter().any(|path| path == field);
    let id = violations.parse("issuer.id", &issuer.id);
    let revision = violations.etag("issuer.etag", &issuer.etag);
    let changes = Changes {
        audiences: named("audiences").then(|| parse_audiences(&mut violations, issuer.audiences)),
        algorithms: named("algorithms").then(|| parse_algorithms(&mut violations, &issuer.algorithms)),
        company_claim: named("company_claim")
            .then(|| parse_text(&mut violations, "issuer.company_claim", &issuer.company_claim)),
        user_claim: named("user_claim").then(|| parse_text(&mut violations, "issuer.user_claim", &issuer.user_claim)),
        link_by_verified_email: named("link_by_verified_email").then_some(issuer.link_by_verified_email),
        key_hosts: named("key_hosts").then(|| parse_hosts(&mut violations, issuer.key_hosts)),
        max_token_age_s: named("max_token_age_seconds")
            .then(|| parse_age(&mut violations, issuer.max_token_age_seconds)),
        disabled: named("disabled").then_some(issuer.disabled),
    };
    Ok(((violations.finish(id)?, revision), changes))
}

/// The fields that a mask names (AIP-134): an empty one names every field that is set, `*` names all.
fn masked(violations: &mut Violations, paths: Vec<String>, issuer: &Issuer) -> Vec<String> {
    if paths.iter().any(|path| path == "*") {
        return FIELDS.map(str::to_owned).to_vec();
    }
    if paths.is_empty() {
        let set = [
            !issuer.audiences.is_empty(),
            !issuer.algorithms.is_empty(),
            !issuer.company_claim.is_empty(),
            !issuer.user_claim.is_empty(),
            issuer.link_by_verified_email,
            !issuer.key_hosts.is_empty(),
            issuer.max_token_age_seconds != 0,
            issuer.disabled,
        ];
        return FIELDS.into_iter().zip(set).filter(|(_, set)| *set).map(|(field, _)| field.to_owned()).collect();
    }
    for path in paths.iter().filter(|path| !FIELDS.contains(&path.as_str())) {
        violations.add("update_mask", format!("{path:?} is no field that can be changed"));
    }
    paths
}

fn parse_list(list: &str, issuer: &str, page_size: i32, page_token: &str) -> Result<(IssuerId, Page), Error> {
    let mut violations = Violations::new();
    let id = violations.parse("issuer_id", issuer);
    let page = Page::parse(&mut violations, list, page_size, page_token);
    violations.finish(id.map(|id| (id, page)))
}

/// A text that tokens have to say as it is: spaces at its ends would be a mistake, and nobody would see them.
fn parse_text(violations: &mut Violations, field: &str, text: &str) -> String {
    violations.check(text.trim() == text, field, "must have no spaces at its ends");
    violations.text(field, text, MAX_TEXT_CHARS)
}

fn parse_audiences(violations: &mut Violations, mut audiences: Vec<String>) -> Vec<String> {
    audiences.sort();
    audiences.dedup();
    let fits = (1..=MAX_LISTED).contains(&audiences.len());
    violations.check(fits, "issuer.audiences", "must be 1 to 10");
    for audience in audiences.iter().take(MAX_LISTED) {
        parse_text(violations, "issuer.audiences", audience);
    }
    audiences
}

fn parse_algorithms(violations: &mut Violations, wire: &[i32]) -> Vec<KeyAlgorithm> {
    let known = |algorithm: &i32| match IssuerAlgorithm::try_from(*algorithm).unwrap_or_default() {
        IssuerAlgorithm::Unspecified => None,
        IssuerAlgorithm::Es256 => Some(KeyAlgorithm::Es256),
        IssuerAlgorithm::Rs256 => Some(KeyAlgorithm::Rs256),
        IssuerAlgorithm::Eddsa => Some(KeyAlgorithm::EdDsa),
    };
    let algorithms: Vec<_> = [IssuerAlgorithm::Es256, IssuerAlgorithm::Rs256, IssuerAlgorithm::Eddsa]
        .into_iter()
        .map(i32::from)
        .filter(|algorithm| wire.contains(algorithm))
        .filter_map(|algorithm| known(&algorithm))
        .collect();
    let fits = !wire.is_empty() && wire.iter().all(|algorithm| known(algorithm).is_some());
    violations.check(fits, "issuer.algorithms", "must be one or more of ES256, RS256 and EDDSA");
    algorithms
}

fn parse_hosts(violations: &mut Violations, mut hosts: Vec<String>) -> Vec<String> {
    hosts.sort();
    hosts.dedup();
    let fit = |host: &String| host.len() <= MAX_TEXT_CHARS && KeyHost::parse(host).is_some();
    let fits = hosts.len() <= MAX_LISTED && hosts.iter().all(fit);
    violations.check(fits, "issuer.key_hosts", "must be at most 10, each written as host or host:port");
    hosts
}

fn parse_age(violations: &mut Violations, age: i32) -> i32 {
    violations.check(TOKEN_AGE_S.contains(&age), "issuer.max_token_age_seconds", "must be 60 to 86,400");
    age
}

fn convert(row: issuer::Model) -> Issuer {
    let wire = |algorithm| match algorithm {
        KeyAlgorithm::Es256 => IssuerAlgorithm::Es256,
        KeyAlgorithm::Rs256 => IssuerAlgorithm::Rs256,
        KeyAlgorithm::EdDsa => IssuerAlgorithm::Eddsa,
    };
    Issuer {
        id: row.id.to_string(),
        audiences: issuers::texts(&row.audiences),
        algorithms: issuers::algorithms(&row).into_iter().map(|algorithm| wire(algorithm).into()).collect(),
        key_hosts: issuers::texts(&row.key_hosts),
        issuer_url: row.issuer_url,
        company_claim: row.company_claim,
        user_claim: row.user_claim,
        link_by_verified_email: row.link_by_verified_email,
        max_token_age_seconds: row.max_token_age_s,
        disabled: row.disabled,
        etag: row.revision.to_string(),
        create_time: Some(timestamp(row.created_at)),
        update_time: Some(timestamp(row.updated_at)),
    }
}

fn convert_company(row: issuer_company::Model) -> IssuerCompany {
    IssuerCompany {
        issuer_id: row.issuer_id.to_string(),
        claim_value: row.claim_value,
        company_id: row.company_id.to_string(),
        create_time: Some(timestamp(row.created_at)),
    }
}

fn convert_user(row: issuer_user::Model) -> IssuerUser {
    IssuerUser {
        issuer_id: row.issuer_id.to_string(),
        subject: row.subject,
        user_id: row.user_id.to_string(),
        create_time: Some(timestamp(row.created_at)),
    }
}
