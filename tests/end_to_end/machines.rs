//! Machines with keys, operators who act for users, and users of several companies.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost_types::Timestamp;
use serde_json::Value;
use tenantry_api::catalog::v1::{
    ApiKey, ChangePasswordRequest, CreateApiKeyRequest, CreateCompanyRequest, ExchangeApiKeyRequest,
    ExchangeTokenRequest, ExchangeTokenResponse, InviteMemberRequest, ListApiKeysRequest, ListMembersRequest,
    RefreshTokenRequest, RevokeApiKeyRequest, SignOutEveryoneRequest,
};
use tenantry_api::crm::v1::{CreatePersonRequest, Person};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Bearer, Member, Operator, Owner};
use tenantry_testkit::sandbox::{Engine, Sandbox};
use tonic::Status;

use crate::cut_off::until;
use crate::lifecycle::Operations;
use crate::support::{per_engine, reason};

per_engine!(
    a_key_works_within_its_scopes_and_until_it_is_revoked,
    nobody_gives_a_key_more_than_they_have,
    a_key_outlives_its_maker_and_ends_when_it_says,
    a_user_of_two_companies_goes_from_one_to_the_other,
    an_operator_acts_for_a_user_and_it_is_written_down,
);

async fn create(
    sandbox: &Sandbox,
    by: &impl Actor,
    company_id: &str,
    scopes: &[&str],
) -> Result<(ApiKey, String), Status> {
    let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
    let request = CreateApiKeyRequest {
        company_id: company_id.into(),
        name: "Import 'nightly' 🌙".into(),
        scopes,
        expire_time: None,
    };
    let answer =
        sandbox.clients().api_keys().expect("a client").create_api_key(by.request(request)).await?.into_inner();
    Ok((answer.api_key.expect("a key"), answer.secret))
}

async fn exchange(sandbox: &Sandbox, secret: &str) -> Result<Bearer, Status> {
    let request = ExchangeApiKeyRequest { secret: secret.into(), audiences: Vec::new() };
    let answer = sandbox.tokens().expect("a client").exchange_api_key(request).await?.into_inner();
    Ok(Bearer(answer.access_token))
}

async fn revoke(sandbox: &Sandbox, by: &impl Actor, company: &str, key: &str) -> Result<(), Status> {
    let request = RevokeApiKeyRequest { company_id: company.into(), api_key_id: key.into() };
    sandbox.clients().api_keys().expect("a client").revoke_api_key(by.request(request)).await.map(drop)
}

async fn add_person(sandbox: &Sandbox, by: &impl Actor) -> Result<(), Status> {
    let person = Some(Person { name: "Ada".into(), ..Default::default() });
    let request = CreatePersonRequest { person, ..Default::default() };
    sandbox.people().expect("a client").create_person(by.request(request)).await.map(drop)
}

fn claims(token: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap_or_default())?)?)
}

async fn a_key_works_within_its_scopes_and_until_it_is_revoked(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Machines").await?;
    let other = Owner::of_new_company(sandbox, "Others").await?;
    let company = owner.company.id.as_str();
    let (writer, secret) = create(sandbox, &owner, company, &["crm.people.write", "crm.people.read"]).await?;
    let (reader, read_secret) = create(sandbox, &owner, company, &["crm.people.read"]).await?;
    assert!(writer.last_use_time.is_none() && writer.name.contains('🌙'));
    let (token, read) = (exchange(sandbox, &secret).await?, exchange(sandbox, &read_secret).await?);
    assert_eq!(claims(&token.0)?["sub"], format!("api_key:{}", writer.id));
    add_person(sandbox, &token).await?;
    until(sandbox.clients(), &read, None).await?;
    assert_eq!(reason(add_person(sandbox, &read).await), Some(Reason::ScopeMissing));
    let members = ListMembersRequest { company_id: company.into(), ..Default::default() };
    let refused = sandbox.memberships()?.list_members(token.request(members)).await;
    assert_eq!(reason(refused), Some(Reason::ScopeMissing));
    // The secret is no token, and no other company's business.
    assert_eq!(reason(add_person(sandbox, &Bearer(secret.clone())).await), Some(Reason::TokenInvalid));
    assert_eq!(reason(revoke(sandbox, &other, company, &writer.id).await), Some(Reason::OtherTenant));
    let theirs = &other.company.id;
    assert_eq!(reason(revoke(sandbox, &other, theirs, &writer.id).await), Some(Reason::ApiKeyNotFound));

    let list = || ListApiKeysRequest { company_id: company.into(), page_size: 1, ..Default::default() };
    let first = sandbox.clients().api_keys()?.list_api_keys(owner.request(list())).await?.into_inner();
    assert!(first.api_keys[0].last_use_time.is_some());
    let rest = ListApiKeysRequest { page_token: first.next_page_token, ..list() };
    let second = sandbox.clients().api_keys()?.list_api_keys(owner.request(rest)).await?.into_inner();
    let ids = [&first.api_keys[0].id, &second.api_keys[0].id];
    assert_eq!((ids, second.next_page_token.as_str()), ([&writer.id, &reader.id], ""));
    let hashes = sandbox.ask_central("SELECT secret_hash FROM api_keys").await?;
    assert!(!hashes.contains(&secret));

    revoke(sandbox, &owner, company, &writer.id).await?;
    assert_eq!(reason(revoke(sandbox, &owner, company, &writer.id).await), Some(Reason::ApiKeyNotFound));
    until(sandbox.clients(), &token, Some(Reason::TokenRevoked)).await?;
    assert_eq!(reason(exchange(sandbox, &secret).await.map(drop)), Some(Reason::CredentialsInvalid));
    until(sandbox.clients(), &read, None).await?;
    // Signing everyone out ends tokens, and not keys.
    let request = SignOutEveryoneRequest { id: company.into() };
    sandbox.companies()?.sign_out_everyone(owner.request(request)).await?;
    until(sandbox.clients(), &read, Some(Reason::TokenStale)).await?;
    until(sandbox.clients(), &exchange(sandbox, &read_secret).await?, None).await
}

async fn nobody_gives_a_key_more_than_they_have(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Careful").await?;
    let company = owner.company.id.as_str();
    let viewer = Member::invited_by(sandbox, &owner, "viewer").await?;
    let refused = create(sandbox, &viewer, company, &["crm.people.read"]).await;
    assert_eq!(reason(refused), Some(Reason::ScopeMissing));
    for scopes in [&[][..], &["catalog.members.write"], &["catalog.api_keys.write"], &["*"], &["crm.people.read", ""]] {
        let refused = create(sandbox, &owner, company, scopes).await;
        assert_eq!(reason(refused), Some(Reason::FieldViolations), "{scopes:?}");
    }
    let past = CreateApiKeyRequest {
        company_id: company.into(),
        name: " ".into(),
        scopes: vec!["crm.people.read".into()],
        expire_time: Some(Timestamp { seconds: 1, nanos: 0 }),
    };
    let refused = sandbox.clients().api_keys()?.create_api_key(owner.request(past)).await;
    assert_eq!(reason(refused), Some(Reason::FieldViolations));
    let (_, secret) = create(sandbox, &owner, company, &["crm.people.read", "crm.people.read"]).await?;
    let machine = exchange(sandbox, &secret).await?;
    let refused = create(sandbox, &machine, company, &["crm.people.read"]).await;
    assert_eq!(reason(refused), Some(Reason::ScopeMissing), "a machine makes no machines");
    Ok(())
}

async fn a_key_outlives_its_maker_and_ends_when_it_says(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Lasting").await?;
    let company = owner.company.id.as_str();
    let admin = Member::invited_by(sandbox, &owner, "admin").await?;
    let (_, secret) = create(sandbox, &admin, company, &["crm.people.read"]).await?;
    let request =
        tenantry_api::catalog::v1::RemoveMemberRequest { company_id: company.into(), user_id: admin.user_id.clone() };
    sandbox.memberships()?.remove_member(owner.request(request)).await?;
    until(sandbox.clients(), &exchange(sandbox, &secret).await?, None).await?;

    let soon = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() as i64 + 60;
    let request = CreateApiKeyRequest {
        company_id: company.into(),
        name: "short".into(),
        scopes: vec!["crm.people.read".into()],
        expire_time: Some(Timestamp { seconds: soon, nanos: 0 }),
    };
    let short = sandbox.clients().api_keys()?.create_api_key(owner.request(request)).await?.into_inner();
    let token = exchange(sandbox, &short.secret).await?;
    assert!(claims(&token.0)?["exp"].as_i64() <= Some(soon), "no token outlives its key");
    let past = if sandbox.on_server().is_some() { "'2026-01-01 00:00:00'" } else { "'2026-01-01T00:00:00+00:00'" };
    sandbox.run_in_central(&format!("UPDATE api_keys SET expires_at = {past} WHERE name = 'short'")).await?;
    assert_eq!(reason(exchange(sandbox, &short.secret).await.map(drop)), Some(Reason::CredentialsInvalid));

    let operations = Operations::of(sandbox).await?;
    operations.suspend(company).await?;
    assert_eq!(reason(exchange(sandbox, &secret).await.map(drop)), Some(Reason::TenantSuspended));
    Ok(())
}

async fn to(sandbox: &Sandbox, by: &impl Actor, company: &str) -> Result<ExchangeTokenResponse, Status> {
    let request = ExchangeTokenRequest { company_id: company.into(), ..Default::default() };
    Ok(sandbox.tokens().expect("a client").exchange_token(by.request(request)).await?.into_inner())
}

async fn a_user_of_two_companies_goes_from_one_to_the_other(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "First").await?;
    let stranger = Owner::of_new_company(sandbox, "Strange").await?;
    let operator = Operator::of(sandbox).await?;
    let create = CreateCompanyRequest { name: "Second".into(), owner_email: owner.email.clone(), ..Default::default() };
    let second = sandbox.companies()?.create_company(operator.request(create)).await?.into_inner();
    let there = to(sandbox, &owner, &second.id).await?;
    assert_eq!(
        (there.company_id.as_str(), claims(&there.access_token)?["tenant"].as_str()),
        (second.id.as_str(), Some(second.id.as_str()))
    );
    add_person(sandbox, &Bearer(there.access_token.clone())).await?;
    until(sandbox.clients(), &owner, None).await?;
    let request = RefreshTokenRequest { refresh_token: there.refresh_token };
    assert_eq!(sandbox.tokens()?.refresh_token(request).await?.into_inner().company_id, second.id);

    let nowhere = uuid::Uuid::now_v7().to_string();
    for company in [&stranger.company.id, &nowhere] {
        assert_eq!(reason(to(sandbox, &owner, company).await), Some(Reason::NoMembership));
    }
    Ok(())
}

async fn an_operator_acts_for_a_user_and_it_is_written_down(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Helped").await?;
    let member = Member::invited_by(sandbox, &owner, "member").await?;
    let stranger = Owner::of_new_company(sandbox, "Strange").await?;
    let operator = Operator::of(sandbox).await?;
    let act = async |user_id: &str, company: &str, why: &str| {
        let request = ExchangeTokenRequest {
            company_id: company.into(),
            user_id: user_id.into(),
            reason: why.into(),
            audiences: Vec::new(),
        };
        sandbox.tokens().expect("a client").exchange_token(operator.request(request)).await
    };
    let (user, company) = (member.user_id.as_str(), owner.company.id.as_str());
    assert_eq!(reason(act(user, company, " ").await), Some(Reason::FieldViolations));
    assert_eq!(reason(act("", company, "ticket 7").await), Some(Reason::FieldViolations));
    assert_eq!(reason(act(user, &stranger.company.id, "ticket 7").await), Some(Reason::NoMembership));
    let nobody = uuid::Uuid::now_v7().to_string();
    assert_eq!(reason(act(&nobody, company, "ticket 7").await), Some(Reason::UserNotFound));

    let answer = act(user, company, "ticket 7: \"it's gone\" 🧾").await?.into_inner();
    let says = claims(&answer.access_token)?;
    assert_eq!(says["sub"], format!("user:{user}"));
    assert!(says["act"]["sub"].as_str().is_some_and(|actor| actor.starts_with("operator:")));
    assert!(says["exp"].as_i64().zip(says["iat"].as_i64()).is_some_and(|(exp, iat)| exp - iat <= 300));
    assert_eq!(answer.refresh_token, "");
    let acting = Bearer(answer.access_token);
    add_person(sandbox, &acting).await?;
    let told = sandbox.ask_central("SELECT actor FROM events WHERE kind = 'user.impersonated'").await?;
    assert!(told.len() == 1 && told[0].starts_with("operator:"));

    // Nothing that is the person's own, and no further.
    let password = ChangePasswordRequest { current_password: "whatever".into(), new_password: "a long new one".into() };
    let refused = sandbox.tokens()?.change_password(acting.request(password)).await;
    assert_eq!(reason(refused), Some(Reason::ScopeMissing));
    assert_eq!(reason(to(sandbox, &acting, company).await), Some(Reason::ScopeMissing));
    let invite =
        InviteMemberRequest { company_id: company.into(), email: "x@example.com".into(), role: "viewer".into() };
    assert_eq!(reason(sandbox.memberships()?.invite_member(acting.request(invite)).await), Some(Reason::ScopeMissing));

    // What ends the user's access ends it.
    let request = tenantry_api::catalog::v1::RemoveMemberRequest { company_id: company.into(), user_id: user.into() };
    sandbox.memberships()?.remove_member(owner.request(request)).await?;
    until(sandbox.clients(), &acting, Some(Reason::TokenRevoked)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_company_has_a_hundred_keys_and_no_more() -> anyhow::Result<()> {
    let sandbox = Sandbox::start(Engine::Sqlite).await?;
    let owner = Owner::of_new_company(&sandbox, "Many").await?;
    let company = owner.company.id.as_str();
    let mut last = String::new();
    for _ in 0..100 {
        last = create(&sandbox, &owner, company, &["crm.people.read"]).await?.0.id;
    }
    let refused = create(&sandbox, &owner, company, &["crm.people.read"]).await;
    assert_eq!(reason(refused), Some(Reason::TooManyApiKeys));
    revoke(&sandbox, &owner, company, &last).await?;
    create(&sandbox, &owner, company, &["crm.people.read"]).await?;
    sandbox.stop().await
}
