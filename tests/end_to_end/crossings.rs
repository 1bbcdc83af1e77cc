//! Companies that do random things at the same time, while they are suspended, upgraded, in maintenance and resumed:
//! whatever is read was written by its reader's company, and nothing that was promised is lost.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use prost_types::FieldMask;
use tenantry_api::crm::v1::person_service_client::PersonServiceClient;
use tenantry_api::crm::v1::{
    CreatePersonRequest, DeletePersonRequest, GetPersonRequest, ListPeopleRequest, Person, SearchPeopleRequest,
    UpdatePersonRequest,
};
use tenantry_api::migrator::v1::rollback_scope::Scope;
use tenantry_api::migrator::v1::{MigrateRequest, RollbackRequest, RollbackScope};
use tenantry_rpc::client::ServiceChannel;
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::{Actor, Bearer, Operator, Owner, login};
use tenantry_testkit::sandbox::Sandbox;
use tenantry_testkit::zipf::Random;
use tokio::task::JoinSet;
use tonic::Status;

use crate::lifecycle::Operations;
use crate::migrations::{BEFORE, HEAD, company, wait_for_version};
use crate::processes::eventually;
use crate::support::per_engine;

per_engine!(every_row_that_is_read_is_its_readers);

const SEED: u64 = 20_261_122;
const COMPANIES: usize = 4;
const WORKERS: usize = 6;
/// What each worker does at least.
const DEEDS: usize = 40;
/// So many people of a company, that all are on one page.
const MOST: usize = 500;
/// What is done to companies while they work.
const TURNS: usize = 12;

/// A company, with what it was promised.
struct World {
    id: String,
    email: String,
    token: Mutex<String>,
    people: Mutex<BTreeSet<String>>,
}

impl World {
    fn bearer(&self) -> Bearer {
        Bearer(self.token.lock().expect("nobody panics").clone())
    }

    fn anybody(&self, random: &mut Random) -> Option<String> {
        let people = self.people.lock().expect("nobody panics");
        let at = random.below(people.len().max(1));
        people.iter().nth(at).cloned()
    }

    /// Every row carries its company's id as its family name.
    fn owns(&self, person: &Person) {
        assert_eq!(person.surname, self.id, "a row of another company: {person:?}");
    }
}

/// Somebody who works for all companies in turn.
struct Worker {
    worlds: Arc<Vec<World>>,
    people: PersonServiceClient<ServiceChannel>,
    random: Random,
    /// Rows that were read.
    rows: Arc<AtomicUsize>,
}

impl Worker {
    async fn work(mut self, over: Arc<AtomicBool>) {
        let mut deeds = 0;
        while deeds < DEEDS || !over.load(Ordering::Acquire) {
            deeds += 1;
            let at = self.random.below(COMPANIES);
            let other = (at + 1 + self.random.below(COMPANIES - 1)) % COMPANIES;
            let worlds = self.worlds.clone();
            if let Err(status) = self.deed(&worlds[at], &worlds[other]).await {
                let reason = reason_of(&status);
                let expected = [
                    Reason::TenantSuspended,
                    Reason::TenantInMaintenance,
                    Reason::TokenStale,
                    // Until the company is upgraded.
                    Reason::SchemaTooOld,
                    // By the one who deleted it first.
                    Reason::PersonNotFound,
                ];
                assert!(reason.is_some_and(|reason| expected.contains(&reason)), "{status:?}");
            }
        }
    }

    async fn deed(&mut self, own: &World, other: &World) -> Result<(), Status> {
        let who = own.bearer();
        match self.random.below(8) {
            0 | 1 if own.people.lock().expect("nobody panics").len() < MOST => {
                let name = format!("O'Neil \"{}\" 電", self.random.below(1_000));
                let person = Person { name, surname: own.id.clone(), ..Default::default() };
                let create = CreatePersonRequest { person: Some(person), ..Default::default() };
                let made = self.people.create_person(who.request(create)).await?.into_inner();
                own.owns(&made);
                own.people.lock().expect("nobody panics").insert(made.id);
            }
            0..=2 => {
                let list = who.request(ListPeopleRequest { page_size: 1_000, ..Default::default() });
                let listed = self.people.list_people(list).await?.into_inner().people;
                listed.iter().for_each(|person| own.owns(person));
                self.rows.fetch_add(listed.len(), Ordering::Relaxed);
            }
            3 => {
                let search = SearchPeopleRequest { query: "o'neil".to_owned(), ..Default::default() };
                let found = self.people.search_people(who.request(search)).await?.into_inner().people;
                found.iter().for_each(|person| own.owns(person));
                self.rows.fetch_add(found.len(), Ordering::Relaxed);
            }
            4 => {
                let Some(id) = own.anybody(&mut self.random) else { return Ok(()) };
                own.owns(&self.people.get_person(who.request(GetPersonRequest { id })).await?.into_inner());
                self.rows.fetch_add(1, Ordering::Relaxed);
            }
            5 => {
                let Some(id) = own.anybody(&mut self.random) else { return Ok(()) };
                own.owns(&self.people.update_person(who.request(retitled(id))).await?.into_inner());
            }
            6 => {
                let Some(id) = own.anybody(&mut self.random) else { return Ok(()) };
                // Before it is asked for: whoever is refused does not know whether it was too late.
                own.people.lock().expect("nobody panics").remove(&id);
                self.people.delete_person(who.request(DeletePersonRequest { id, ..Default::default() })).await?;
            }
            _ => {
                // What is another company's is not there, to be read or to be written.
                let Some(id) = other.anybody(&mut self.random) else { return Ok(()) };
                let get = who.request(GetPersonRequest { id: id.clone() });
                assert!(self.people.get_person(get).await.is_err(), "{} reads of {}", own.id, other.id);
                assert!(self.people.update_person(who.request(retitled(id))).await.is_err());
            }
        }
        Ok(())
    }
}

fn retitled(id: String) -> UpdatePersonRequest {
    let person = Person { id, title: "Dr".to_owned(), ..Default::default() };
    let update_mask = Some(FieldMask { paths: vec!["title".to_owned()] });
    UpdatePersonRequest { person: Some(person), update_mask }
}

/// What an operator does to a company that works.
async fn turn(sandbox: &Sandbox, operations: &Operations, world: &World, which: usize) -> anyhow::Result<()> {
    match which {
        0 => {
            operations.suspend(&world.id).await?;
            operations.resume(&world.id).await?;
            let token = login(sandbox, &world.email).await?;
            *world.token.lock().expect("nobody panics") = token;
        }
        1 => {
            operations.enter_maintenance(&world.id, 1).await?;
            operations.leave_maintenance(&world.id).await?;
        }
        _ => {
            // The second time there is nothing to do.
            let migrate = MigrateRequest { target: company(&world.id), version: String::new() };
            sandbox.migrations()?.migrate(operations.operator.request(migrate)).await?;
        }
    }
    Ok(())
}

async fn every_row_that_is_read_is_its_readers(sandbox: &Sandbox) -> anyhow::Result<()> {
    println!("seed {SEED}");
    let operations = Operations { at: sandbox.clients(), operator: Operator::of(sandbox).await? };
    let mut worlds = Vec::new();
    for number in 0..COMPANIES {
        let owner = Owner::of_new_company(sandbox, &format!("Crossing {number}")).await?;
        let id = owner.company.id.clone();
        let scope = Some(RollbackScope { scope: Some(Scope::Steps(1)) });
        let back = RollbackRequest { target: company(&id), scope, force: false };
        sandbox.migrations()?.rollback(operations.operator.request(back)).await?;
        wait_for_version(sandbox, &operations.operator, &id, BEFORE).await?;
        let token = Mutex::new(owner.token().expect("a token").to_owned());
        worlds.push(World { id, email: owner.email, token, people: Mutex::default() });
    }
    let worlds = Arc::new(worlds);
    let (over, rows) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        let random = Random::new(SEED + number as u64);
        let worker = Worker { worlds: worlds.clone(), people: sandbox.people()?, random, rows: rows.clone() };
        workers.spawn(worker.work(over.clone()));
    }
    let mut turned = Ok(());
    for number in 0..TURNS {
        // Each company meets each of the three.
        turned = turn(sandbox, &operations, &worlds[number % COMPANIES], number / COMPANIES).await;
        if turned.is_err() {
            break;
        }
    }
    over.store(true, Ordering::Release);
    while let Some(worker) = workers.join_next().await {
        worker?;
    }
    turned?;

    assert!(rows.load(Ordering::Relaxed) > 0);
    for world in worlds.iter() {
        wait_for_version(sandbox, &operations.operator, &world.id, HEAD).await?;
        // The crm may hear of the last resumption a moment later.
        let left = eventually("the company as it is left", async || {
            let list = world.bearer().request(ListPeopleRequest { page_size: 1_000, ..Default::default() });
            Ok(sandbox.people()?.list_people(list).await.ok().map(|answer| answer.into_inner().people))
        })
        .await?;
        left.iter().for_each(|person| world.owns(person));
        let left: BTreeSet<_> = left.into_iter().map(|person| person.id).collect();
        let promised = world.people.lock().expect("nobody panics");
        assert!(promised.is_subset(&left), "lost: {:?}", promised.difference(&left).collect::<Vec<_>>());
    }
    Ok(())
}
