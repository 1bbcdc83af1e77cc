use std::sync::Arc;

use prost::Message;
use tenantry_api::crm::v1::person_service_server::PersonService;
use tenantry_api::crm::v1::{
    CreatePersonRequest, DeletePersonRequest, GetPersonRequest, ListPeopleRequest, ListPeopleResponse, Person,
    UpdatePersonRequest,
};
use tenantry_idempotency::{Fingerprint, Key};
use tenantry_ids::PersonId;
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Call, Context, Error, Violations, parse_field};
use tenantry_tenancy::TenantCall;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::convert;
use crate::app::people::{self, Replay};
use crate::app::{App, CrmError};
use crate::domain::{PersonField, Profile};

pub(crate) struct PersonGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl PersonService for PersonGrpc {
    async fn create_person(&self, request: Request<CreatePersonRequest>) -> Result<Response<Person>, Status> {
        let call = Call::open(request)?;
        let (profile, replay) = self.parse_creation(&call.context, &call.body)?;
        let person = people::create(&self.0, &call.tenant_db()?, &call.context, &profile, &replay).await;
        respond(person.map(convert::person))
    }

    async fn get_person(&self, request: Request<GetPersonRequest>) -> Result<Response<Person>, Status> {
        let call = Call::open(request)?;
        let id = parse_field("id", &call.body.id)?;
        respond(people::get(&call.tenant_db()?, id).await.map(convert::person))
    }

    async fn list_people(&self, request: Request<ListPeopleRequest>) -> Result<Response<ListPeopleResponse>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let page = Page::parse(&mut violations, people::LIST, call.body.page_size, &call.body.page_token);
        violations.into_result()?;
        respond(people::list(&call.tenant_db()?, page).await.map(|(rows, next_page_token)| ListPeopleResponse {
            people: rows.into_iter().map(convert::person).collect(),
            next_page_token,
        }))
    }

    async fn update_person(&self, request: Request<UpdatePersonRequest>) -> Result<Response<Person>, Status> {
        let call = Call::open(request)?;
        let update = self.parse_update(call.body.clone())?;
        let (id, revision, profile, fields) = (update.id, update.revision, &update.profile, &update.fields);
        let person = people::update(&self.0, &call.tenant_db()?, &call.context, id, revision, profile, fields).await;
        respond(person.map(convert::person))
    }

    async fn delete_person(&self, request: Request<DeletePersonRequest>) -> Result<Response<()>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let id = violations.parse("id", &call.body.id);
        let revision = violations.etag("etag", &call.body.etag);
        let id = violations.finish(id)?;
        respond(people::delete(&self.0, &call.tenant_db()?, &call.context, id, revision).await)
    }
}

fn respond<T>(result: Result<T, CrmError>) -> Result<Response<T>, Status> {
    result.map(Response::new).map_err(|error| Error::from(error).into())
}

struct Update {
    id: PersonId,
    revision: Option<i64>,
    profile: Profile,
    fields: Vec<PersonField>,
}

impl PersonGrpc {
    fn parse_creation(&self, context: &Context, body: &CreatePersonRequest) -> Result<(Profile, Replay), Error> {
        let mut violations = Violations::new();
        let profile = convert::profile(&mut violations, body.person.clone().unwrap_or_default());
        let profile = profile.checked(&mut violations, self.0.clock.now().date_naive());
        let id = body.request_id.as_str();
        violations.check(id.is_empty() || Uuid::try_parse(id).is_ok(), "request_id", "must be a UUID, or empty");
        let key = || Key {
            caller: context.caller().subject(),
            method: context.method().to_owned(),
            request_id: id.to_ascii_lowercase(),
        };
        let replay = (!id.is_empty()).then(|| (key(), Fingerprint::of(&body.encode_to_vec())));
        violations.finish(Some((profile, replay)))
    }

    /// A field that is not in the mask is not checked: it is not written.
    fn parse_update(&self, body: UpdatePersonRequest) -> Result<Update, Error> {
        let mut violations = Violations::new();
        let wire = body.person.unwrap_or_default();
        let id = violations.parse("person.id", &wire.id);
        let revision = violations.etag("person.etag", &wire.etag);
        let fields = convert::mask(&mut violations, &body.update_mask.unwrap_or_default().paths, &wire);
        let written = convert::profile(&mut violations, wire);
        let harmless = Profile { name: "unchanged".to_owned(), ..Profile::default() };
        let profile = harmless.with(written, &fields).checked(&mut violations, self.0.clock.now().date_naive());
        let id = violations.finish(id)?;
        Ok(Update { id, revision, profile, fields })
    }
}
