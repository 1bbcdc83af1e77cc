//! The service for one company, as one would write it without us, and one that only answers.

use sea_orm::Database;
use sea_orm::entity::prelude::*;
use tenantry_api::crm::v1::person_service_server::{PersonService, PersonServiceServer};
use tenantry_api::crm::v1::{
    CreatePersonRequest, Date, DeletePersonRequest, GetPersonRequest, ListPeopleRequest, ListPeopleResponse, Person,
    PersonKind, SearchPeopleRequest, SearchPeopleResponse, UpdatePersonRequest,
};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// As it is served: the ordinary pool on the one database.
pub(crate) async fn serve(database_url: &str) -> anyhow::Result<()> {
    listen(ByHand(Database::connect(database_url).await?)).await
}

pub(crate) async fn echo() -> anyhow::Result<()> {
    listen(Echo).await
}

async fn listen(service: impl PersonService) -> anyhow::Result<()> {
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?.with_nodelay(Some(true));
    println!("it listens on {}", incoming.local_addr()?);
    Ok(Server::builder().add_service(PersonServiceServer::new(service)).serve_with_incoming(incoming).await?)
}

#[allow(unreachable_pub)] // The derive wants its model public.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "people")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub kind: String,
    pub title: Option<String>,
    pub name: String,
    pub surname: String,
    pub birth_date: Option<chrono::NaiveDate>,
    pub gender: Option<String>,
    pub education: Option<String>,
    pub nationality: Option<String>,
    pub labels: Json,
    pub revision: i64,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

#[allow(unreachable_pub)]
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

struct ByHand(DatabaseConnection);

impl ByHand {
    async fn get(&self, request: GetPersonRequest) -> Result<Person, Status> {
        let id = Uuid::parse_str(&request.id).map_err(|_| Status::invalid_argument("id must be a UUID"))?;
        let row = Entity::find_by_id(id).one(&self.0).await.map_err(|error| Status::internal(error.to_string()))?;
        row.map(person).ok_or_else(|| Status::not_found("no such person"))
    }
}

fn person(row: Model) -> Person {
    use chrono::Datelike as _;
    let kind = match row.kind.as_str() {
        "agent" => PersonKind::Agent,
        "staff" => PersonKind::Staff,
        _ => PersonKind::Customer,
    };
    let date = |date: chrono::NaiveDate| Date { year: date.year(), month: date.month() as i32, day: date.day() as i32 };
    let time = |time: DateTimeUtc| prost_types::Timestamp {
        seconds: time.timestamp(),
        nanos: time.timestamp_subsec_nanos() as i32,
    };
    Person {
        id: row.id.to_string(),
        kind: kind.into(),
        title: row.title.unwrap_or_default(),
        name: row.name,
        surname: row.surname,
        birth_date: row.birth_date.map(date),
        gender: row.gender.unwrap_or_default(),
        education: row.education.unwrap_or_default(),
        nationality: row.nationality.unwrap_or_default(),
        labels: serde_json::from_value(row.labels).unwrap_or_default(),
        create_time: Some(time(row.created_at)),
        update_time: Some(time(row.updated_at)),
        etag: row.revision.to_string(),
    }
}

struct Echo;

impl Echo {
    async fn get(&self, request: GetPersonRequest) -> Result<Person, Status> {
        let (name, surname) = ("Grace".to_owned(), "Hopper 電".to_owned());
        Ok(Person { id: request.id, name, surname, ..Default::default() })
    }
}

/// Nobody asks for the others.
macro_rules! get_alone {
    ($service:ident) => {
        #[tonic::async_trait]
        impl PersonService for $service {
            async fn get_person(&self, request: Request<GetPersonRequest>) -> Result<Response<Person>, Status> {
                self.get(request.into_inner()).await.map(Response::new)
            }

            async fn create_person(&self, _: Request<CreatePersonRequest>) -> Result<Response<Person>, Status> {
                Err(Status::unimplemented(""))
            }

            async fn update_person(&self, _: Request<UpdatePersonRequest>) -> Result<Response<Person>, Status> {
                Err(Status::unimplemented(""))
            }

            async fn delete_person(&self, _: Request<DeletePersonRequest>) -> Result<Response<()>, Status> {
                Err(Status::unimplemented(""))
            }

            async fn list_people(&self, _: Request<ListPeopleRequest>) -> Result<Response<ListPeopleResponse>, Status> {
                Err(Status::unimplemented(""))
            }

            async fn search_people(
                &self,
                _: Request<SearchPeopleRequest>,
            ) -> Result<Response<SearchPeopleResponse>, Status> {
                Err(Status::unimplemented(""))
            }
        }
    };
}

get_alone!(ByHand);
get_alone!(Echo);
