//! An Envoy in front, which verifies tokens by the key set that the catalog publishes over HTTP.

mod proxy;

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use tenantry_api::catalog::v1::event_service_client::EventServiceClient;
use tenantry_api::catalog::v1::tenant_directory_service_client::TenantDirectoryServiceClient;
use tenantry_api::catalog::v1::token_service_client::TokenServiceClient;
use tenantry_api::catalog::v1::watch_events_response::Message;
use tenantry_api::catalog::v1::{LoginRequest, ResolveTenantRequest, WatchEventsRequest};
use tenantry_api::crm::v1::person_service_client::PersonServiceClient;
use tenantry_api::crm::v1::{CreatePersonRequest, GetPersonRequest, ListPeopleRequest, Person};
use tenantry_rpc::{Reason, reason_of};
use tenantry_testkit::actors::{Actor, Bearer, Operator, Owner, PASSWORD, Stranger, login};
use tenantry_testkit::sandbox::{Engine, OnServer, Sandbox, Tuning};
use tonic::{Code, Status};

use self::proxy::eventually;
pub(crate) use self::proxy::{Behind, Envoy};
use crate::keys::{algorithm, import_rs256, kid};
use crate::matrix::forge::{self, ACCESS, Key};
use crate::support::{fields, per_engine, reason};

per_engine!(calls_and_streams_pass_with_their_errors, an_imported_rs256_key_is_taken);

async fn lists(envoy: &Envoy, by: &impl Actor) -> Result<(), Status> {
    let channel = envoy.channel("crm").expect("a channel");
    PersonServiceClient::new(channel).list_people(by.request(ListPeopleRequest::default())).await.map(drop)
}

async fn calls_and_streams_pass_with_their_errors(sandbox: &Sandbox) -> anyhow::Result<()> {
    let envoy = Envoy::before(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Meshed").await?;
    lists(&envoy, &owner).await?;
    let mut people = PersonServiceClient::new(envoy.channel("crm")?);
    let person = Some(Person { name: "Grace \"☀\"".into(), ..Person::default() });
    let made = people.create_person(owner.request(CreatePersonRequest { person, ..Default::default() })).await?;
    let made = made.into_inner();
    let found = people.get_person(owner.request(GetPersonRequest { id: made.id.clone() })).await?.into_inner();
    assert_eq!(found, made);

    // What the service refuses comes with all its details.
    let nobody = GetPersonRequest { id: uuid::Uuid::now_v7().to_string() };
    assert_eq!(reason(people.get_person(owner.request(nobody)).await), Some(Reason::PersonNotFound));
    assert_eq!(fields(people.get_person(owner.request(GetPersonRequest { id: "?".into() })).await), ["id"]);

    // A sign-in needs no token, and one that is no good is in nobody's way.
    let credentials = LoginRequest { email: owner.email.clone(), password: PASSWORD.into(), ..Default::default() };
    let mut tokens = TokenServiceClient::new(envoy.channel("catalog")?);
    tokens.login(credentials.clone()).await?;
    tokens.login(Bearer("garbage".into()).request(credentials)).await?;

    // A stream, of the catalog's audience; the directory is not there for those outside, whoever they are.
    let operator = Operator::of(sandbox).await?;
    let mut events = EventServiceClient::new(envoy.channel("catalog")?);
    let watch = || WatchEventsRequest { from_beginning: true, ..WatchEventsRequest::default() };
    let mut stream = events.watch_events(operator.request(watch())).await?.into_inner();
    let mut kinds = Vec::<String>::new();
    while !kinds.iter().any(|kind| kind == "company.created") {
        let message = stream.message().await?.context("the stream has ended")?;
        if let Some(Message::Event(event)) = message.message {
            kinds.push(event.kind);
        }
    }
    drop(stream);
    assert_eq!(events.watch_events(watch()).await.expect_err("a refusal").code(), Code::Unauthenticated);

    // A stream lasts until its caller's deadline, and ends with the reason.
    let mut soon = operator.request(WatchEventsRequest::default());
    soon.set_timeout(Duration::from_secs(2));
    let mut stream = events.watch_events(soon).await?.into_inner();
    let ended = loop {
        match stream.message().await {
            Ok(message) => message.context("the stream has ended")?,
            Err(status) => break status,
        };
    };
    assert_eq!(
        (ended.code(), reason_of(&ended)),
        (Code::DeadlineExceeded, Some(Reason::DeadlineExceeded)),
        "{ended:?}"
    );

    let service = Bearer(sandbox.service_token("crm", "catalog")?);
    let resolve = ResolveTenantRequest { company_id: owner.company.id.clone() };
    let mut directory = TenantDirectoryServiceClient::new(envoy.channel("catalog")?);
    assert_eq!(
        directory.resolve_tenant(service.request(resolve)).await.expect_err("a refusal").code(),
        Code::Unimplemented
    );
    envoy.stop().await
}

/// What Envoy refuses by itself has no detail of ours, and never gets to a service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_token_for_the_service_goes_no_further_on_sqlite() -> anyhow::Result<()> {
    let sandbox = Sandbox::start(Engine::Sqlite).await?;
    let envoy = Envoy::before(&sandbox).await?;
    let owner = Owner::of_new_company(&sandbox, "Meshed").await?;
    let token = owner.token().context("a token")?;
    lists(&envoy, &owner).await?;
    let key = Key::of_catalog(&sandbox.folder().join("data"), token).await?;
    let claims = forge::claims(token)?;
    let signed = |changes: Value| key.token(ACCESS, &forge::with(&claims, changes));
    // The forger's hand is good: it is what the tokens say that they are refused for.
    lists(&envoy, &Bearer(signed(json!({}))?)).await?;

    let before = envoy.counted("cluster.crm.upstream_rq_total").await?;
    let now = claims["iat"].as_i64().context("a time")?;
    let stranger = Key::fresh(&kid(token)?)?;
    let refused = [
        ("garbage", "garbage".to_owned(), Code::Unauthenticated),
        ("expired", signed(json!({ "exp": now - 60 }))?, Code::Unauthenticated),
        ("not yet valid", signed(json!({ "nbf": now + 3600 }))?, Code::Unauthenticated),
        ("another issuer", signed(json!({ "iss": "https://elsewhere.example" }))?, Code::Unauthenticated),
        ("another audience", signed(json!({ "aud": ["catalog"] }))?, Code::PermissionDenied),
        ("another key", stranger.token(ACCESS, &claims)?, Code::Unauthenticated),
        ("no signature", forge::unsigned(&json!({ "alg": "none", "typ": ACCESS }), &claims), Code::Unauthenticated),
        (
            "a public key",
            forge::hs256(key.point(), &json!({ "alg": "HS256", "kid": kid(token)? }), &claims),
            Code::Unauthenticated,
        ),
    ];
    for (what, token, code) in refused {
        let status = lists(&envoy, &Bearer(token)).await.expect_err(what);
        assert_eq!((status.code(), reason_of(&status)), (code, None), "{what}: {status:?}");
    }
    let status = lists(&envoy, &Stranger).await.expect_err("no token");
    assert_eq!((status.code(), reason_of(&status)), (Code::Unauthenticated, None), "{status:?}");
    assert_eq!(envoy.counted("cluster.crm.upstream_rq_total").await?, before, "none got to the crm");

    // What only the service knows, it refuses itself: that another company's is signed well is no use.
    let other = signed(json!({ "tenant": uuid::Uuid::now_v7() }))?;
    assert_eq!(reason(lists(&envoy, &Bearer(other)).await), Some(Reason::TenantNotFound));
    let few = signed(json!({ "scope": "catalog.companies.read" }))?;
    assert_eq!(reason(lists(&envoy, &Bearer(few)).await), Some(Reason::ScopeMissing));
    envoy.stop().await?;
    sandbox.stop().await
}

async fn an_imported_rs256_key_is_taken(sandbox: &Sandbox) -> anyhow::Result<()> {
    let envoy = Envoy::before(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Meshed").await?;
    assert_eq!(algorithm(owner.token().context("a token")?)?, "ES256");
    lists(&envoy, &owner).await?;

    // At once, with no time in which it is only published: Envoy takes it as soon as it has read the key set again.
    import_rs256(sandbox).await?;
    let token = eventually("the imported key", async || {
        let token = login(sandbox, &owner.email).await?;
        Ok((algorithm(&token)? == "RS256").then_some(token))
    })
    .await?;
    let by = Bearer(token.clone());
    eventually("the key set", async || Ok(lists(&envoy, &by).await.ok())).await?;
    lists(&envoy, &owner).await?;

    let (signed, signature) = token.rsplit_once('.').context("parts")?;
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = Bearer(format!("{signed}.{first}{}", &signature[1..]));
    let status = lists(&envoy, &forged).await.expect_err("a forged signature");
    assert_eq!((status.code(), reason_of(&status)), (Code::Unauthenticated, None));
    envoy.stop().await
}

/// A key that is published before it signs, for longer than Envoy keeps the key set, costs nobody a call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_a_key_is_rotated_on_sqlite() -> anyhow::Result<()> {
    let tuning = Tuning { key_rotation_s: Some((10, 6)), ..Tuning::default() };
    let sandbox = Sandbox::start_tuned(OnServer::of_suite(Engine::Sqlite)?, tuning).await?;
    let envoy = Envoy::before(&sandbox).await?;
    let owner = Owner::of_new_company(&sandbox, "Meshed").await?;
    let first = kid(owner.token().context("a token")?)?;
    let mut calls = 0;
    let rotated = eventually("the next key", async || {
        let token = Bearer(login(&sandbox, &owner.email).await?);
        // A call that fails ends the test, and not only this try.
        lists(&envoy, &token).await.expect("a new token is taken");
        lists(&envoy, &owner).await.expect("the first token is taken");
        calls += 2;
        Ok(Some(kid(token.token().context("a token")?)?).filter(|kid| *kid != first))
    })
    .await?;
    println!("{calls} calls, from key {first} to {rotated}, and none failed");
    envoy.stop().await?;
    sandbox.stop().await
}
