use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tenantry_ids::{CompanyId, SystemIds};
use tokio::sync::Mutex;
use tokio::time::{advance, sleep};

use super::{CachedDirectory, Directory, FileDirectory, FileDirectoryError, PlacementCacheConfig, ResolveError};
use crate::{Endpoint, Engine, Limits, Placement, TenantState};

const EXAMPLE: &str = include_str!("../../docs/tenants.example.json");

/// A directory whose answer a test sets, and whose questions it counts.
pub(super) struct Scripted {
    answer: Mutex<Result<Placement, ResolveError>>,
    questions: AtomicU32,
}

#[async_trait]
impl Directory for Arc<Scripted> {
    async fn resolve(&self, _tenant: CompanyId) -> Result<Placement, ResolveError> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        sleep(Duration::from_millis(1)).await;
        self.answer.lock().await.clone()
    }
}

impl Scripted {
    pub(super) fn questions(&self) -> u32 {
        self.questions.load(Ordering::Relaxed)
    }

    pub(super) async fn now_answers(&self, answer: Result<Placement, ResolveError>) {
        *self.answer.lock().await = answer;
    }
}

pub(crate) fn placement(generation: u64) -> Placement {
    Placement {
        tenant: CompanyId::new(&SystemIds),
        state: TenantState::Active,
        access_epoch: 0,
        generation,
        schema_version: String::new(),
        server: "s".to_owned(),
        database: "d".to_owned(),
        endpoint: Endpoint::Sqlite { path: "d.db".into() },
        maintenance_retry: None,
        limits: Limits::default(),
        plugins: Arc::default(),
    }
}

pub(super) fn cached(answer: Result<Placement, ResolveError>) -> (Arc<Scripted>, CachedDirectory<Arc<Scripted>>) {
    let inner = Arc::new(Scripted { answer: Mutex::new(answer), questions: AtomicU32::new(0) });
    let config = PlacementCacheConfig { placement_ttl_ms: 10_000, ..PlacementCacheConfig::default() };
    config.validate().unwrap();
    (Arc::clone(&inner), CachedDirectory::new(inner, &config))
}

pub(super) fn outage() -> ResolveError {
    ResolveError::unavailable("down")
}

#[tokio::test(start_paused = true)]
async fn one_question_for_all_who_wait_and_none_while_fresh() {
    let (inner, directory) = cached(Ok(placement(1)));
    let tenant = CompanyId::new(&SystemIds);
    let all = futures_util::future::join_all((0..50).map(|_| directory.get(tenant))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(inner.questions(), 1);
    advance(Duration::from_secs(9)).await;
    let (hits, misses) = directory.lookups();
    directory.get(tenant).await.unwrap();
    assert_eq!((inner.questions(), directory.lookups()), (1, (hits + 1, misses)));

    advance(Duration::from_secs(2)).await;
    inner.now_answers(Ok(placement(2))).await;
    let all = futures_util::future::join_all((0..50).map(|_| directory.get(tenant))).await;
    assert!(all.into_iter().all(|answer| answer.unwrap().generation == 2));
    assert_eq!(inner.questions(), 2);
    let (hits, misses) = directory.lookups();
    assert!(hits + misses == 101 && misses >= 2, "{hits} and {misses}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_outlived_until_the_staleness_ends() {
    let (inner, directory) = cached(Ok(placement(1)));
    let tenant = CompanyId::new(&SystemIds);
    directory.get(tenant).await.unwrap();
    inner.now_answers(Err(outage())).await;

    advance(Duration::from_secs(1_800)).await;
    for _ in 0..10 {
        assert_eq!(directory.get(tenant).await.unwrap().generation, 1);
    }
    assert_eq!(inner.questions(), 2, "an outage is not asked about by every request");
    advance(Duration::from_secs(1_790)).await;
    assert!(directory.get(tenant).await.is_ok());
    advance(Duration::from_secs(20)).await;
    assert!(matches!(directory.get(tenant).await, Err(ResolveError::Unavailable(_))));

    inner.now_answers(Ok(placement(2))).await;
    assert_eq!(directory.get(tenant).await.unwrap().generation, 2, "and ends at once");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_tenant_is_asked_about_again_after_a_second() {
    let (inner, directory) = cached(Err(ResolveError::NotFound));
    let tenant = CompanyId::new(&SystemIds);
    for _ in 0..5 {
        assert!(matches!(directory.get(tenant).await, Err(ResolveError::NotFound)));
    }
    assert_eq!(inner.questions(), 1);
    advance(Duration::from_millis(1_001)).await;
    inner.now_answers(Ok(placement(1))).await;
    assert!(directory.get(tenant).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_asks_again_and_survives_an_outage() {
    let (inner, directory) = cached(Ok(placement(1)));
    let tenant = CompanyId::new(&SystemIds);
    directory.get(tenant).await.unwrap();
    inner.now_answers(Err(outage())).await;
    directory.refresh(tenant).await;
    assert_eq!(directory.get(tenant).await.unwrap().generation, 1);
    inner.now_answers(Ok(placement(2))).await;
    directory.refresh(tenant).await;
    assert_eq!(directory.get(tenant).await.unwrap().generation, 2);
    assert_eq!(inner.questions(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_refused_requests_is_one_question_a_second() {
    let (inner, directory) = cached(Ok(placement(1)));
    let tenant = CompanyId::new(&SystemIds);
    for _ in 0..100 {
        directory.refresh_unless_just_asked(tenant).await;
        directory.get(tenant).await.unwrap();
    }
    assert_eq!(inner.questions(), 1);
    advance(Duration::from_millis(1_001)).await;
    directory.refresh_unless_just_asked(tenant).await;
    directory.get(tenant).await.unwrap();
    assert_eq!(inner.questions(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_before_a_refresh_is_not_kept() {
    let (inner, directory) = cached(Ok(placement(1)));
    let tenant = CompanyId::new(&SystemIds);
    tokio::join!(async { directory.get(tenant).await.unwrap() }, async {
        sleep(Duration::from_micros(500)).await;
        directory.refresh(tenant).await;
    });
    directory.get(tenant).await.unwrap();
    assert_eq!(inner.questions(), 2);
}

async fn open(text: &str) -> Result<FileDirectory, FileDirectoryError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    FileDirectory::open(file.path()).await
}

#[tokio::test]
async fn the_example_file_is_read() {
    let directory = open(EXAMPLE).await.unwrap();
    let first = directory.resolve("0192f0c1-7e57-7000-8000-000000000001".parse().unwrap()).await.unwrap();
    assert_eq!((first.endpoint.engine(), first.generation, first.state), (Engine::Postgres, 1, TenantState::Active));
    let second = directory.resolve("0192f0c1-7e57-7000-8000-000000000002".parse().unwrap()).await.unwrap();
    assert_eq!((second.endpoint.engine(), second.generation, second.state), (Engine::Sqlite, 0, TenantState::Active));
    let plugins: Vec<_> = second.plugins.iter().map(|plugin| (&*plugin.name, &*plugin.schema_version)).collect();
    assert_eq!(plugins, [("appliances", ""), ("sms", "m20260101_000300_delivery")]);
    let unknown = directory.resolve(CompanyId::new(&SystemIds)).await;
    assert!(matches!(unknown, Err(ResolveError::NotFound)));
}

#[tokio::test]
async fn what_is_not_documented_is_refused() {
    for (from, to) in [
        ("\"tenants\"", "\"tenant\""),
        ("\"schema_version\"", "\"schema\""),
        ("\"access_epoch\": 0", "\"epoch\": 0"),
        ("\"port\": 5432", "\"port\": 5432, \"sslmode\": \"off\""),
        ("\"postgres\"", "\"oracle\""),
        ("\"active\"", "\"asleep\""),
    ] {
        assert!(EXAMPLE.contains(from));
        let refused = open(&EXAMPLE.replace(from, to)).await;
        assert!(matches!(refused, Err(FileDirectoryError::Parse { .. })), "{to}: {refused:?}");
    }
    let twice = EXAMPLE.replace("8000-000000000002", "8000-000000000001");
    assert!(matches!(open(&twice).await, Err(FileDirectoryError::RepeatedTenant(_))));
    let one = EXAMPLE.split_once("\"tenants\": [").unwrap().1.split_once("},\n    {").unwrap().0;
    let shared =
        format!("{{ \"tenants\": [ {one} }}, {} }} ] }}", one.replace("8000-000000000001", "8000-000000000003"));
    assert!(matches!(open(&shared).await, Err(FileDirectoryError::SharedDatabase { .. })));
}

#[tokio::test]
async fn a_changed_file_is_read_again_and_a_broken_one_is_not() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), EXAMPLE).unwrap();
    let directory = FileDirectory::open(file.path()).await.unwrap();
    let tenant = "0192f0c1-7e57-7000-8000-000000000001".parse().unwrap();

    std::fs::write(file.path(), EXAMPLE.replace("\"active\"", "\"suspended\"")).unwrap();
    assert_eq!(directory.resolve(tenant).await.unwrap().state, TenantState::Suspended);
    std::fs::write(file.path(), "{").unwrap();
    assert_eq!(directory.resolve(tenant).await.unwrap().state, TenantState::Suspended);
    std::fs::remove_file(file.path()).unwrap();
    assert_eq!(directory.resolve(tenant).await.unwrap().state, TenantState::Suspended);
    std::fs::write(file.path(), EXAMPLE).unwrap();
    assert_eq!(directory.resolve(tenant).await.unwrap().state, TenantState::Active);
}
