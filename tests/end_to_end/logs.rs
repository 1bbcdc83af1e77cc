//! What three processes on PostgreSQL write into their logs, and send of their spans: whose it is and never a secret.

use std::process::Command;
use std::sync::Arc;

use anyhow::Context as _;
use serde_json::Value;
use tenantry_api::catalog::v1::resolve_tenant_response::Endpoint;
use tenantry_api::catalog::v1::tenant_directory_service_client::TenantDirectoryServiceClient;
use tenantry_api::catalog::v1::{
    Company, CreateApiKeyRequest, ExchangeApiKeyRequest, LoginRequest, RefreshTokenRequest, ResolveTenantRequest,
};
use tenantry_api::crm::v1::{CreatePersonRequest, ListPeopleRequest, Person};
use tenantry_rpc::auth::ServiceIdentity;
use tenantry_rpc::{Reason, SystemClock, client, reason_of};
use tenantry_testkit::actors::{Actor, Bearer, PASSWORD, fresh_email, registration};
use tenantry_testkit::process::Process;
use tenantry_testkit::sandbox::Engine;
use tonic_types::StatusExt as _;

use crate::processes::{Deployment, psql};
use crate::support::reason;
use crate::traces::Receiver;

const WRONG_PASSWORD: &str = "wrong horse battery staple";
const BROKEN_TOKEN: &str = "not.a.token-at-all";
/// What is nobody's business but the company's.
const PERSON: &str = "Zoë Geheimnis";

struct World {
    deployment: Deployment,
    processes: Vec<Process>,
    receiver: Receiver,
    /// What must not be seen, with what it is.
    secrets: Vec<(&'static str, String)>,
}

impl World {
    /// With logs that keep nothing back.
    async fn start() -> anyhow::Result<Self> {
        let receiver = Receiver::default();
        let endpoint = format!("http://{}", receiver.start().await?);
        let deployment = Deployment::on(Engine::Postgres)?;
        deployment.prepare().await?;
        let telling = |command: &mut Command| {
            command.env("TENANTRY_LOG", "trace,h2=trace,hyper=trace,tonic=trace,sqlx=trace,sea_orm=trace");
            command.env("TENANTRY_LOG_FORMAT", "json").env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint);
        };
        let processes = deployment.serve_all(telling).await?;
        let credential = std::fs::read_to_string(deployment.file("operator-credential"))?.trim().to_owned();
        let mut secrets = vec![
            ("a password", PASSWORD.to_owned()),
            ("a wrong password", WRONG_PASSWORD.to_owned()),
            ("a broken token", BROKEN_TOKEN.to_owned()),
            ("an operator's credential", credential),
            ("the key of keys", Deployment::KEY_ENCRYPTION_KEY.to_owned()),
            ("a hash", "$argon2".to_owned()),
            ("a verifier", "SCRAM-SHA-256$".to_owned()),
            ("a person's name", "Geheimnis".to_owned()),
        ];
        for service in ["catalog", "migrator", "crm"] {
            let pem = std::fs::read_to_string(deployment.file(&format!("{service}.pem")))?;
            let line = pem.lines().nth(1).context("a key of more than one line")?;
            secrets.push(("a service's key", line.to_owned()));
        }
        Ok(Self { deployment, processes, receiver, secrets })
    }

    fn hides(&mut self, what: &'static str, secret: &str) {
        self.secrets.push((what, secret.to_owned()));
    }

    /// Tokens of every kind, and each refused once.
    async fn sign_in(&mut self) -> anyhow::Result<(Company, Bearer)> {
        let (at, email) = (self.deployment.clients(), fresh_email());
        let registered = at.companies()?.register_company(registration("Told", &email)).await?.into_inner();
        let login =
            |password: &str| LoginRequest { email: email.clone(), password: password.into(), ..Default::default() };
        let mut tokens = at.tokens()?;
        assert_eq!(reason(tokens.login(login(WRONG_PASSWORD)).await), Some(Reason::CredentialsInvalid));
        let signed_in = tokens.login(login(PASSWORD)).await?.into_inner();
        let refresh = RefreshTokenRequest { refresh_token: signed_in.refresh_token.clone() };
        let refreshed = tokens.refresh_token(refresh).await?.into_inner();
        let broken = RefreshTokenRequest { refresh_token: BROKEN_TOKEN.into() };
        assert!(tokens.refresh_token(broken).await.is_err());
        let again = tokens.login(login(PASSWORD)).await?.into_inner();
        let owner = Bearer(again.access_token.clone());
        let key = CreateApiKeyRequest {
            company_id: registered.id.clone(),
            name: "told".into(),
            scopes: vec!["crm.people.read".into()],
            ..Default::default()
        };
        let key = at.api_keys()?.create_api_key(owner.request(key)).await?.into_inner();
        let exchange = ExchangeApiKeyRequest { secret: key.secret.clone(), ..Default::default() };
        let exchanged = tokens.exchange_api_key(exchange).await?.into_inner();
        for (what, secret) in [
            ("an access token", &signed_in.access_token),
            ("a refresh token", &signed_in.refresh_token),
            ("a refreshed token", &refreshed.access_token),
            ("another refresh token", &refreshed.refresh_token),
            ("an owner's token", &again.access_token),
            ("an API key", &key.secret),
            ("a key's token", &exchanged.access_token),
        ] {
            self.hides(what, secret);
        }
        Ok((registered, owner))
    }

    /// The name of a company's database, as the crm learns it with its password and a token of its own.
    async fn resolve(&mut self, company: &Company) -> anyhow::Result<String> {
        let identity = ServiceIdentity::load("crm", &self.deployment.file("crm.pem"), Arc::new(SystemClock))?;
        let catalog = format!("http://{}", self.deployment.addresses.catalog);
        self.hides("a service's token", &identity.token("catalog")?);
        let channel = client::open(&catalog, "catalog", Some(Arc::new(identity)))?;
        let request = ResolveTenantRequest { company_id: company.id.clone() };
        let placement = TenantDirectoryServiceClient::new(channel).resolve_tenant(request).await?.into_inner();
        let Some(Endpoint::Postgres(endpoint)) = placement.endpoint else { anyhow::bail!("no server") };
        self.hides("a database's password", &endpoint.password);
        Ok(placement.database)
    }

    /// The log of each process, by lines, and everything that was sent.
    async fn stop(self) -> anyhow::Result<(Vec<Vec<Value>>, String, Vec<(&'static str, String)>)> {
        let mut logs = Vec::new();
        for process in self.processes {
            process.signal("TERM")?;
            let ended = process.end().await?;
            for (what, secret) in &self.secrets {
                assert!(!ended.stdout.contains(secret), "{what} on standard output");
                let line = ended.stderr.lines().find(|line| line.contains(secret));
                assert!(line.is_none(), "{what}: {line:?}");
            }
            let lines = ended.stderr.lines().map(|line| serde_json::from_str(line).context(line.to_owned()));
            logs.push(lines.collect::<anyhow::Result<_>>()?);
        }
        self.deployment.remove().await?;
        Ok((logs, self.receiver.text(), self.secrets))
    }
}

mod postgres {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_failure_is_one_line_with_its_trace_and_tenant_and_no_line_tells_a_secret() -> anyhow::Result<()> {
        let mut world = World::start().await?;
        let (company, owner) = world.sign_in().await?;
        let mut people = world.deployment.clients().people()?;
        let person = Person { name: PERSON.into(), ..Default::default() };
        let create = CreatePersonRequest { person: Some(person), ..Default::default() };
        people.create_person(owner.request(create)).await?;
        let broken = Bearer(BROKEN_TOKEN.to_owned());
        assert!(people.list_people(broken.request(ListPeopleRequest::default())).await.is_err());

        let database = world.resolve(&company).await?;
        psql(world.deployment.control().context("a server")?, &database, "DROP TABLE people CASCADE").await?;
        let failed = people.list_people(owner.request(ListPeopleRequest::default())).await.expect_err("no table");
        let trace = failed.get_error_details().request_info().map(|info| info.request_id.clone());
        let trace = trace.context("an error without a trace")?;
        let told = reason_of(&failed).context("a reason")?;

        let (logs, sent, secrets) = world.stop().await?;
        for (what, secret) in secrets {
            // The person's name is in a statement's values, and those are nowhere.
            assert!(!sent.contains(&secret), "{what} in a span");
        }
        assert!(sent.contains(&database) && sent.contains("INSERT INTO"), "spans without statements");
        let of_failure = |line: &&Value| line["trace_id"] == trace.as_str() && line["message"] == "call failed";
        let lines: Vec<_> = logs.iter().flatten().filter(of_failure).collect();
        let [line] = lines.as_slice() else { anyhow::bail!("{} lines tell the failure: {lines:?}", lines.len()) };
        assert_eq!(line["reason"], told.as_str());
        let span = line["spans"].as_array().and_then(|spans| spans.first()).context("a line outside its call")?;
        assert_eq!((&span["tenantry.tenant"], &span["trace_id"]), (&company.id.into(), &trace.into()), "{line}");
        Ok(())
    }
}
