//! The control plane gone: who is known is served on, within bounds, and the crm says so.

use tenantry_api::crm::v1::ListPeopleRequest;
use tenantry_rpc::{Reason, client, reason_of};
use tenantry_tenancy::CONTROL_PLANE;
use tenantry_testkit::actors::{Actor, Owner};
use tenantry_testkit::sandbox::{Clients, Engine};
use tenantry_testkit::servers::free_in_a_row;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use super::tour::Inhabited;
use super::{Deployment, eventually, serve};

const SERVICE: &str = "tenantry.crm.v1.PersonService";

/// What probes see: of the whole crm, of one of its services, and of the control plane.
#[derive(Debug, PartialEq)]
struct Seen {
    whole: bool,
    service: bool,
    control_plane: bool,
}

const WELL: Seen = Seen { whole: true, service: true, control_plane: true };
const ALONE: Seen = Seen { whole: true, service: true, control_plane: false };
const NOT_READY: Seen = Seen { whole: false, service: false, control_plane: false };

async fn look(address: &str) -> anyhow::Result<Seen> {
    let mut health = HealthClient::new(client::open(&format!("http://{address}"), "crm", None)?);
    let mut serving = async |service: &str| {
        let answer = health.check(HealthCheckRequest { service: service.to_owned() }).await?;
        anyhow::Ok(answer.into_inner().status() == ServingStatus::Serving)
    };
    Ok(Seen {
        whole: serving("").await?,
        service: serving(SERVICE).await?,
        control_plane: serving(CONTROL_PLANE).await?,
    })
}

async fn becomes(address: &str, expected: Seen) -> anyhow::Result<()> {
    let what = format!("{expected:?}");
    eventually(&what, async || Ok((look(address).await? == expected).then_some(()))).await
}

async fn the_crm_goes_on_for_whom_it_knows_and_says_so(engine: Engine) -> anyhow::Result<()> {
    let deployment = Deployment::on(engine)?;
    deployment.prepare().await?;
    let at = deployment.clients();
    let catalog = serve(deployment.catalog()?).await?;
    let migrator = serve(deployment.migrator()?).await?;
    let first = free_in_a_row(2)?;
    let [brief, late] = [first, first + 1].map(|port| format!("127.0.0.1:{port}"));
    let start = async |address: &str, staleness: &str| {
        let mut command = deployment.crm_at(address)?;
        command.env("TENANTRY_PLACEMENT_TTL_MS", "200").env("TENANTRY_PLACEMENT_STALENESS_S", staleness);
        serve(command).await
    };
    let usual = deployment.addresses.crm.to_string();
    let crm = start(&usual, "3600").await?;
    let brief_crm = start(&brief, "1").await?;
    becomes(&usual, WELL).await?;
    becomes(&brief, WELL).await?;
    let known = Inhabited::new(at, "Known").await?;
    let at_brief = Clients::of(tenantry::Addresses { crm: brief.parse()?, ..deployment.addresses });
    known.is_seen_by(at_brief, &known.owner).await?;
    let unknown = Owner::of_new_company(at, "Not asked for yet").await?;

    // Killed, as a machine goes.
    catalog.signal("KILL")?;
    catalog.end().await?;
    migrator.stop("TERM").await?;
    becomes(&usual, ALONE).await?;
    becomes(&brief, ALONE).await?;
    known.is_seen_by(at, &known.owner).await?;
    let refused = async |at: Clients, owner: &Owner| {
        let answer = at.people()?.list_people(owner.request(ListPeopleRequest::default())).await;
        anyhow::Ok(answer.err().map(|status| (reason_of(&status), status.get_details_retry_info().is_some())))
    };
    let away = Some((Some(Reason::DirectoryUnavailable), true));
    assert_eq!(refused(at, &unknown).await?, away);
    // Its bound is a second, and it says so to whoever comes later.
    eventually("the bound", async || Ok((refused(at_brief, &known.owner).await? == away).then_some(()))).await?;
    known.is_seen_by(at, &known.owner).await?;
    assert_eq!(look(&brief).await?, ALONE, "for others it may know more");

    let late_crm = start(&late, "3600").await?;
    assert_eq!(look(&late).await?, NOT_READY);

    let catalog = serve(deployment.catalog()?).await?;
    for address in [&usual, &brief, &late] {
        becomes(address, WELL).await?;
    }
    let at_late = Clients::of(tenantry::Addresses { crm: late.parse()?, ..deployment.addresses });
    for at in [at, at_brief, at_late] {
        known.is_seen_by(at, &known.owner).await?;
        assert_eq!(refused(at, &unknown).await?, None);
    }
    crm.signal("TERM")?;
    let ended = crm.end().await?;
    let said = |what: &str| (ended.stdout.clone() + &ended.stderr).matches(what).count();
    assert_eq!(said("the control plane is not heard"), 1, "{ended:?}");
    assert_eq!(said("the control plane is heard"), 2, "{ended:?}");
    for process in [catalog, brief_crm, late_crm] {
        process.stop("TERM").await?;
    }
    deployment.remove().await
}

macro_rules! on {
    ($engine:ident, $kind:ident) => {
        mod $engine {
            use tenantry_testkit::sandbox::Engine;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn the_crm_goes_on_for_whom_it_knows_and_says_so() -> anyhow::Result<()> {
                super::the_crm_goes_on_for_whom_it_knows_and_says_so(Engine::$kind).await
            }
        }
    };
}

on!(sqlite, Sqlite);
on!(postgres, Postgres);
on!(mariadb, MariaDb);
