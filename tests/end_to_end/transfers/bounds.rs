//! The limits of imports and exports, at their edges.

use tenantry_api::crm::v1::import_people_request::Part;
use tenantry_api::crm::v1::{ImportMode, ImportOptions, TransferFormat};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::Owner;
use tenantry_testkit::sandbox::{Sandbox, Tuning};

use super::everything::Whole;
use super::{Sending, chunk, csv, export, import, names, options, part};
use crate::support::{fields, reason};

/// Small ones, and how long a part is waited for.
async fn sandbox(import_idle_timeout_ms: u64) -> anyhow::Result<Sandbox> {
    let transfers = crm::TransferConfig {
        transfers_at_once: 2,
        transfers_at_once_per_company: 1,
        import_max_rows: 5,
        import_max_bytes: 200,
        import_max_row_bytes: 20,
        import_batch_rows: 2,
        import_idle_timeout_ms,
        import_transaction_timeout_ms: 60_000,
    };
    Sandbox::start_tuned(None, Tuning { transfers: Some(transfers), ..Tuning::NONE }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_rows_are_as_large_as_they_may_be_and_no_larger() -> anyhow::Result<()> {
    let sandbox = sandbox(60_000).await?;
    let owner = Owner::of_new_company(&sandbox, "Bounded").await?;
    let effort = || csv(ImportMode::BestEffort);
    let outcome = import(&sandbox, &owner, effort(), b"name\n1\n2\n3\n4\n5\n").await?;
    assert_eq!(outcome.counts(), Some((5, 5, 0)), "{outcome:?}");
    let outcome = import(&sandbox, &owner, effort(), b"name\n1\n2\n3\n4\n5\n6\n").await?;
    // Whole batches stay.
    assert_eq!(outcome.progress.last().map(|progress| progress.rows_written), Some(4));
    assert_eq!(outcome.reason(), Some(Reason::ImportTooLarge));
    let outcome = import(&sandbox, &owner, csv(ImportMode::AllOrNothing), b"name\n1\n2\n3\n4\n5\n6\n").await?;
    assert_eq!(outcome.reason(), Some(Reason::ImportTooLarge));
    assert_eq!(names(&sandbox, &owner).await?.len(), 5 + 4);

    let blank = |bytes: usize| format!("name\nA\n{}", "\n".repeat(bytes - 7)).into_bytes();
    assert_eq!(import(&sandbox, &owner, effort(), &blank(200)).await?.counts(), Some((1, 1, 0)));
    assert_eq!(import(&sandbox, &owner, effort(), &blank(201)).await?.reason(), Some(Reason::ImportTooLarge));

    let row = |letters: usize| format!("name\n\"{}\"\nnext\n", "x".repeat(letters)).into_bytes();
    assert_eq!(import(&sandbox, &owner, effort(), &row(20)).await?.counts(), Some((2, 2, 0)));
    let outcome = import(&sandbox, &owner, effort(), &row(21)).await?;
    assert_eq!((outcome.counts(), outcome.flaws()), (Some((2, 1, 1)), vec![(1, vec!["row"])]));
    let line = |letters: usize| format!("{{\"name\":\"{}\"}}\n{{\"name\":\"n\"}}", "x".repeat(letters)).into_bytes();
    let json = || options(TransferFormat::JsonLines, ImportMode::BestEffort);
    assert_eq!(import(&sandbox, &owner, json(), &line(9)).await?.counts(), Some((2, 2, 0)));
    assert_eq!(import(&sandbox, &owner, json(), &line(10)).await?.flaws(), [(1, vec!["row"])]);
    sandbox.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_import_is_refused() -> anyhow::Result<()> {
    let sandbox = Sandbox::start_on(None).await?;
    let owner = Owner::of_new_company(&sandbox, "Strict").await?;
    let refused = async |options: ImportOptions, file: &[u8]| -> anyhow::Result<Vec<String>> {
        let outcome = import(&sandbox, &owner, options, file).await?;
        Ok(fields(outcome.refusal.map_or(Ok(()), Err)))
    };
    let effort = csv(ImportMode::BestEffort);
    assert_eq!(refused(ImportOptions::default(), b"").await?, ["options.format", "options.mode"]);
    assert_eq!(refused(effort.clone(), b"").await?, ["header"]);
    assert_eq!(refused(effort.clone(), b"name,nick,name\nA,,\n").await?, ["header.nick", "header.name"]);
    assert_eq!(refused(effort.clone(), b"surname;name\nA;B\n").await?, ["header.surname;name", "header.name"]);
    assert_eq!(refused(effort.clone(), b"\"name\nA\nB\n").await?, ["header"]);
    let with_id = ImportOptions { request_id: "one".into(), ..csv(ImportMode::AllOrNothing) };
    assert_eq!(refused(with_id, b"name\nA\n").await?, ["request_id"]);

    // Messages out of turn.
    let mut sending = Sending::begin(&sandbox, &owner, effort.clone()).await?;
    sending.parts.send(part(Part::Options(effort.clone()))).await?;
    assert_eq!(fields(sending.answers.message().await), ["options"]);
    let mut sending = Sending::begin(&sandbox, &owner, effort.clone()).await?;
    sending.parts.send(chunk(&vec![b'\n'; 1024 * 1024])).await?;
    sending.parts.send(chunk(&vec![b'\n'; 1024 * 1024 + 1])).await?;
    assert_eq!(fields(sending.answers.message().await), ["chunk"]);
    let mut sending = Sending::begin(&sandbox, &owner, effort).await?;
    sending.parts.send(Default::default()).await?;
    assert_eq!(fields(sending.answers.message().await), ["part"]);
    assert!(names(&sandbox, &owner).await?.is_empty());
    sandbox.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_too_many_is_refused_until_one_ends() -> anyhow::Result<()> {
    let sandbox = sandbox(60_000).await?;
    let owners = [
        Owner::of_new_company(&sandbox, "One").await?,
        Owner::of_new_company(&sandbox, "Two").await?,
        Owner::of_new_company(&sandbox, "Three").await?,
    ];
    let effort = || csv(ImportMode::BestEffort);
    let first = Sending::begin(&sandbox, &owners[0], effort()).await?;
    let again = Sending::begin(&sandbox, &owners[0], effort()).await.map(|_| ());
    assert_eq!(reason(again), Some(Reason::ConcurrencyLimited));
    assert_eq!(reason(export(&sandbox, &owners[0], TransferFormat::Csv).await), Some(Reason::ConcurrencyLimited));
    assert_eq!(reason(Whole::of(&sandbox, &owners[0]).await), Some(Reason::ConcurrencyLimited));
    let second = Sending::begin(&sandbox, &owners[1], effort()).await?;
    let third = Sending::begin(&sandbox, &owners[2], effort()).await.map(|_| ());
    assert_eq!(reason(third), Some(Reason::Overloaded));

    second.send(b"name\nA\n").await;
    assert_eq!(second.end().await.counts(), Some((1, 1, 0)));
    crate::processes::eventually("the end of one", async || {
        Ok(Sending::begin(&sandbox, &owners[2], effort()).await.is_ok().then_some(()))
    })
    .await?;
    drop(first);
    sandbox.stop().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_sends_nothing_is_not_waited_for() -> anyhow::Result<()> {
    let sandbox = sandbox(200).await?;
    let owner = Owner::of_new_company(&sandbox, "Silent").await?;
    for mode in [ImportMode::AllOrNothing, ImportMode::BestEffort] {
        let sending = Sending::begin(&sandbox, &owner, csv(mode)).await?;
        sending.send(b"name\nA\nB\nC\n").await;
        let Sending { parts, mut answers } = sending;
        let ended = loop {
            match answers.message().await {
                Ok(answer) => assert!(answer.is_some(), "it has ended well"),
                Err(status) => break tenantry_rpc::reason_of(&status),
            }
        };
        assert_eq!(ended, Some(Reason::DeadlineExceeded));
        drop(parts);
    }
    // The batch of two that was whole.
    assert_eq!(names(&sandbox, &owner).await?, ["A", "B"]);
    sandbox.stop().await
}
