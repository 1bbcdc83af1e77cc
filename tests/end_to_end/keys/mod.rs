//! Signing keys come and go, and nobody notices who is not meant to.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use catalog::{CentralConfig, ImportKey, KeySettings, SealingConfig};
use serde_json::Value;
use tenantry_api::catalog::v1::key_service_client::KeyServiceClient;
use tenantry_api::catalog::v1::{
    GetJwksRequest, ListMembersRequest, ListSigningKeysRequest, RevokeSigningKeyRequest, RotateSigningKeyRequest,
    SigningKey, SigningKeyState,
};
use tenantry_api::crm::v1::ListPeopleRequest;
use tenantry_rpc::Reason;
use tenantry_rpc::auth::KeyAlgorithm;
use tenantry_rpc::client::ServiceChannel;
use tenantry_testkit::actors::{Actor, Bearer, Operator, Owner, login};
use tenantry_testkit::process::run;
use tenantry_testkit::sandbox::{Clients, Engine, OnServer, Sandbox, Tuning};
use tenantry_testkit::servers::free_in_a_row;
use tonic::Status;

use crate::processes::{Deployment, serve};
use crate::support::{per_engine, reason};

per_engine!(
    a_revoked_key_is_refused_everywhere_and_the_next_one_is_taken,
    a_hastened_key_is_announced_first_and_only_once,
    an_imported_rs256_key_signs_and_is_published,
);

/// A generous bound.
const BOUND: Duration = Duration::from_secs(60);

fn keys_of(sandbox: &Sandbox) -> anyhow::Result<KeyServiceClient<ServiceChannel>> {
    Ok(KeyServiceClient::new(sandbox.channel("catalog")?))
}

fn header(token: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().context("a header")?)?)?)
}

pub(crate) fn kid(token: &str) -> anyhow::Result<String> {
    Ok(header(token)?["kid"].as_str().context("a kid")?.to_owned())
}

pub(crate) fn algorithm(token: &str) -> anyhow::Result<String> {
    Ok(header(token)?["alg"].as_str().context("an alg")?.to_owned())
}

/// Takes in an RSA key that signs at once, as `catalog import-signing-key` does.
pub(crate) async fn import_rs256(sandbox: &Sandbox) -> anyhow::Result<()> {
    catalog::import_signing_key(import(sandbox, rs256_pem())).await?;
    Ok(())
}

async fn crm_says(at: Clients, token: &str) -> Result<(), Status> {
    let request = Bearer(token.to_owned()).request(ListPeopleRequest::default());
    at.people().expect("a client").list_people(request).await.map(drop)
}

async fn catalog_says(at: Clients, token: &str, company: &str) -> Result<(), Status> {
    let request = ListMembersRequest { company_id: company.to_owned(), ..Default::default() };
    let request = Bearer(token.to_owned()).request(request);
    at.memberships().expect("a client").list_members(request).await.map(drop)
}

async fn listed(sandbox: &Sandbox, operator: &Operator) -> anyhow::Result<Vec<SigningKey>> {
    let answer = keys_of(sandbox)?.list_signing_keys(operator.request(ListSigningKeysRequest {})).await?;
    Ok(answer.into_inner().keys)
}

fn of_state(keys: &[SigningKey], state: SigningKeyState) -> Vec<&str> {
    keys.iter().filter(|key| key.state() == state).map(|key| key.id.as_str()).collect()
}

async fn published(sandbox: &Sandbox) -> anyhow::Result<BTreeSet<String>> {
    let keys = keys_of(sandbox)?.get_jwks(GetJwksRequest {}).await?.into_inner().keys;
    Ok(keys.into_iter().map(|key| key.kid).collect())
}

async fn a_revoked_key_is_refused_everywhere_and_the_next_one_is_taken(sandbox: &Sandbox) -> anyhow::Result<()> {
    let at = sandbox.clients();
    let owner = Owner::of_new_company(sandbox, "Leaked").await?;
    let token = owner.token().context("a token")?;
    crm_says(at, token).await?;
    let key_id = kid(token)?;
    let operator = Operator::of(sandbox).await?;
    let request = operator.request(RevokeSigningKeyRequest { key_id: key_id.clone() });
    let current = keys_of(sandbox)?.revoke_signing_key(request).await?.into_inner().current.context("a key")?;
    assert_ne!(current.id, key_id);
    // Here at once, whoever's token it is.
    assert_eq!(reason(catalog_says(at, token, &owner.company.id).await), Some(Reason::TokenInvalid));
    let again = operator.request(RevokeSigningKeyRequest { key_id: key_id.clone() });
    assert_eq!(reason(keys_of(sandbox)?.revoke_signing_key(again).await), Some(Reason::TokenInvalid));
    assert_eq!(published(sandbox).await?, BTreeSet::from([current.id.clone()]));

    let anew = login(sandbox, &owner.email).await?;
    assert_eq!(kid(&anew)?, current.id);
    crm_says(at, &anew).await?;
    let begun = Instant::now();
    while crm_says(at, token).await.is_ok() {
        anyhow::ensure!(begun.elapsed() < BOUND, "the crm still takes a token of a revoked key");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("the crm refuses it after {:?}", begun.elapsed());
    assert_eq!(reason(crm_says(at, token).await), Some(Reason::TokenInvalid));
    crm_says(at, &anew).await?;

    let operator = Operator::of(sandbox).await?;
    let again = operator.request(RevokeSigningKeyRequest { key_id });
    assert_eq!(reason(keys_of(sandbox)?.revoke_signing_key(again).await), Some(Reason::KeyNotFound));
    let odd = operator.request(RevokeSigningKeyRequest { key_id: "'; --".into() });
    assert_eq!(reason(keys_of(sandbox)?.revoke_signing_key(odd).await), Some(Reason::FieldViolations));
    let told = sandbox.ask_central("SELECT kind FROM events WHERE kind = 'signing_key.revoked'").await?;
    assert_eq!(told.len(), 1);
    Ok(())
}

async fn a_hastened_key_is_announced_first_and_only_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operator = Operator::of(sandbox).await?;
    let before = published(sandbox).await?;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (mut keys, request) = (keys_of(sandbox)?, operator.request(RotateSigningKeyRequest {}));
        calls.spawn(async move { keys.rotate_signing_key(request).await });
    }
    let mut nexts = BTreeSet::new();
    while let Some(call) = calls.join_next().await {
        nexts.insert(call??.into_inner().next.context("a key")?.id);
    }
    assert_eq!(nexts.len(), 1, "five at once make one key");
    let keys = listed(sandbox, &operator).await?;
    assert_eq!(of_state(&keys, SigningKeyState::Next), nexts.iter().map(String::as_str).collect::<Vec<_>>());
    let next = keys.iter().find(|key| key.state() == SigningKeyState::Next).context("a next one")?;
    let [made, signs] = [&next.create_time, &next.sign_time].map(|time| time.as_ref().map(|time| time.seconds));
    assert_eq!(signs.zip(made).map(|(signs, made)| signs - made), Some(86_400));
    assert_eq!(published(sandbox).await?, before.union(&nexts).cloned().collect());

    // The next one is struck, and the one that signs stays.
    let request = operator.request(RevokeSigningKeyRequest { key_id: next.id.clone() });
    let current = keys_of(sandbox)?.revoke_signing_key(request).await?.into_inner().current.context("a key")?;
    assert!(before.contains(&current.id));
    assert_eq!(published(sandbox).await?, before);
    Ok(())
}

fn import(sandbox: &Sandbox, key_file: PathBuf) -> ImportKey {
    let central = CentralConfig {
        database_url: sandbox.central_url(),
        database_connections: 1,
        database_connect_timeout_ms: 5_000,
    };
    let key_encryption_key_file = Some(sandbox.folder().join("data/key-encryption-key"));
    let sealing = SealingConfig { key_encryption_key: None, key_encryption_key_file };
    let keys = KeySettings { key_overlap_s: 0, ..KeySettings::default() };
    ImportKey { central, sealing, keys, key_file, algorithm: KeyAlgorithm::Rs256 }
}

fn rs256_pem() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("end_to_end/keys/rs256.pem")
}

async fn an_imported_rs256_key_signs_and_is_published(sandbox: &Sandbox) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(sandbox, "Mesh").await?;
    let imported = catalog::import_signing_key(import(sandbox, rs256_pem())).await?;
    let begun = Instant::now();
    let token = loop {
        let token = login(sandbox, &owner.email).await?;
        if header(&token)?["alg"] == "RS256" {
            break token;
        }
        anyhow::ensure!(begun.elapsed() < BOUND, "the imported key does not sign");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(kid(&token)?, imported.key_id);
    crm_says(sandbox.clients(), &token).await?;
    catalog_says(sandbox.clients(), &token, &owner.company.id).await?;
    crm_says(sandbox.clients(), owner.token().context("a token")?).await?;
    // A key of one algorithm verifies nothing that names another.
    let (_, rest) = token.split_once('.').context("parts")?;
    let other = serde_json::json!({ "alg": "ES256", "typ": "at+jwt", "kid": imported.key_id });
    let confused = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(other.to_string()));
    assert_eq!(reason(crm_says(sandbox.clients(), &confused).await), Some(Reason::TokenInvalid));

    let keys = keys_of(sandbox)?.get_jwks(GetJwksRequest {}).await?.into_inner().keys;
    let key = keys.iter().find(|key| key.kid == imported.key_id).context("the key")?;
    assert_eq!((key.kty.as_str(), key.alg.as_str(), key.e.as_str()), ("RSA", "RS256", "AQAB"));
    assert_eq!((key.n.len(), key.x.as_str(), key.crv.as_str()), (342, "", ""));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_keys_are_rotated_on_sqlite() -> anyhow::Result<()> {
    no_request_fails_while_keys_are_rotated(Engine::Sqlite).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_keys_are_rotated_on_postgres() -> anyhow::Result<()> {
    no_request_fails_while_keys_are_rotated(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_keys_are_rotated_on_mariadb() -> anyhow::Result<()> {
    no_request_fails_while_keys_are_rotated(Engine::MariaDb).await
}

/// Three keys one after the other, while some use the token that they have and others sign in anew all the time.
async fn no_request_fails_while_keys_are_rotated(engine: Engine) -> anyhow::Result<()> {
    let tuning = Tuning { key_rotation_s: Some((3, 1)), ..Tuning::default() };
    let sandbox = Sandbox::start_tuned(OnServer::of_suite(engine)?, tuning).await?;
    let owner = Owner::of_new_company(&sandbox, "Busy").await?;
    let (at, company) = (sandbox.clients(), owner.company.id.clone());
    let first = owner.token().context("a token")?.to_owned();
    let over = Arc::new(AtomicBool::new(false));
    let mut loads = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (over, token, company) = (over.clone(), first.clone(), company.clone());
        loads.spawn(async move {
            let mut calls = 0;
            while !over.load(Ordering::Relaxed) {
                crm_says(at, &token).await?;
                catalog_says(at, &token, &company).await?;
                calls += 2;
            }
            anyhow::Ok(calls)
        });
    }
    let (mut kids, mut calls, begun) = (BTreeSet::new(), 0, Instant::now());
    while kids.len() < 3 {
        anyhow::ensure!(begun.elapsed() < BOUND, "only {kids:?} signed");
        let token = login(at, &owner.email).await?;
        kids.insert(kid(&token)?);
        crm_says(at, &token).await?;
        catalog_says(at, &token, &company).await?;
        calls += 3;
    }
    over.store(true, Ordering::Relaxed);
    while let Some(load) = loads.join_next().await {
        calls += load??;
    }
    println!("{calls} calls over {} keys, and none failed", kids.len());
    sandbox.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_agree_on_keys_on_postgres() -> anyhow::Result<()> {
    replicas_agree_on_keys(Engine::Postgres).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_agree_on_keys_on_mariadb() -> anyhow::Result<()> {
    replicas_agree_on_keys(Engine::MariaDb).await
}

/// Two that start at once make one key; what one revokes the other refuses.
async fn replicas_agree_on_keys(engine: Engine) -> anyhow::Result<()> {
    let deployment = Deployment::on(engine)?;
    deployment.prepare().await?;
    let one = deployment.clients();
    let address = std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, free_in_a_row(1)?));
    let mut command = deployment.catalog()?;
    command.env("TENANTRY_LISTEN", address.to_string());
    let other = Clients::of(tenantry::Addresses { catalog: address, ..deployment.addresses });
    let (first, second) = tokio::try_join!(serve(deployment.catalog()?), serve(command))?;
    let keys = async |at: Clients| -> anyhow::Result<Vec<String>> {
        let keys = at.keys()?.get_jwks(GetJwksRequest {}).await?.into_inner().keys;
        Ok(keys.into_iter().map(|key| key.kid).collect())
    };
    let [key_id]: [String; 1] = keys(one).await?.try_into().map_err(|keys: Vec<String>| anyhow::anyhow!("{keys:?}"))?;
    assert_eq!(keys(other).await?, std::slice::from_ref(&key_id));

    let operator = deployment.operator().await?;
    let list = || operator.request(ListSigningKeysRequest {});
    other.keys()?.list_signing_keys(list()).await?;
    one.keys()?.revoke_signing_key(operator.request(RevokeSigningKeyRequest { key_id })).await?;
    let begun = Instant::now();
    while other.keys()?.list_signing_keys(list()).await.is_ok() {
        anyhow::ensure!(begun.elapsed() < BOUND, "the other replica still takes it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("the other replica refuses it after {:?}", begun.elapsed());
    assert_eq!(reason(other.keys()?.list_signing_keys(list()).await), Some(Reason::TokenInvalid));
    assert_eq!(keys(one).await?, keys(other).await?);
    first.stop("TERM").await?;
    second.stop("TERM").await?;
    deployment.remove().await
}

#[tokio::test]
async fn the_command_line_takes_a_key_in_and_says_what_is_wrong_with_another() -> anyhow::Result<()> {
    let deployment = Deployment::on_files()?;
    deployment.migrate_central().await?;
    let import = |file: PathBuf| -> anyhow::Result<_> {
        let mut command = deployment.bootstrap(None)?;
        let program = command.get_program().to_owned();
        let database: Vec<_> =
            command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
        command = std::process::Command::new(program);
        command.envs(database).env("CATALOG_KEY_ENCRYPTION_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
        command.arg("import-signing-key").arg("--key-file").arg(file);
        Ok(command)
    };
    let said = run(import(rs256_pem())?).await?.success()?;
    assert!(said.contains("is published now and signs from"), "{said}");
    let no_key = deployment.file("no-key.pem");
    std::fs::write(&no_key, "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n")?;
    let said = run(import(no_key)?).await?.refusal()?;
    assert!(said.contains("openssl pkcs8"), "{said}");
    Ok(())
}
