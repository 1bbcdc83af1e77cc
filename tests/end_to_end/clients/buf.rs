//! `buf curl`.

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use prost::Message;
use serde_json::{Value, json};
use tenantry_testkit::actors::{PASSWORD, fresh_email};
use tenantry_testkit::process::{Ended, run};
use tenantry_testkit::sandbox::Sandbox;
use tonic_types::pb;

use super::{command, tool};
use crate::support::per_engine;

per_engine!(buf_curl_takes_the_tour);

const PEOPLE: &str = "tenantry.crm.v1.PersonService";

async fn buf_curl_takes_the_tour(sandbox: &Sandbox) -> anyhow::Result<()> {
    let buf = Buf::new(sandbox)?;
    buf.lists_methods_by_both_reflections().await?;

    let email = fresh_email();
    let registration = json!({ "name": "Sunrise Energy", "owner_email": email, "owner_password": PASSWORD });
    let company = buf.calls("tenantry.catalog.v1.CompanyService/RegisterCompany", &registration, None).await?;
    assert_eq!(company["state"], "COMPANY_STATE_ACTIVE");
    let credentials = json!({ "email": email, "password": PASSWORD });
    let login = buf.calls("tenantry.catalog.v1.TokenService/Login", &credentials, None).await?;
    assert_eq!(login["companyId"], company["id"]);
    let token = login["accessToken"].as_str().context("a token")?;

    let add = json!({ "person": { "name": "Grace", "birth_date": { "year": 1906, "month": 12, "day": 9 } } });
    let added = buf.calls(&format!("{PEOPLE}/CreatePerson"), &add, Some(token)).await?;
    assert_eq!(added["birthDate"], json!({ "year": 1906, "month": 12, "day": 9 }));
    let get = json!({ "id": added["id"] });
    assert_eq!(buf.calls(&format!("{PEOPLE}/GetPerson"), &get, Some(token)).await?, added);

    let refused = buf.is_refused("tenantry.catalog.v1.CompanyService/RegisterCompany", &registration).await?;
    assert_eq!((refused.code.as_str(), refused.reason.as_str()), ("already_exists", "EMAIL_TAKEN"));
    let refused = buf.is_refused(&format!("{PEOPLE}/GetPerson"), &get).await?;
    assert_eq!((refused.code.as_str(), refused.reason.as_str()), ("unauthenticated", "TOKEN_MISSING"));
    Ok(())
}

/// The program, with a home of its own for what it caches.
struct Buf<'a> {
    sandbox: &'a Sandbox,
    home: tempfile::TempDir,
}

/// What it says of a refused call.
struct Refused {
    code: String,
    reason: String,
}

impl<'a> Buf<'a> {
    fn new(sandbox: &'a Sandbox) -> anyhow::Result<Self> {
        Ok(Self { sandbox, home: tempfile::tempdir()? })
    }

    /// Runs it with these words and an address of the service that `path` belongs to.
    async fn run(&self, words: &[&str], path: &str) -> anyhow::Result<Ended> {
        let service = if path.starts_with(PEOPLE) { "crm" } else { "catalog" };
        let mut buf = command(tool("TENANTRY_TEST_BUF")?);
        buf.env("HOME", self.home.path()).current_dir(self.home.path());
        buf.args(["curl", "--protocol", "grpc", "--http2-prior-knowledge"]).args(words);
        buf.arg(format!("http://{}/{path}", self.sandbox.address_of(service)?));
        run(buf).await
    }

    async fn lists_methods_by_both_reflections(&self) -> anyhow::Result<()> {
        for reflection in ["grpc-v1", "grpc-v1alpha"] {
            let listed = self.run(&["--reflect-protocol", reflection, "--list-methods"], "").await?.success()?;
            let methods: Vec<_> = listed.lines().collect();
            for method in ["tenantry.catalog.v1.CompanyService/RegisterCompany", "grpc.health.v1.Health/Check"] {
                assert!(methods.contains(&method), "{reflection} does not list {method}: {listed}");
            }
        }
        Ok(())
    }

    async fn calls(&self, path: &str, body: &Value, token: Option<&str>) -> anyhow::Result<Value> {
        let header = format!("authorization: Bearer {}", token.unwrap_or_default());
        let body = body.to_string();
        let mut words = vec!["-d", &body];
        words.extend(token.iter().flat_map(|_| ["-H", &header]));
        Ok(serde_json::from_str(&self.run(&words, path).await?.success()?)?)
    }

    /// Calls without a token, to be refused. It prints details as it gets them, in base64.
    async fn is_refused(&self, path: &str, body: &Value) -> anyhow::Result<Refused> {
        let error = self.run(&["-d", &body.to_string()], path).await?.refusal()?;
        let error: Value = serde_json::from_str(&error).with_context(|| error.clone())?;
        let details = error["details"].as_array().context("no details")?;
        let info = details.iter().find(|detail| detail["type"] == "google.rpc.ErrorInfo").context("no reason")?;
        let bytes = STANDARD_NO_PAD.decode(info["value"].as_str().context("no value")?)?;
        let reason = pb::ErrorInfo::decode(bytes.as_slice())?.reason;
        Ok(Refused { code: error["code"].as_str().context("no code")?.to_owned(), reason })
    }
}
