//! Metrics of a running `tenantry`, read by Prometheus' way and sent by OTLP, against the table that says what there is.

mod receiver;
mod scraped;
mod shown;
mod table;

use std::collections::BTreeSet;

use anyhow::Context as _;
use tenantry_api::catalog::v1::{Company, LoginRequest};
use tenantry_api::crm::v1::{CreatePersonRequest, GetPersonRequest, Person};
use tenantry_testkit::actors::{Actor, Bearer, PASSWORD, fresh_email, login, registration};
use tenantry_testkit::sandbox::Clients;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};

use crate::matrix::Bytes;
use crate::processes::{Standalone, eventually};
use receiver::Receiver;
use scraped::{Scraped, scrape};
use table::Row;

/// What is on whatever its library does, and not ours to tell: the process itself.
const NOT_OURS: &[&str] = &["target_info"];
/// Attributes that only some of a metric's series have, and not always one in this test.
const SOMETIMES: &[&str] = &["error.type"];

/// A `tenantry` with its metrics, sent often, and read.
struct World {
    standalone: Standalone,
    url: String,
    receiver: Receiver,
    _folder: tempfile::TempDir,
}

/// What was done, in words that must not be in any label.
struct Done {
    company: Company,
    email: String,
    person: String,
}

impl World {
    async fn start() -> anyhow::Result<Self> {
        let (receiver, folder) = (Receiver::default(), tempfile::tempdir()?);
        let mut command = Standalone::command(folder.path(), 0)?;
        command.args(["--metrics-listen", "127.0.0.1:0", "--metrics-interval-ms", "100"]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", receiver.start().await?));
        let mut standalone = Standalone::started(command).await?;
        let url =
            |said: &str| said.lines().find_map(|line| Some(line.trim().strip_prefix("metrics ")?.trim().to_owned()));
        let url = standalone.process.says(url).await?;
        Ok(Self { standalone, url, receiver, _folder: folder })
    }

    /// What is read once it is as `wanted` says.
    async fn once(&self, what: &str, wanted: impl Fn(&Scraped) -> bool) -> anyhow::Result<Scraped> {
        eventually(what, || async { Ok(Some(scrape(&self.url).await?).filter(|scraped| wanted(scraped))) }).await
    }
}

/// Some of everything: a company, its owner, a person; and what is refused.
async fn work(clients: Clients) -> anyhow::Result<Done> {
    let email = fresh_email();
    let registered = clients.companies()?.register_company(registration("Measured Measures", &email)).await?;
    let company = registered.into_inner();
    let owner = Bearer(login(clients, &email).await?);
    let wrong = LoginRequest { email: email.clone(), password: format!("{PASSWORD}!"), ..Default::default() };
    assert_eq!(clients.tokens()?.login(wrong).await.map_err(|status| status.code()).err(), Some(Code::Unauthenticated));

    let mut people = clients.people()?;
    let person = Person { name: "Grace".into(), ..Default::default() };
    let create = CreatePersonRequest { person: Some(person), ..Default::default() };
    let created = people.create_person(owner.request(create)).await?.into_inner();
    people.get_person(owner.request(GetPersonRequest { id: created.id.clone() })).await?;
    // Nobody's: the same id with its last digit changed.
    let mut nobody = created.id.clone();
    nobody.replace_range(nobody.len() - 1.., if created.id.ends_with('0') { "1" } else { "0" });
    let missing = people.get_person(owner.request(GetPersonRequest { id: nobody })).await;
    assert_eq!(missing.map_err(|status| status.code()).err(), Some(Code::NotFound));
    Ok(Done { company, email, person: created.id })
}

/// Calls a method that is not there.
async fn call_made_up(address: std::net::SocketAddr, path: &'static str) -> anyhow::Result<Code> {
    let channel = tenantry_rpc::client::open(&format!("http://{address}"), "anybody", None)?;
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(anyhow::Error::from_boxed)?;
    let answer = client.unary(Request::new(Vec::new()), PathAndQuery::from_static(path), Bytes).await;
    Ok(answer.map(drop).err().context("an answer from nowhere")?.code())
}

fn check_row(row: &Row, scraped: &Scraped) -> anyhow::Result<()> {
    let name = row.prometheus_name();
    let family = scraped.0.get(&name).with_context(|| format!("{name} is in the table and not exported"))?;
    assert_eq!(family.kind, row.prometheus_type(), "{name}");
    assert!(!family.samples.is_empty(), "{name} says nothing");
    let label = |attribute: &String| attribute.replace('.', "_");
    let labels = family.samples.iter().flat_map(|sample| sample.labels.keys());
    let seen: BTreeSet<_> = labels.filter(|label| *label != "le").cloned().collect();
    let declared: BTreeSet<_> = row.attributes.iter().map(label).collect();
    let always = row.attributes.iter().filter(|one| !SOMETIMES.contains(&one.as_str())).map(label);
    assert!(seen.is_subset(&declared), "{name} has {seen:?}, the table {declared:?}");
    assert!(always.collect::<BTreeSet<_>>().is_subset(&seen), "{name} has {seen:?}, the table {declared:?}");
    Ok(())
}

/// No label tells whose call it was, and none is anything that only one company has.
fn check_nobody_is_named(done: &Done, scraped: &Scraped) {
    let Done { company, email, person } = done;
    let names = [&company.id, &company.slug, &company.name, email, person];
    for (family, sample) in
        scraped.0.iter().flat_map(|(name, family)| family.samples.iter().map(move |one| (name, one)))
    {
        for (label, value) in &sample.labels {
            assert!(!names.iter().any(|name| value.contains(name.as_str())), "{family} has {label}={value:?}");
        }
    }
}

mod sqlite {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_exported_is_what_the_table_says() -> anyhow::Result<()> {
        let (world, table) = (World::start().await?, table::read()?);
        let done = work(world.standalone.clients()).await?;
        assert_eq!(call_made_up(world.standalone.addresses.crm, "/made.up.Service/Up").await?, Code::Unimplemented);

        let scraped = world.once("a company that is counted", |scraped| {
            let is_active = scraped.value("tenantry_companies", &[("tenantry_company_state", "ACTIVE")]) == Some(1.0);
            is_active
                && ["tenantry_watch_lag_seconds", "tenantry_rollouts"].iter().all(|name| scraped.0.contains_key(*name))
        });
        let scraped = scraped.await?;
        for row in &table {
            check_row(row, &scraped)?;
        }
        let known: BTreeSet<_> = table.iter().map(Row::prometheus_name).collect();
        let unknown: Vec<_> = scraped.0.keys().filter(|name| !known.contains(*name)).collect();
        assert_eq!(unknown, NOT_OURS, "exported and not in METRICS.md");
        check_nobody_is_named(&done, &scraped);

        // The end sends what is left.
        world.standalone.process.signal("TERM")?;
        assert!(world.standalone.process.end().await?.status.success());
        let pushed = world.receiver.seen();
        for Row { name, instrument, unit, .. } in &table {
            assert_eq!(pushed.get(name), Some(&(*instrument, unit.clone())), "{name}, by OTLP");
        }
        assert_eq!(pushed.len(), table.len(), "{:?}", pushed.keys());
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn calls_are_counted_by_how_they_end() -> anyhow::Result<()> {
        let world = World::start().await?;
        work(world.standalone.clients()).await?;
        let crm = world.standalone.addresses.crm;
        for made_up in ["/made.up.Service/Up", "/tenantry.crm.v1.PersonService/Up", "/u/p"] {
            assert_eq!(call_made_up(crm, made_up).await?, Code::Unimplemented, "{made_up}");
        }

        let scraped = scrape(&world.url).await?;
        let answered = |method: &str, code: &str| {
            let labels = [("rpc_method", method), ("rpc_response_status_code", code)];
            scraped.value("rpc_server_call_duration_seconds_count", &labels)
        };
        let get = "tenantry.crm.v1.PersonService/GetPerson";
        assert_eq!((answered(get, "OK"), answered(get, "NOT_FOUND")), (Some(1.0), Some(1.0)));
        assert_eq!(answered("tenantry.catalog.v1.TokenService/Login", "UNAUTHENTICATED"), Some(1.0));
        assert_eq!(answered("_OTHER", "UNIMPLEMENTED"), Some(3.0));
        let asked = [
            ("rpc_method", "tenantry.catalog.v1.TenantDirectoryService/ResolveTenant"),
            ("rpc_response_status_code", "OK"),
        ];
        assert_eq!(scraped.value("rpc_client_call_duration_seconds_count", &asked), Some(1.0));
        world.standalone.process.stop("TERM").await?;
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_done_is_what_is_counted() -> anyhow::Result<()> {
        let world = World::start().await?;
        work(world.standalone.clients()).await?;
        let scraped = world.once("a company that is counted", |scraped| {
            let heard = scraped.value("tenantry_control_plane_heard", &[]) == Some(1.0);
            heard && scraped.value("tenantry_companies", &[("tenantry_company_state", "ACTIVE")]) == Some(1.0)
        });
        let scraped = scraped.await?;
        let is = |name: &str, labels: &[(&str, &str)], value: f64| {
            assert_eq!(scraped.value(name, labels), Some(value), "{name} {labels:?}");
        };

        // Three calls with one token, of one company.
        for (result, times) in [("miss", 1.0), ("hit", 2.0)] {
            let by_crm = [("tenantry_service", "crm"), ("tenantry_cache_result", result)];
            is("tenantry_token_cache_lookups_total", &by_crm, times);
            is("tenantry_placement_cache_lookups_total", &[("tenantry_cache_result", result)], times);
        }
        let local = ("db_client_connection_pool_name", "local");
        is("db_client_connection_create_time_seconds_count", &[local], 1.0);
        is("db_client_connection_wait_time_seconds_count", &[local], 3.0);
        is("db_client_connection_max", &[local], 50.0);
        is("tenantry_pool_open", &[local], 1.0);
        for (state, count) in [("idle", 1.0), ("used", 0.0)] {
            is("db_client_connection_count", &[local, ("db_client_connection_state", state)], count);
        }

        // One company made; its owner's password hashed once and compared twice.
        for step in ["create_database", "seed"] {
            let done = [("tenantry_provisioning_step", step), ("tenantry_provisioning_outcome", "done")];
            is("tenantry_provisioning_step_duration_seconds_count", &done, 1.0);
        }
        is("tenantry_companies", &[("tenantry_company_state", "FAILED")], 0.0);
        is("tenantry_server_databases", &[("tenantry_server", "local")], 1.0);
        is("tenantry_server_max_databases", &[("tenantry_server", "local")], 0.0);
        let newest = migrator::sets::tenant()?.head().context("a migration")?.to_owned();
        is("tenantry_schema_databases", &[("tenantry_schema_version", &newest)], 1.0);
        for name in ["tenantry_argon2_hash_duration_seconds_count", "tenantry_argon2_wait_duration_seconds_count"] {
            is(name, &[], 3.0);
        }
        is("tenantry_argon2_running", &[], 0.0);
        is("tenantry_argon2_waiting", &[], 0.0);
        world.standalone.process.stop("TERM").await?;
        Ok(())
    }
}
