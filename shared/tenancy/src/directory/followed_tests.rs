//! The cache while somebody tells it of changes. Its plain TTL is 10 s here, the other one 10 min, the spread 5 s.

use std::num::NonZeroU32;
use std::time::Duration;

use tenantry_ids::{CompanyId, SystemIds};
use tokio::time::{Instant, advance, sleep};

use super::tests::{cached, outage, placement};
use super::{Change, ResolveError};
use crate::{InstalledPlugin, Limits, TenantState};

fn change(tenant: CompanyId, state: TenantState, generation: u64) -> Change {
    Change {
        tenant,
        state,
        access_epoch: 7,
        generation,
        schema_version: "m2".to_owned(),
        maintenance_retry: Some(Duration::from_secs(3)),
        plugins: [InstalledPlugin { name: "appliances".to_owned(), schema_version: "m1".to_owned() }].into(),
        limits: Limits { connections: NonZeroU32::new(3), ..Limits::default() },
    }
}

#[tokio::test(start_paused = true)]
async fn while_changes_are_told_nothing_is_asked_again() {
    let (inner, directory) = cached(Ok(placement(1)));
    let tenant = CompanyId::new(&SystemIds);
    directory.follows(true);
    directory.get(tenant).await.unwrap();
    advance(Duration::from_secs(599)).await;
    directory.get(tenant).await.unwrap();
    assert_eq!(inner.questions(), 1);
    advance(Duration::from_secs(2)).await;
    directory.get(tenant).await.unwrap();
    assert_eq!(inner.questions(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_change_shows_at_once_and_another_place_is_asked_for() {
    let (inner, directory) = cached(Ok(placement(1)));
    let tenant = CompanyId::new(&SystemIds);
    directory.follows(true);
    directory.get(tenant).await.unwrap();
    directory.apply(change(tenant, TenantState::Maintenance, 1)).await;
    let known = directory.get(tenant).await.unwrap();
    assert_eq!((known.state, known.access_epoch, known.schema_version.as_str()), (TenantState::Maintenance, 7, "m2"));
    assert_eq!((known.maintenance_retry, known.generation), (Some(Duration::from_secs(3)), 1));
    assert_eq!((known.plugin_version("appliances"), known.plugin_version("sms")), (Some("m1"), None));
    // An epoch never goes back, whatever comes late.
    directory.apply(Change { access_epoch: 2, ..change(tenant, TenantState::Active, 1) }).await;
    assert_eq!(directory.get(tenant).await.unwrap().access_epoch, 7);
    assert_eq!(inner.questions(), 1);

    inner.now_answers(Ok(placement(2))).await;
    directory.apply(change(tenant, TenantState::Active, 2)).await;
    assert_eq!(directory.get(tenant).await.unwrap().generation, 2);
    assert_eq!(inner.questions(), 2);
    // While the directory is away the old place is better than none, and the state counts all the same.
    inner.now_answers(Err(outage())).await;
    directory.apply(change(tenant, TenantState::Suspended, 3)).await;
    let known = directory.get(tenant).await.unwrap();
    assert_eq!((known.generation, known.state), (2, TenantState::Suspended));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_that_was_not_there_is_asked_for_when_it_has_changed() {
    let (inner, directory) = cached(Err(ResolveError::NotServed(TenantState::Provisioning)));
    let tenant = CompanyId::new(&SystemIds);
    directory.follows(true);
    assert!(directory.get(tenant).await.is_err());
    inner.now_answers(Ok(placement(1))).await;
    assert!(directory.get(tenant).await.is_err());
    directory.apply(change(tenant, TenantState::Active, 1)).await;
    assert!(directory.get(tenant).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_before_a_change_is_not_kept() {
    let (inner, directory) = cached(Ok(placement(1)));
    let tenant = CompanyId::new(&SystemIds);
    directory.follows(true);
    tokio::join!(async { directory.get(tenant).await.unwrap() }, async {
        sleep(Duration::from_micros(500)).await;
        directory.apply(change(tenant, TenantState::Suspended, 1)).await;
    });
    directory.get(tenant).await.unwrap();
    assert_eq!(inner.questions(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_stream_the_ttl_counts_from_its_last_word() {
    let (inner, directory) = cached(Ok(placement(1)));
    let tenant = CompanyId::new(&SystemIds);
    directory.follows(true);
    directory.get(tenant).await.unwrap();
    advance(Duration::from_secs(100)).await;
    directory.follows_no_more(Instant::now());
    advance(Duration::from_secs(9)).await;
    directory.get(tenant).await.unwrap();
    assert_eq!(inner.questions(), 1);
    advance(Duration::from_secs(2)).await;
    directory.get(tenant).await.unwrap();
    assert_eq!(inner.questions(), 2);
    // Without a gap what is known holds again.
    directory.follows(false);
    advance(Duration::from_secs(60)).await;
    directory.get(tenant).await.unwrap();
    assert_eq!(inner.questions(), 2);
}

/// Staleness is an hour.
#[tokio::test(start_paused = true)]
async fn an_outage_is_outlived_from_the_last_word_on() {
    let (inner, directory) = cached(Ok(placement(1)));
    let tenant = CompanyId::new(&SystemIds);
    directory.follows(true);
    directory.get(tenant).await.unwrap();
    advance(Duration::from_secs(500)).await;
    directory.follows_no_more(Instant::now());
    inner.now_answers(Err(outage())).await;
    advance(Duration::from_secs(3_590)).await;
    assert!(directory.get(tenant).await.is_ok());
    advance(Duration::from_secs(20)).await;
    assert!(directory.get(tenant).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_everything_is_asked_for_again_and_not_at_once() {
    let (inner, directory) = cached(Ok(placement(1)));
    let tenants: Vec<_> = (0..1_000).map(|_| CompanyId::new(&SystemIds)).collect();
    directory.follows(true);
    for tenant in &tenants {
        directory.get(*tenant).await.unwrap();
    }
    assert_eq!(inner.questions(), 1_000);
    advance(Duration::from_secs(100)).await;
    directory.follows(true);
    inner.now_answers(Ok(placement(2))).await;
    let mut counts = Vec::new();
    for _ in 0..6 {
        let before = inner.questions();
        futures_util::future::join_all(tenants.iter().map(|tenant| directory.get(*tenant))).await;
        counts.push(inner.questions() - before);
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(counts.iter().sum::<u32>(), 1_000, "{counts:?}");
    assert!(counts.iter().all(|count| *count < 350), "{counts:?}");
}
