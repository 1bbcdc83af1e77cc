//! `ListEvents`: who, what, when, from where.

use prost_types::Timestamp;
use tenantry_api::catalog::v1::{ListEventsRequest, SuspendCompanyRequest};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Member, Owner};
use tenantry_testkit::sandbox::Sandbox;

use super::{details, list};
use crate::lifecycle::Operations;
use crate::support::{per_engine, reason};

per_engine!(
    an_event_says_who_did_what_when_and_from_where,
    every_filter_counts_and_pages_are_whole,
    people_see_their_own_company_and_not_where_it_is,
);

fn of(company_id: &str) -> ListEventsRequest {
    ListEventsRequest { company_id: company_id.into(), ..Default::default() }
}

async fn an_event_says_who_did_what_when_and_from_where(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Audited").await?;
    let id = owner.company.id.clone();
    let suspend =
        SuspendCompanyRequest { id: id.clone(), reason: "it's \"unpaid\"; DROP TABLE events; -- 電力".into() };
    let mut request = operations.operator.request(suspend.clone());
    let trace = "0af7651916cd43dd8448eb211c80319c";
    request.metadata_mut().insert("traceparent", format!("00-{trace}-b7ad6b7169203331-01").parse()?);
    sandbox.companies()?.suspend_company(request).await?;

    let events = list(sandbox, &operations.operator, of(&id)).await?;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["company.suspended", "user.signed_in", "company.activated", "company.created"]);
    let [suspended, signed_in, activated, created] = &events[..] else { panic!("four events") };
    assert!(suspended.actor.starts_with("operator:"), "{}", suspended.actor);
    assert_eq!((suspended.company_id.as_str(), suspended.trace_id.as_str()), (id.as_str(), trace));
    assert!(suspended.peer_address.starts_with("127.0.0.1:"), "{}", suspended.peer_address);
    let said = details(suspended);
    assert_eq!((said["from"].as_str(), said["to"].as_str()), (Some("ACTIVE"), Some("SUSPENDED")));
    assert_eq!((said["reason"].as_str(), said["access_epoch"].as_i64()), (Some(suspend.reason.as_str()), Some(2)));
    assert!(signed_in.actor.starts_with("user:") && signed_in.peer_address.starts_with("127.0.0.1:"));
    assert_eq!(details(signed_in)["method"], "password");
    // A worker's doing comes from nowhere, and the caller's trace goes on.
    assert_eq!((activated.actor.as_str(), activated.peer_address.as_str()), ("service:catalog", ""));
    assert_eq!((created.actor.as_str(), activated.trace_id.as_str()), ("anonymous", created.trace_id.as_str()));
    let times: Vec<_> = events.iter().filter_map(|event| event.occur_time).map(|at| (at.seconds, at.nanos)).collect();
    assert!(times.is_sorted_by(|a, b| a >= b) && times.len() == 4, "{times:?}");
    Ok(())
}

async fn every_filter_counts_and_pages_are_whole(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let (one, other) = (Owner::of_new_company(sandbox, "One").await?, Owner::of_new_company(sandbox, "Other").await?);
    let id = one.company.id.clone();
    for _ in 0..4 {
        operations.suspend(&id).await?;
        operations.resume(&id).await?;
    }
    let all = list(sandbox, &operations.operator, ListEventsRequest::default()).await?;
    // Pages of any size are the same list.
    for page_size in [1, 3, 1_000] {
        let paged = list(sandbox, &operations.operator, ListEventsRequest { page_size, ..of(&id) }).await?;
        let expected: Vec<_> = all.iter().filter(|event| event.company_id == id).cloned().collect();
        assert_eq!(paged, expected, "{page_size}");
    }
    let kinds = ["company.suspended".to_owned(), "company.created".to_owned()];
    let found = list(sandbox, &operations.operator, ListEventsRequest { kinds: kinds.to_vec(), ..of(&id) }).await?;
    assert_eq!((found.len(), found[4].kind.as_str()), (5, "company.created"));
    let actor = found[0].actor.clone();
    let by_operator = ListEventsRequest { actor: actor.clone(), ..ListEventsRequest::default() };
    let found = list(sandbox, &operations.operator, by_operator.clone()).await?;
    assert!(found.len() >= 9 && found.iter().all(|event| event.actor == actor));
    let other_by_operator = ListEventsRequest { company_id: other.company.id.clone(), ..by_operator };
    assert_eq!(list(sandbox, &operations.operator, other_by_operator).await?, []);

    // From a moment on, and up to it without it.
    let moment = all.iter().find(|event| event.kind == "company.resumed").and_then(|event| event.occur_time);
    let moment = moment.expect("a resumption");
    let after = ListEventsRequest { start_time: Some(moment), ..Default::default() };
    let after = list(sandbox, &operations.operator, after).await?;
    let before = ListEventsRequest { end_time: Some(moment), ..Default::default() };
    let before = list(sandbox, &operations.operator, before).await?;
    assert!(after.iter().any(|event| event.occur_time == Some(moment)));
    assert!(before.iter().all(|event| event.occur_time != Some(moment)));
    assert_eq!(after.len() + before.len(), all.len());

    let wrong = [
        ListEventsRequest { page_size: -1, ..Default::default() },
        ListEventsRequest { company_id: "x".into(), ..Default::default() },
        ListEventsRequest { kinds: vec!["k".into(); 51], ..Default::default() },
        ListEventsRequest { kinds: vec![String::new()], ..Default::default() },
        ListEventsRequest { actor: "a".repeat(129), ..Default::default() },
        ListEventsRequest { start_time: Some(Timestamp { seconds: i64::MAX, nanos: 0 }), ..Default::default() },
        ListEventsRequest { end_time: Some(Timestamp { seconds: 0, nanos: -1 }), ..Default::default() },
        ListEventsRequest {
            start_time: Some(Timestamp { seconds: 2, nanos: 0 }),
            end_time: Some(Timestamp { seconds: 1, nanos: 0 }),
            ..Default::default()
        },
    ];
    for request in wrong {
        let refused = list(sandbox, &operations.operator, request.clone()).await;
        assert_eq!(reason(refused), Some(Reason::FieldViolations), "{request:?}");
    }
    let request = operations.operator.request(ListEventsRequest { page_token: "x".into(), ..Default::default() });
    let refused = sandbox.clients().events()?.list_events(request).await;
    assert_eq!(reason(refused), Some(Reason::FieldViolations));
    // At the limit.
    let most = ListEventsRequest { kinds: vec!["company.created".into(); 50], actor: "a".repeat(128), ..of(&id) };
    assert_eq!(list(sandbox, &operations.operator, most).await?, []);
    Ok(())
}

async fn people_see_their_own_company_and_not_where_it_is(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operations = Operations::of(sandbox).await?;
    let owner = Owner::of_new_company(sandbox, "Seen").await?;
    let other = Owner::of_new_company(sandbox, "Elsewhere").await?;
    let admin = Member::invited_by(sandbox, &owner, "admin").await?;
    let member = Member::invited_by(sandbox, &owner, "member").await?;
    let id = owner.company.id.clone();
    operations.enter_maintenance(&id, 1).await?;

    for seen in [list(sandbox, &owner, of(&id)).await?, list(sandbox, &admin, of(&id)).await?] {
        let kinds: Vec<_> = seen.iter().rev().map(|event| event.kind.as_str()).collect();
        let joined = ["member.invited", "member.joined", "user.signed_in"];
        let made = ["company.created", "company.activated", "user.signed_in"];
        assert_eq!(kinds, [&made[..], &joined, &joined, &["company.maintenance_entered"]].concat());
        assert!(seen.iter().all(|event| event.company_id == id));
        let (entered, created) = (&seen[0], &seen[seen.len() - 1]);
        assert_eq!(entered.peer_address, "", "an operator's address");
        assert!(seen[1].peer_address.starts_with("127.0.0.1:"));
        assert_eq!(details(created)["slug"], "seen");
        for hidden in ["server", "database_id", "labels"] {
            assert_eq!(details(created)[hidden], serde_json::Value::Null, "{hidden}");
        }
    }
    let full = list(sandbox, &operations.operator, of(&id)).await?;
    assert!(full[0].peer_address.starts_with("127.0.0.1:"));
    assert!(details(&full[full.len() - 1])["server"].is_string());
    assert_eq!(reason(list(sandbox, &member, of(&id)).await), Some(Reason::ScopeMissing));
    for elsewhere in [of(&id), ListEventsRequest::default()] {
        assert_eq!(reason(list(sandbox, &other, elsewhere).await), Some(Reason::OtherTenant));
    }
    Ok(())
}
