//! What an issuer publishes, and how much of it is believed. On one engine: none of it is about databases.

use std::time::{Duration, Instant};

use catalog::IssuerSettings;
use serde_json::{Value, json};
use tenantry_api::catalog::v1::{Issuer as Registered, UpdateIssuerRequest};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::Actor;
use tenantry_testkit::sandbox::Engine;

use super::World;
use super::issuer::{Answer, Authority, DISCOVERY, Issuer, KEY_SET, Key, ok, with};
use crate::support::reason;

/// A generous bound.
const BOUND: Duration = Duration::from_secs(60);

fn owners() -> Value {
    json!({ "org_id": "org_1", "sub": "owner" })
}

async fn world(settings: IssuerSettings) -> anyhow::Result<World> {
    World::tuned(Engine::Sqlite, settings, &Authority::new()?).await
}

fn quick() -> IssuerSettings {
    IssuerSettings { issuer_key_min_refetch_ms: 50, issuer_key_failure_kept_ms: 0, ..IssuerSettings::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_an_issuer_come_and_go() -> anyhow::Result<()> {
    let world = world(IssuerSettings { issuer_key_refresh_s: 1, ..quick() }).await?;
    world.with_company("Rotating").await?;
    let token = world.issuer.token(owners());
    world.exchange(&token).await?;
    // A new one is found when a token names it.
    let new = Key::ed();
    world.issuer.publish(&[world.issuer.key.jwk("k"), new.jwk("new")]);
    let signed = new.sign(&json!({ "alg": "EdDSA", "kid": "new" }), &world.issuer.claims(owners()));
    world.exchange(&signed).await?;
    // An old one is refused once it was seen to be gone.
    world.issuer.publish(&[new.jwk("new")]);
    let begun = Instant::now();
    while world.exchange(&token).await.is_ok() {
        anyhow::ensure!(begun.elapsed() < BOUND, "a key that is gone is still taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(reason(world.exchange(&token).await), Some(Reason::ExternalTokenKeyUnknown));
    world.exchange(&signed).await?;
    // Another key under its id is another key.
    let other = Key::ed();
    world.issuer.publish(&[other.jwk("new")]);
    let begun = Instant::now();
    while world.exchange(&signed).await.is_ok() {
        anyhow::ensure!(begun.elapsed() < BOUND, "a key that was replaced is still taken");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(reason(world.exchange(&signed).await), Some(Reason::ExternalTokenInvalid));
    world.sandbox.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_is_away_is_believed_for_a_while() -> anyhow::Result<()> {
    let settings = IssuerSettings { issuer_key_refresh_s: 1, issuer_key_staleness_s: 8, ..quick() };
    let world = world(settings).await?;
    world.with_company("Away").await?;
    let token = world.issuer.token(owners());
    world.exchange(&token).await?;
    world.issuer.answer(DISCOVERY, Answer::Raw("HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n".into()));
    let fetched = Instant::now();
    let asked = world.issuer.asked(DISCOVERY);
    // It was looked for meanwhile, and its keys were taken all the same.
    while world.issuer.asked(DISCOVERY) == asked {
        anyhow::ensure!(fetched.elapsed() < BOUND, "nobody has looked");
        world.exchange(&token).await?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while world.exchange(&token).await.is_ok() {
        anyhow::ensure!(fetched.elapsed() < BOUND, "keys are taken for ever");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let refused = world.exchange(&token).await;
    assert_eq!(reason(refused), Some(Reason::IssuerKeysUnavailable));
    world.issuer.describe(&world.issuer.url, &format!("{}{KEY_SET}", world.issuer.url));
    world.exchange(&token).await?;
    world.sandbox.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_keys_do_not_flood_an_issuer() -> anyhow::Result<()> {
    let world = world(IssuerSettings { issuer_key_min_refetch_ms: 500, ..IssuerSettings::default() }).await?;
    world.with_company("Flooded").await?;
    let good = world.issuer.token(owners());
    world.exchange(&good).await?;
    let (claims, before, begun) = (world.issuer.claims(owners()), world.issuer.asked(KEY_SET), Instant::now());
    let mut tries = Vec::new();
    for kid in 0..100 {
        let header = with(&world.issuer.header(), json!({ "kid": format!("made-up-{kid}") }));
        tries.push(world.issuer.key.sign(&header, &claims));
    }
    let all = tries.iter().map(|token| world.exchange(token));
    for refused in join_all(all).await {
        assert_eq!(reason(refused), Some(Reason::ExternalTokenKeyUnknown));
    }
    world.exchange(&good).await?;
    let (fetches, allowed) = (world.issuer.asked(KEY_SET) - before, begun.elapsed().as_millis() / 500 + 2);
    println!("100 made-up keys made {fetches} fetches in {:?}", begun.elapsed());
    assert!(fetches as u128 <= allowed, "{fetches} fetches, where {allowed} would do");
    world.sandbox.stop().await
}

async fn join_all<F: Future + Send>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut done = Vec::new();
    let mut pending: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        pending.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => {
                done.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_issuer_publishes_is_taken_with_care() -> anyhow::Result<()> {
    let settings = IssuerSettings { issuer_max_document_bytes: 2_048, issuer_fetch_timeout_ms: 500, ..quick() };
    let world = world(settings).await?;
    let (owner, id) = world.with_company("Wary").await?;
    let (issuer, token) = (&world.issuer, world.issuer.token(owners()));
    let own = format!("{}{KEY_SET}", issuer.url);
    let good = || {
        issuer.describe(&issuer.url, &own);
        issuer.publish(&[issuer.key.jwk("k")]);
    };
    // Somewhere that has the keys, and that nobody has registered.
    let elsewhere = Issuer::start(None).await?;
    elsewhere.publish(&[issuer.key.jwk("k")]);
    let keys = json!({ "keys": [issuer.key.jwk("k")] }).to_string();
    let redirect = |to: &str| Answer::Raw(format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n"));
    let padded = |bytes: usize| ok(&format!("{keys}{}", " ".repeat(bytes - keys.len())));
    let endless = "HTTP/1.1 200 OK\r\n\r\n".to_owned() + &"[".repeat(1_000_000);
    let encoded = ok(&keys).replace("content-type", "content-encoding: gzip\r\ncontent-type");
    let described = |issuer: &str, at: &str| Answer::Json(json!({ "issuer": issuer, "jwks_uri": at }));
    let wrong = [
        ("another issuer's", DISCOVERY, described("https://localhost", &own)),
        ("no issuer", DISCOVERY, Answer::Json(json!({ "jwks_uri": own }))),
        ("keys elsewhere", DISCOVERY, described(&issuer.url, &format!("{}{KEY_SET}", elsewhere.url))),
        ("keys by plain http on another port", DISCOVERY, described(&issuer.url, "http://localhost:1/keys")),
        ("keys within", DISCOVERY, described(&issuer.url, "https://169.254.169.254/latest")),
        ("a file", DISCOVERY, described(&issuer.url, "file:///etc/passwd")),
        ("no jwks_uri", DISCOVERY, Answer::Json(json!({ "issuer": issuer.url }))),
        ("redirected", DISCOVERY, redirect(&format!("{}{DISCOVERY}", elsewhere.url))),
        ("keys redirected", KEY_SET, redirect("/elsewhere")),
        ("a byte too long", KEY_SET, Answer::Raw(padded(2_049))),
        ("endless", KEY_SET, Answer::Raw(endless)),
        ("compressed", KEY_SET, Answer::Raw(encoded)),
        ("no JSON", KEY_SET, Answer::Raw(ok("<html>"))),
        ("no keys", KEY_SET, Answer::Json(json!({ "keys": {} }))),
        ("cut short", KEY_SET, Answer::Raw(ok(&keys).replace("content-length: ", "content-length: 1"))),
        ("an error", KEY_SET, Answer::Raw("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".into())),
        ("no HTTP", KEY_SET, Answer::Raw("\u{0}\u{1}".into())),
        ("silence", KEY_SET, Answer::Silence),
    ];
    for (what, path, answer) in wrong {
        good();
        issuer.answer(path, answer);
        let refused = world.exchange(&token).await;
        assert_eq!(reason(refused), Some(Reason::IssuerKeysUnavailable), "{what}");
    }
    // At the limit.
    good();
    issuer.answer(KEY_SET, Answer::Raw(padded(2_048)));
    world.exchange(&token).await?;

    // Registered, the keys may be elsewhere; and a changed issuer is asked anew.
    let authority = Authority::new()?;
    let untrusted = Issuer::start(Some(&authority)).await?;
    let host = |url: &str| url.rsplit_once('/').map(|(_, host)| host.to_owned()).unwrap_or_default();
    let allow = async |hosts: Vec<String>| {
        let issuer = Registered { id: id.clone(), key_hosts: hosts, ..Default::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["key_hosts".into()] });
        let request = UpdateIssuerRequest { issuer: Some(issuer), update_mask };
        world.issuers().update_issuer(world.operator.request(request)).await.map(drop)
    };
    untrusted.publish(&[issuer.key.jwk("k")]);
    issuer.describe(&issuer.url, &format!("{}{KEY_SET}", untrusted.url));
    allow(vec![host(&untrusted.url)]).await?;
    let refused = world.exchange(&token).await;
    assert_eq!(
        reason(refused),
        Some(Reason::IssuerKeysUnavailable),
        "a certificate of an authority that nobody trusts"
    );
    assert_eq!(untrusted.asked(KEY_SET), 0);
    let plain = elsewhere.url.replace("localhost", "127.0.0.1");
    issuer.describe(&issuer.url, &format!("{plain}{KEY_SET}"));
    allow(vec![host(&plain), host(&issuer.url)]).await?;
    let exchanged = world.exchange(&token).await?;
    assert_eq!((exchanged.company_id, elsewhere.asked(KEY_SET)), (owner.company.id, 1));
    world.sandbox.stop().await
}

#[tokio::test]
async fn a_file_that_holds_no_authority_keeps_the_catalog_from_starting() -> anyhow::Result<()> {
    use crate::processes::Deployment;
    let deployment = Deployment::on_files()?;
    deployment.prepare().await?;
    let empty = deployment.file("empty.pem");
    std::fs::write(&empty, "")?;
    for (file, problem) in [(empty, "no certificate in PEM"), (deployment.file("not-there.pem"), "not-there.pem")] {
        let mut catalog = deployment.catalog()?;
        catalog.env("CATALOG_ISSUER_CA_FILE", &file);
        let said = tenantry_testkit::process::run(catalog).await?.refusal()?;
        assert!(said.contains("--issuer-ca-file") && said.contains(problem), "{said}");
    }
    Ok(())
}
