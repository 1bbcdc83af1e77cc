//! Two companies with somebody in every role, and an operator, in a sandbox.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde_json::{Value, json};
use tenantry_testkit::sandbox::{Engine, Sandbox};

use crate::issuers::{CLIENT, Issuer};
use crate::processes::eventually;

use super::forge::Key;
use super::rows;
use super::wire::Wire;

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// The roles, weakest first.
const ROLES: [&str; 4] = ["viewer", "member", "admin", "owner"];

pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) wire: Wire,
    /// The key that the catalog signs with.
    pub(crate) key: Key,
    /// The company that the bodies are about.
    pub(crate) one: Company,
    /// The company whose people must not see any of it.
    pub(crate) other: Company,
    pub(crate) operator: Session,
    /// Somebody else who issues tokens for the first company's viewer, with the id that it is registered by.
    issuer: tokio::sync::OnceCell<(Issuer, String)>,
}

pub(crate) struct Company {
    pub(crate) id: String,
    pub(crate) owner_email: String,
    /// Of those who are signed in, in the order of the sessions.
    emails: Vec<String>,
    /// A session per role, weakest first.
    pub(crate) sessions: Vec<(&'static str, Session)>,
}

/// Somebody who is signed in.
pub(crate) struct Session {
    pub(crate) token: String,
    pub(crate) scopes: Vec<String>,
}

impl World {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let sandbox = Sandbox::start(Engine::Sqlite).await?;
        let wire = Wire::to(&sandbox)?;
        let (one, other) = (Company::found(&wire).await?, Company::found(&wire).await?);
        let credential = json!({ "credential": sandbox.operator_credential()? });
        let answer = wire.ask("tenantry.catalog.v1.OperatorService/IssueOperatorToken", None, credential).await?;
        let operator = Session::of(&answer)?;
        let key = Key::of_catalog(&sandbox.folder().join("data"), &operator.token).await?;
        Ok(Self { sandbox, wire, key, one, other, operator, issuer: tokio::sync::OnceCell::new() })
    }

    /// Where the services have their keys.
    pub(crate) fn keys(&self) -> PathBuf {
        self.sandbox.folder().join("data/keys")
    }

    /// The token that a service signs for calls to another.
    pub(crate) fn service_token(&self, name: &str, server: &str) -> anyhow::Result<String> {
        self.sandbox.service_token(name, server)
    }

    /// A new person of the first company.
    pub(crate) async fn person(&self) -> anyhow::Result<Value> {
        let body = json!({ "person": { "name": self.one.secret() } });
        self.wire.ask("tenantry.crm.v1.PersonService/CreatePerson", Some(self.one.owner()?), body).await
    }

    /// A new place of the first company, in a country that all of them share.
    pub(crate) async fn place(&self) -> anyhow::Result<Value> {
        let listed = self.crm("PlaceService/ListPlaces", json!({ "kind": "PLACE_KIND_COUNTRY" })).await?;
        let country = match listed["places"][0]["id"].as_str() {
            Some(id) => json!(id),
            None => {
                let country = json!({ "kind": "PLACE_KIND_COUNTRY", "name": "Shared", "country_code": "ZZ" });
                self.crm("PlaceService/CreatePlace", json!({ "place": country })).await?["id"].take()
            }
        };
        let name = format!("{} {}", self.one.secret(), uuid::Uuid::now_v7());
        let city = json!({ "kind": "PLACE_KIND_CITY", "parent_id": country, "name": name });
        self.crm("PlaceService/CreatePlace", json!({ "place": city })).await
    }

    /// A new address of a new person.
    pub(crate) async fn address(&self) -> anyhow::Result<Value> {
        let address = json!({ "person_id": self.person().await?["id"], "street": self.one.secret() });
        self.crm("AddressService/CreateAddress", json!({ "address": address })).await
    }

    /// A new manufacturer.
    pub(crate) async fn manufacturer(&self) -> anyhow::Result<Value> {
        let name = format!("{} {}", self.one.secret(), uuid::Uuid::now_v7());
        self.crm("ManufacturerService/CreateManufacturer", json!({ "manufacturer": { "name": name } })).await
    }

    /// A new tariff.
    pub(crate) async fn tariff(&self) -> anyhow::Result<Value> {
        let name = format!("{} {}", self.one.secret(), uuid::Uuid::now_v7());
        self.crm("TariffService/CreateTariff", json!({ "tariff": { "name": name, "price": rows::kes() } })).await
    }

    /// A new device of a new manufacturer's and of nobody's.
    pub(crate) async fn device(&self) -> anyhow::Result<Value> {
        let manufacturer = self.manufacturer().await?;
        let device = json!({ "manufacturer_id": manufacturer["id"], "serial": self.one.secret(), "meter": {} });
        self.crm("DeviceService/CreateDevice", json!({ "device": device })).await
    }

    /// A new debt of a new person's.
    pub(crate) async fn debt(&self) -> anyhow::Result<Value> {
        let reason = self.one.secret();
        let debt = json!({ "person_id": self.person().await?["id"], "principal": rows::kes(), "reason": reason });
        self.crm("DebtService/CreateDebt", json!({ "debt": debt })).await
    }

    /// A new payment of a new person's.
    pub(crate) async fn transaction(&self) -> anyhow::Result<Value> {
        let mut payment = rows::payment(&self.person().await?["id"]);
        payment["message"] = json!(self.one.secret());
        self.crm("TransactionService/CreateTransaction", json!({ "transaction": payment })).await
    }

    /// A new category of tickets.
    pub(crate) async fn ticket_category(&self) -> anyhow::Result<Value> {
        let category =
            json!({ "name": format!("{} {}", self.one.secret(), uuid::Uuid::now_v7()), "colour": "#2e7d32" });
        self.crm("TicketCategoryService/CreateTicketCategory", json!({ "ticket_category": category })).await
    }

    /// A new ticket of a new category.
    pub(crate) async fn ticket(&self) -> anyhow::Result<Value> {
        let ticket = json!({ "category_id": self.ticket_category().await?["id"], "title": self.one.secret() });
        self.crm("TicketService/CreateTicket", json!({ "ticket": ticket })).await
    }

    /// A new appliance.
    pub(crate) async fn appliance(&self) -> anyhow::Result<Value> {
        self.with_plugin("appliances").await?;
        let name = format!("{} {}", self.one.secret(), uuid::Uuid::now_v7());
        let appliance = json!({ "name": name, "price": rows::kes() });
        self.crm("ApplianceService/CreateAppliance", json!({ "appliance": appliance })).await
    }

    /// A new sale to a new person.
    pub(crate) async fn sale(&self) -> anyhow::Result<Value> {
        let (appliance, person) = (self.appliance().await?, self.person().await?);
        let sale = json!({ "appliance_id": appliance["id"], "person_id": person["id"], "down_payment": rows::kes() });
        self.crm("ApplianceService/SellAppliance", sale).await
    }

    /// A new template of text messages.
    pub(crate) async fn sms_template(&self) -> anyhow::Result<Value> {
        self.with_plugin("sms").await?;
        let template = json!({ "name": rows::fresh_id(), "body": format!("{} {{name}}", self.one.secret()) });
        self.crm("SmsService/CreateSmsTemplate", json!({ "sms_template": template })).await
    }

    /// A new text message.
    pub(crate) async fn sms(&self) -> anyhow::Result<Value> {
        self.with_plugin("sms").await?;
        let message = json!({ "phone": "+254700000000", "body": self.one.secret() });
        self.crm("SmsService/SendSms", message).await
    }

    /// One that a gateway has taken: the newest, so all are taken.
    pub(crate) async fn leased_sms(&self) -> anyhow::Result<Value> {
        let message = self.sms().await?;
        loop {
            let taken = self.crm("SmsService/LeaseSms", json!({ "most": 100, "lease_seconds": 600 })).await?;
            let taken = taken["messages"].as_array().context("messages")?;
            if let Some(found) = taken.iter().find(|one| one["id"] == message["id"]) {
                return Ok(found.clone());
            }
            anyhow::ensure!(!taken.is_empty(), "{message} is not in the outbox");
        }
    }

    /// Both companies have the plugin, so that what is refused is not refused for want of it. A fresh id.
    pub(crate) async fn with_plugin(&self, plugin: &str) -> anyhow::Result<String> {
        crate::plugins::registered(&self.sandbox).await?;
        let list = match plugin {
            "appliances" => "tenantry.crm.v1.ApplianceService/ListAppliances",
            _ => "tenantry.crm.v1.SmsService/ListSms",
        };
        for company in [&self.one, &self.other] {
            let body = json!({ "company_id": company.id, "plugin": plugin });
            let rpc = "tenantry.catalog.v1.PluginService/InstallPlugin";
            self.wire.ask(rpc, Some(&self.operator.token), body).await?;
            // The crm hears of it a moment later.
            eventually("the plugin", async || {
                let listed = self.wire.ask(list, Some(company.owner()?), json!({})).await;
                Ok(listed.inspect_err(|error| eprintln!("not yet: {error:#}")).ok())
            })
            .await?;
        }
        Ok(rows::fresh_id())
    }

    /// What the first company's owner asks of the CRM.
    pub(crate) async fn crm(&self, rpc: &str, body: Value) -> anyhow::Result<Value> {
        self.wire.ask(&format!("tenantry.crm.v1.{rpc}"), Some(self.one.owner()?), body).await
    }

    /// A new company without anybody of its own, for what changes a company.
    pub(crate) async fn spare(&self) -> anyhow::Result<String> {
        let body = json!({ "name": "Spare", "owner_email": self.other.owner_email });
        text(&self.operate("CreateCompany", body).await?, "id")
    }

    /// A spare company that is suspended.
    pub(crate) async fn suspended(&self) -> anyhow::Result<String> {
        let body = json!({ "id": self.spare().await?, "reason": "unpaid" });
        text(&self.operate("SuspendCompany", body).await?, "id")
    }

    /// A spare company that is deleted.
    pub(crate) async fn deleted(&self) -> anyhow::Result<String> {
        let body = json!({ "id": self.spare().await? });
        text(&self.operate("DeleteCompany", body).await?, "id")
    }

    /// A spare company in maintenance.
    pub(crate) async fn in_maintenance(&self) -> anyhow::Result<String> {
        let body = json!({ "id": self.spare().await?, "reason": "a migration" });
        text(&self.operate("EnterMaintenance", body).await?, "id")
    }

    /// The first company, with all its tokens good again: every call that is to succeed ends them.
    pub(crate) async fn at_its_first_epoch(&self) -> anyhow::Result<String> {
        self.sandbox.run_in_central("UPDATE companies SET access_epoch = 1").await?;
        Ok(self.one.id.clone())
    }

    /// Everybody's password, with nobody's tokens revoked: every call that is to succeed revokes them.
    pub(crate) async fn password_of_unrevoked(&self) -> anyhow::Result<&'static str> {
        self.sandbox.run_in_central("DELETE FROM tenant_changes WHERE subject IS NOT NULL").await?;
        Ok(PASSWORD)
    }

    /// A refresh token that nobody has used.
    pub(crate) async fn refresh_token(&self) -> anyhow::Result<String> {
        let login = json!({ "email": self.one.owner_email, "password": PASSWORD, "company_id": self.one.id });
        text(&self.wire.ask("tenantry.catalog.v1.TokenService/Login", None, login).await?, "refresh_token")
    }

    /// The viewer of the first company, with nobody's tokens revoked: every call that is to succeed revokes theirs.
    pub(crate) async fn viewer_of_unrevoked(&self) -> anyhow::Result<String> {
        self.password_of_unrevoked().await?;
        self.viewer()
    }

    /// A new API key of the first company, with its secret.
    pub(crate) async fn api_key(&self) -> anyhow::Result<Value> {
        let body = json!({ "company_id": self.one.id, "name": "a machine", "scopes": ["crm.people.read"] });
        self.wire.ask("tenantry.catalog.v1.ApiKeyService/CreateApiKey", Some(self.one.owner()?), body).await
    }

    /// The issuer that the first company's viewer has a token of.
    async fn issuer(&self) -> anyhow::Result<&(Issuer, String)> {
        let register = async || {
            let issuer = Issuer::start(None).await?;
            let id = self.registered_issuer(&issuer.url).await?;
            let company = json!({ "issuer_id": id, "claim_value": "one", "company_id": self.one.id });
            self.issue("CreateIssuerCompany", company).await?;
            let user = json!({ "issuer_id": id, "subject": "viewer", "user_id": self.viewer()? });
            self.issue("CreateIssuerUser", user).await?;
            anyhow::Ok((issuer, id))
        };
        self.issuer.get_or_try_init(register).await
    }

    /// The id of a new issuer, of this URL.
    async fn registered_issuer(&self, url: &str) -> anyhow::Result<String> {
        let issuer = json!({ "issuer_url": url, "audiences": [CLIENT], "company_claim": "org_id" });
        text(&self.issue("CreateIssuer", json!({ "issuer": issuer })).await?, "id")
    }

    /// The id of a new issuer that nobody has a token of.
    pub(crate) async fn spare_issuer(&self) -> anyhow::Result<String> {
        self.registered_issuer(&format!("https://{}.example", rows::fresh_id())).await
    }

    /// A claim's value that is mapped to the first company, with its issuer.
    pub(crate) async fn mapped_value(&self) -> anyhow::Result<Value> {
        let (issuer, value) = (self.spare_issuer().await?, rows::fresh_id());
        let company = json!({ "issuer_id": issuer, "claim_value": value, "company_id": self.one.id });
        self.issue("CreateIssuerCompany", company).await?;
        Ok(json!({ "issuer_id": issuer, "claim_value": value }))
    }

    /// A subject that is linked to the first company's viewer, with its issuer.
    pub(crate) async fn linked_subject(&self) -> anyhow::Result<Value> {
        let (issuer, subject) = (self.spare_issuer().await?, rows::fresh_id());
        let user = json!({ "issuer_id": issuer, "subject": subject, "user_id": self.viewer()? });
        self.issue("CreateIssuerUser", user).await?;
        Ok(json!({ "issuer_id": issuer, "subject": subject }))
    }

    /// A token of somebody else's for the first company's viewer.
    pub(crate) async fn external_token(&self) -> anyhow::Result<String> {
        let (issuer, _) = self.issuer().await?;
        Ok(issuer.token(json!({ "org_id": "one", "sub": "viewer" })))
    }

    async fn issue(&self, rpc: &str, body: Value) -> anyhow::Result<Value> {
        let rpc = format!("tenantry.catalog.v1.IssuerService/{rpc}");
        self.wire.ask(&rpc, Some(&self.operator.token), body).await
    }

    /// The id of the viewer of the first company.
    pub(crate) fn viewer(&self) -> anyhow::Result<String> {
        let (_, viewer) = self.one.sessions.first().context("a viewer")?;
        let subject = super::forge::claims(&viewer.token)?["sub"].take();
        Ok(subject.as_str().and_then(|subject| subject.strip_prefix("user:")).context("a user")?.to_owned())
    }

    /// Everybody of both companies has a new token, those too who have left.
    pub(crate) async fn sign_in_again(&mut self) -> anyhow::Result<()> {
        self.bring_back().await?;
        // Tokens are dated to the second. What would date these after every revocation has been deleted, here and there, and
        // the crm remembers it.
        let since_the_second = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
        tokio::time::sleep(Duration::from_secs(1) - Duration::from_nanos(since_the_second.into())).await;
        for company in [&mut self.one, &mut self.other] {
            for (at, email) in company.emails.iter().enumerate() {
                company.sessions[at].1 = Session::sign_in(&self.wire, email, &company.id).await?;
            }
        }
        Ok(())
    }

    /// The first company, with those who left it back, and nobody's tokens revoked.
    pub(crate) async fn with_everybody(&self) -> anyhow::Result<String> {
        self.password_of_unrevoked().await?;
        self.bring_back().await?;
        Ok(self.one.id.clone())
    }

    async fn bring_back(&self) -> anyhow::Result<()> {
        let back = "INSERT OR IGNORE INTO memberships (company_id, user_id, role, created_at) \
                    SELECT i.company_id, u.id, i.role, i.created_at FROM invitations i \
                    JOIN users u ON u.email_key = i.email_key WHERE i.accepted_at IS NOT NULL";
        self.sandbox.run_in_central(back).await
    }

    /// The address of somebody who is nobody's session.
    pub(crate) async fn stranger(&self) -> anyhow::Result<String> {
        let email = fresh_email();
        let accept = json!({ "secret": self.one.invite(&self.wire, &email, "viewer").await?, "password": PASSWORD });
        self.wire.ask("tenantry.catalog.v1.MembershipService/AcceptInvitation", None, accept).await?;
        Ok(email)
    }

    /// A secret by which somebody chooses a new password.
    pub(crate) async fn password_reset(&self) -> anyhow::Result<String> {
        let rpc = "tenantry.catalog.v1.PasswordService/IssuePasswordReset";
        let body = json!({ "email": self.stranger().await? });
        text(&self.wire.ask(rpc, Some(&self.operator.token), body).await?, "secret")
    }

    /// A new member of the first company: the user's id.
    pub(crate) async fn member(&self) -> anyhow::Result<String> {
        let accept = json!({ "secret": self.invitation().await?, "password": PASSWORD });
        let rpc = "tenantry.catalog.v1.MembershipService/AcceptInvitation";
        text(&self.wire.ask(rpc, None, accept).await?, "user_id")
    }

    /// A rollout that has looked at one database and soaks for an hour; the only one under way.
    pub(crate) async fn rollout(&self) -> anyhow::Result<String> {
        let fleet = self.roll("GetFleetStatus", json!({})).await?;
        if let Some(active) = fleet["active_rollout_id"].as_str().filter(|id| !id.is_empty()) {
            // Or it has just come to its end.
            let _ = self.roll("CancelRollout", json!({ "id": active })).await;
        }
        let policy = json!({ "canary": { "count": 1 }, "soak": "3600s", "verify": true });
        let created = self.roll("CreateRollout", json!({ "policy": policy })).await?;
        let id = text(&created["rollout"], "id")?;
        eventually("the second wave", async || {
            let seen = self.roll("GetRollout", json!({ "id": id })).await?;
            anyhow::ensure!(seen["state"] == "ROLLOUT_STATE_RUNNING", "{seen}");
            Ok((seen["wave"] == 2).then_some(()))
        })
        .await?;
        Ok(id)
    }

    /// One that was cancelled then.
    pub(crate) async fn cancelled_rollout(&self) -> anyhow::Result<String> {
        let id = self.rollout().await?;
        self.roll("CancelRollout", json!({ "id": id })).await?;
        Ok(id)
    }

    async fn roll(&self, rpc: &str, body: Value) -> anyhow::Result<Value> {
        let rpc = format!("tenantry.migrator.v1.RolloutService/{rpc}");
        self.wire.ask(&rpc, Some(&self.operator.token), body).await
    }

    /// A new plan's name.
    pub(crate) async fn plan(&self) -> anyhow::Result<String> {
        let plan = json!({ "plan": { "name": rows::fresh_id() }, "allow_missing": true });
        let rpc = "tenantry.catalog.v1.PlanService/UpdatePlan";
        text(&self.wire.ask(rpc, Some(&self.operator.token), plan).await?, "name")
    }

    /// One that the first company does not have.
    pub(crate) async fn plugin_to_install(&self) -> anyhow::Result<&'static str> {
        let rpc = "tenantry.catalog.v1.PluginService/UninstallPlugin";
        let body = json!({ "company_id": self.one.id, "plugin": self.installed_plugin().await? });
        self.wire.ask(rpc, Some(&self.operator.token), body).await?;
        Ok("sms")
    }

    /// One that the first company has.
    pub(crate) async fn installed_plugin(&self) -> anyhow::Result<&'static str> {
        crate::plugins::registered(&self.sandbox).await?;
        let rpc = "tenantry.catalog.v1.PluginService/InstallPlugin";
        let body = json!({ "company_id": self.one.id, "plugin": "sms" });
        self.wire.ask(rpc, Some(&self.operator.token), body).await?;
        Ok("sms")
    }

    async fn operate(&self, rpc: &str, body: Value) -> anyhow::Result<Value> {
        let rpc = format!("tenantry.catalog.v1.CompanyService/{rpc}");
        self.wire.ask(&rpc, Some(&self.operator.token), body).await
    }

    /// A signing key that has signed nothing.
    pub(crate) async fn next_key(&self) -> anyhow::Result<String> {
        let rpc = "tenantry.catalog.v1.KeyService/RotateSigningKey";
        let answer = self.wire.ask(rpc, Some(&self.operator.token), json!({})).await?;
        text(&answer["next"], "id")
    }

    /// The secret of a new invitation into the first company.
    pub(crate) async fn invitation(&self) -> anyhow::Result<Value> {
        self.one.invite(&self.wire, &fresh_email(), "viewer").await
    }
}

impl Company {
    async fn found(wire: &Wire) -> anyhow::Result<Self> {
        let owner_email = fresh_email();
        let registration = json!({ "name": "Matrix", "owner_email": owner_email, "owner_password": PASSWORD });
        let company = wire.ask("tenantry.catalog.v1.CompanyService/RegisterCompany", None, registration).await?;
        let mut company = Self { id: text(&company, "id")?, owner_email, emails: Vec::new(), sessions: Vec::new() };
        let owner = Session::sign_in(wire, &company.owner_email, &company.id).await?;
        company.sessions.push(("owner", owner));
        company.emails.push(company.owner_email.clone());
        for (at, role) in ROLES.into_iter().filter(|role| *role != "owner").enumerate() {
            let email = fresh_email();
            let accept = json!({ "secret": company.invite(wire, &email, role).await?, "password": PASSWORD });
            wire.ask("tenantry.catalog.v1.MembershipService/AcceptInvitation", None, accept).await?;
            company.sessions.insert(at, (role, Session::sign_in(wire, &email, &company.id).await?));
            company.emails.insert(at, email);
        }
        Ok(company)
    }

    async fn invite(&self, wire: &Wire, email: &str, role: &str) -> anyhow::Result<Value> {
        let invite = json!({ "company_id": self.id, "email": email, "role": role });
        let rpc = "tenantry.catalog.v1.MembershipService/InviteMember";
        Ok(wire.ask(rpc, Some(self.owner()?), invite).await?["secret"].take())
    }

    pub(crate) fn owner(&self) -> anyhow::Result<&str> {
        self.sessions.last().map(|(_, session)| session.token.as_str()).context("an owner")
    }

    /// The weakest role that has the scope.
    pub(crate) fn weakest(&self, scope: &str) -> Option<&Session> {
        let mut sessions = self.sessions.iter().map(|(_, session)| session);
        sessions.find(|session| session.scopes.iter().any(|held| held == scope))
    }

    /// What stands in this company's database and in no other.
    pub(crate) fn secret(&self) -> String {
        format!("only {} knows", self.id)
    }
}

impl Session {
    async fn sign_in(wire: &Wire, email: &str, company: &str) -> anyhow::Result<Self> {
        let login = json!({ "email": email, "password": PASSWORD, "company_id": company });
        Self::of(&wire.ask("tenantry.catalog.v1.TokenService/Login", None, login).await?)
    }

    fn of(answer: &Value) -> anyhow::Result<Self> {
        let scopes = answer["scopes"].as_array().context("scopes")?.iter().filter_map(Value::as_str);
        Ok(Self { token: text(answer, "access_token")?, scopes: scopes.map(str::to_owned).collect() })
    }
}

/// An address that nobody else has.
pub(crate) fn fresh_email() -> String {
    format!("m{}@example.com", uuid::Uuid::now_v7().simple())
}

fn text(answer: &Value, field: &str) -> anyhow::Result<String> {
    Ok(answer[field].as_str().with_context(|| format!("no {field} in {answer}"))?.to_owned())
}
