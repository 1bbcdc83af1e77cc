//! The log, replayed, is the state.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tenantry_api::catalog::v1::{
    Company, Event, ListEventsRequest, PurgeCompanyRequest, RemoveMemberRequest, UpdateCompanyRequest,
    UpdateMemberRequest,
};
use tenantry_testkit::actors::{Actor, Member, Operator, Owner};
use tenantry_testkit::sandbox::Sandbox;

use super::{details, list};
use crate::lifecycle::Operations;
use crate::support::per_engine;

per_engine!(the_log_replayed_is_the_state);

/// A company as its events tell of it.
#[derive(Debug, Default, PartialEq)]
struct Folded {
    state: String,
    access_epoch: i64,
    generation: i64,
    schema_version: Value,
    server: Value,
    name: Value,
    slug: Value,
    plan: Value,
    region: Value,
    labels: Value,
    /// Roles by user.
    members: BTreeMap<String, String>,
}

impl Folded {
    fn apply(&mut self, event: &Event) {
        let said = details(event);
        let text = |field: &str| said[field].as_str().unwrap_or_default().to_owned();
        if let Some(epoch) = said["access_epoch"].as_i64() {
            self.access_epoch = epoch;
        }
        if event.kind == "company.schema_changed" {
            self.schema_version = said["to"].clone();
            return;
        }
        if let Some(state) = said["to"].as_str() {
            self.state = state.to_owned();
        }
        match event.kind.as_str() {
            "company.created" => {
                self.describe(&said);
                (self.server, self.generation) = (said["server"].clone(), 1);
                self.members.insert(text("owner"), "owner".to_owned());
            }
            "company.updated" => self.describe(&said["after"]),
            "company.activated" => self.schema_version = said["schema_version"].clone(),
            "company.credential_rotated" => self.generation = said["generation"].as_i64().unwrap_or_default(),
            "company.purged" => {
                self.members.clear();
                self.slug = Value::Null;
                (self.generation, self.server, self.schema_version) = (0, Value::Null, Value::Null);
            }
            "member.joined" | "member.role_changed" => {
                self.members.insert(text("user_id"), text("role"));
            }
            "member.removed" => {
                self.members.remove(&text("user_id"));
            }
            _ => {}
        }
    }

    fn describe(&mut self, said: &Value) {
        let of = |field: &str| said[field].clone();
        (self.name, self.slug, self.plan, self.region) = (of("name"), of("slug"), of("plan"), of("region"));
        self.labels = of("labels");
    }
}

async fn the_log_replayed_is_the_state(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let mut ids = Vec::new();
    for name in ["Quiet", "Busy", "Gone", "Leaving"] {
        ids.push(Owner::of_new_company(sandbox, name).await?);
    }
    let [_, busy, gone, leaving] = &ids[..] else { panic!("four companies") };
    let id = busy.company.id.clone();
    let viewer = Member::invited_by(sandbox, busy, "viewer").await?;
    Member::invited_by(sandbox, busy, "admin").await?;
    let remove = RemoveMemberRequest { company_id: id.clone(), user_id: viewer.user_id.clone() };
    sandbox.memberships()?.remove_member(busy.request(remove)).await?;
    let changed = Member::invited_by(sandbox, busy, "viewer").await?;
    let update = UpdateMemberRequest { company_id: id.clone(), user_id: changed.user_id, role: "member".to_owned() };
    sandbox.memberships()?.update_member(busy.request(update)).await?;
    let new = Company {
        id: id.clone(),
        name: "Busier \"now\" 電".into(),
        slug: "busier".into(),
        plan: "gold".into(),
        region: "eu".into(),
        labels: [("tier".to_owned(), "1".to_owned())].into(),
        ..Default::default()
    };
    let update = UpdateCompanyRequest { company: Some(new), update_mask: None };
    sandbox.companies()?.update_company(operations.operator.request(update)).await?;
    operations.suspend(&id).await?;
    operations.resume(&id).await?;
    operations.sign_out_everyone(&id).await?;
    operations.enter_maintenance(&id, 3).await?;
    if sandbox.on_server().is_some() {
        let rotate = tenantry_api::catalog::v1::RotateDatabaseCredentialRequest { id, ..Default::default() };
        sandbox.companies()?.rotate_database_credential(operations.operator.request(rotate)).await?;
    }
    operations.delete(&gone.company.id).await?;
    let purge = PurgeCompanyRequest { id: gone.company.id.clone(), force: true, ..Default::default() };
    sandbox.companies()?.purge_company(operations.operator.request(purge)).await?;
    operations.suspend(&leaving.company.id).await?;
    operations.delete(&leaving.company.id).await?;
    operations.undelete(&leaving.company.id).await?;

    let mut folded = BTreeMap::<String, Folded>::new();
    for event in list(sandbox, &operations.operator, ListEventsRequest::default()).await?.iter().rev() {
        if !event.company_id.is_empty() {
            folded.entry(event.company_id.clone()).or_default().apply(event);
        }
    }
    for owner in &ids {
        let id = &owner.company.id;
        let replayed = folded.remove(id).unwrap_or_default();
        assert_eq!(replayed, in_tables(sandbox, &operations.operator, id).await?, "{}", owner.company.name);
    }
    assert!(folded.is_empty());
    Ok(())
}

/// The same, from the tables.
async fn in_tables(sandbox: &Sandbox, operator: &Operator, id: &str) -> anyhow::Result<Folded> {
    let get = tenantry_api::catalog::v1::GetCompanyRequest { id: id.to_owned(), ..Default::default() };
    let company = sandbox.companies()?.get_company(operator.request(get)).await?.into_inner();
    let key = match sandbox.on_server() {
        Some(server) if server.admin_url().starts_with("postgres") => format!("'{id}'"),
        _ => format!("X'{}'", id.replace('-', "")),
    };
    let is_mariadb = sandbox.on_server().is_some_and(|server| server.admin_url().starts_with("mysql"));
    let text = if is_mariadb { "CHAR" } else { "TEXT" };
    let user = match sandbox.on_server() {
        Some(server) if server.admin_url().starts_with("postgres") => "CAST(user_id AS TEXT)",
        _ => "LOWER(HEX(user_id))",
    };
    let ask = async |sql: String| sandbox.ask_central(&sql).await;
    let epoch = ask(format!("SELECT CAST(access_epoch AS {text}) FROM companies WHERE id = {key}")).await?;
    let sql = format!("SELECT CAST(generation AS {text}) FROM company_databases WHERE company_id = {key}");
    let generation = ask(sql).await?;
    let users = ask(format!("SELECT {user} FROM memberships WHERE company_id = {key} ORDER BY user_id")).await?;
    let roles = ask(format!("SELECT role FROM memberships WHERE company_id = {key} ORDER BY user_id")).await?;
    let some = |text: String| if text.is_empty() { Value::Null } else { json!(text) };
    Ok(Folded {
        state: company.state().as_str_name().trim_start_matches("COMPANY_STATE_").to_owned(),
        access_epoch: epoch[0].parse()?,
        generation: generation.first().map_or(Ok(0), |generation| generation.parse())?,
        schema_version: some(company.schema_version),
        server: some(company.database_server),
        name: some(company.name),
        slug: some(company.slug),
        plan: some(company.plan),
        region: some(company.region),
        labels: json!(company.labels),
        members: users
            .iter()
            .map(|user| uuid::Uuid::parse_str(user).map(|user| user.to_string()))
            .zip(roles)
            .map(|(user, role)| anyhow::Ok((user?, role)))
            .collect::<Result<_, _>>()?,
    })
}
