//! What is done with every installation to see that it works.

use tenantry_api::crm::v1::{CreatePersonRequest, GetPersonRequest, ListPeopleRequest, Person};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Owner};
use tenantry_testkit::sandbox::Clients;

use crate::support::reason;

/// A company with a person in it.
pub(crate) struct Inhabited {
    pub(crate) owner: Owner,
    pub(crate) person: Person,
}

impl Inhabited {
    pub(crate) async fn new(at: Clients, company: &str) -> anyhow::Result<Self> {
        let owner = Owner::of_new_company(at, company).await?;
        let person = add(at, &owner).await?;
        Ok(Self { owner, person })
    }

    /// The person, read by somebody: the same as it was written.
    pub(crate) async fn is_seen_by(&self, at: Clients, actor: &impl Actor) -> anyhow::Result<()> {
        let get = GetPersonRequest { id: self.person.id.clone() };
        assert_eq!(at.people()?.get_person(actor.request(get)).await?.into_inner(), self.person);
        Ok(())
    }

    /// Nothing of it, for somebody of another company.
    pub(crate) async fn is_hidden_from(&self, at: Clients, other: &Inhabited) -> anyhow::Result<()> {
        let get = GetPersonRequest { id: self.person.id.clone() };
        let got = at.people()?.get_person(other.owner.request(get)).await;
        assert_eq!(reason(got), Some(Reason::PersonNotFound));
        let list = other.owner.request(ListPeopleRequest::default());
        assert_eq!(at.people()?.list_people(list).await?.into_inner().people, std::slice::from_ref(&other.person));
        Ok(())
    }
}

pub(super) async fn add(at: Clients, actor: &impl Actor) -> anyhow::Result<Person> {
    let person = Person { name: "Grace".into(), surname: "Hopper 電".into(), ..Default::default() };
    let create = CreatePersonRequest { person: Some(person), ..Default::default() };
    Ok(at.people()?.create_person(actor.request(create)).await?.into_inner())
}
