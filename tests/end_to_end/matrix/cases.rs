//! Everybody who may try one RPC, and what each must get.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde_json::{Value, json};
use tenantry_api::options::v1::CallerKind;
use tenantry_rpc::Reason;
use uuid::Uuid;

use super::forge::{self, ACCESS, Key, SERVICE, with};
use super::rows::{self, Elsewhere};
use super::wire::{Rpc, bearer};
use super::world::{Session, World};

/// One caller's try.
pub(crate) struct Case {
    pub(crate) name: String,
    /// The `authorization` header.
    pub(crate) header: Option<String>,
    pub(crate) body: Body,
    pub(crate) expect: Expect,
}

/// What the caller sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// The row's body.
    AsIs,
    /// The row's body after one that names the caller's own company: the last value of a field counts.
    AfterOwn,
    /// The row's body without its tenant field.
    WithoutTenant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expect {
    LetIn,
    /// Let in, and shown nothing of the first company.
    OwnData,
    Refused(Reason),
}

/// All of them, for one RPC.
pub(crate) fn cases(world: &World, rpc: &Rpc) -> anyhow::Result<Vec<Case>> {
    let forger = Forger::of(world, rpc)?;
    if rpc.rule.admits(CallerKind::Anonymous) {
        return forger.ignored();
    }
    let lists = [forger.kinds()?, forger.scopes()?, forger.tenants()?, forger.access()?, forger.services()?];
    Ok(lists.into_iter().flatten().collect())
}

/// Makes the tokens for one RPC. Each is right in everything but what its case says.
struct Forger<'w> {
    world: &'w World,
    rpc: &'w Rpc,
    /// The claims of a user with the scope, and of an operator with it, for the RPC's server.
    user: Value,
    operator: Value,
    /// What a broken access token is made of: the claims of a caller who would be let in.
    base: Value,
    /// A service that is let in, or any other one.
    service: &'w str,
}

impl<'w> Forger<'w> {
    fn of(world: &'w World, rpc: &'w Rpc) -> anyhow::Result<Self> {
        let scope = rpc.rule.scope.as_deref().unwrap_or_default();
        let owner = world.one.sessions.last().map(|(_, session)| session).context("an owner")?;
        let session = world.one.weakest(scope).unwrap_or(owner);
        let claims = |session: &Session| -> anyhow::Result<Value> {
            let scopes = session.scopes.iter().map(String::as_str).chain([scope]).collect::<Vec<_>>().join(" ");
            Ok(with(&forge::claims(&session.token)?, json!({ "aud": [rpc.server], "scope": scopes })))
        };
        let (user, operator) = (claims(session)?, claims(&world.operator)?);
        let only_operator = rpc.rule.admits(CallerKind::Operator) && !rpc.rule.admits(CallerKind::User);
        let base = if only_operator { &operator } else { &user }.clone();
        let service = rpc.rule.services.first().map_or("catalog", String::as_str);
        Ok(Self { world, rpc, user, operator, base, service })
    }

    /// Where anybody is let in, no token is looked at.
    fn ignored(&self) -> anyhow::Result<Vec<Case>> {
        Ok(vec![
            Case { header: None, ..case("no token", "", Expect::LetIn) },
            Case { header: Some("Basic dXNlcjpwYXNz".to_owned()), ..case("another scheme", "", Expect::LetIn) },
            case("garbage", "garbage", Expect::LetIn),
            case("an operator", &self.world.operator.token, Expect::LetIn),
            case("expired", &self.signed(json!({ "iat": now() - 960, "exp": now() - 60 }))?, Expect::LetIn),
        ])
    }

    /// Each kind of caller with a real token, and again with one of ours: if the forgery were bad, none of the
    /// refusals below would mean anything.
    fn kinds(&self) -> anyhow::Result<Vec<Case>> {
        let rule = &self.rpc.rule;
        let scope = rule.scope.as_deref().unwrap_or_default();
        let admitted = |kind| match rule.admits(kind) {
            true => Expect::LetIn,
            false => Expect::Refused(Reason::CallerNotAllowed),
        };
        let mut cases = Vec::new();
        if rule.admits(CallerKind::User) {
            let session = self.world.one.weakest(scope).with_context(|| format!("no role has {scope}"))?;
            cases.push(case("the weakest role with it", &session.token, Expect::LetIn));
        }
        if rule.admits(CallerKind::Operator) {
            cases.push(case("the operator", &self.world.operator.token, Expect::LetIn));
        }
        let sign = |claims| self.world.key.token(ACCESS, claims);
        cases.push(case("a user, forged", &sign(&self.user)?, admitted(CallerKind::User)));
        cases.push(case("an operator, forged", &sign(&self.operator)?, admitted(CallerKind::Operator)));
        let kind = if self.base["tenant"].is_null() { CallerKind::Operator } else { CallerKind::User };
        cases.push(case("just under 8 KiB", &self.signed(json!({ "jti": "x".repeat(5_000) }))?, admitted(kind)));
        let service = Key::of_service(&self.world.keys(), self.service)?.token(SERVICE, &self.service_claims())?;
        cases.push(case("a service, forged", &service, admitted(CallerKind::Service)));
        for name in super::SERVERS {
            let expect = match rule.services.iter().any(|service| service == name) {
                true => Expect::LetIn,
                false => Expect::Refused(Reason::CallerNotAllowed),
            };
            let token = self.world.service_token(name, &self.rpc.server)?;
            cases.push(case(format!("the service {name}"), &token, expect));
        }
        Ok(cases)
    }

    fn scopes(&self) -> anyhow::Result<Vec<Case>> {
        let Some(scope) = &self.rpc.rule.scope else { return Ok(Vec::new()) };
        let mut cases = Vec::new();
        let missing = Expect::Refused(Reason::ScopeMissing);
        for (kind, name, claims) in
            [(CallerKind::User, "a user", &self.user), (CallerKind::Operator, "an operator", &self.operator)]
        {
            if self.rpc.rule.admits(kind) {
                let near = claims["scope"].as_str().context("scopes")?.replace(scope, &format!("{scope}s x.{scope}"));
                let token = self.world.key.token(ACCESS, &with(claims, json!({ "scope": near })))?;
                cases.push(case(format!("{name} without the scope"), &token, missing));
            }
        }
        if self.rpc.rule.admits(CallerKind::User) {
            let weaker = self.world.one.sessions.iter().take_while(|(_, session)| !session.scopes.contains(scope));
            cases.extend(weaker.last().map(|(_, session)| case("a weaker role", &session.token, missing)));
        }
        Ok(cases)
    }

    /// Users of another company, with every right there, and of this one before everyone was signed out.
    fn tenants(&self) -> anyhow::Result<Vec<Case>> {
        if !self.rpc.rule.admits(CallerKind::User) {
            return Ok(Vec::new());
        }
        let name = &self.rpc.name;
        let claims = with(&forge::claims(self.world.other.owner()?)?, json!({ "aud": [self.rpc.server] }));
        let other = self.world.key.token(ACCESS, &claims)?;
        let stale = Expect::Refused(Reason::TokenStale);
        let mut cases = vec![case("an epoch ago", &self.signed(json!({ "access_epoch": 0 }))?, stale)];
        if self.rpc.rule.tenant_field.is_some() {
            anyhow::ensure!(rows::elsewhere(name).is_none(), "{name} names the company; its row says too much");
            let refused = Expect::Refused(Reason::OtherTenant);
            cases.push(case("another company", &other, refused));
            cases.push(Case { body: Body::AfterOwn, ..case("another company, hidden", &other, refused) });
            cases.push(Case { body: Body::WithoutTenant, ..case("no company named", &other, refused) });
            return Ok(cases);
        }
        let elsewhere = rows::elsewhere(name);
        let expect = match elsewhere.with_context(|| format!("say what other companies get of {name}: [Elsewhere]"))? {
            Elsewhere::Refused(reason) => Expect::Refused(reason),
            Elsewhere::OwnData => Expect::OwnData,
        };
        cases.push(case("another company", &other, expect));
        if self.rpc.server == "crm" {
            let nowhere = self.signed(json!({ "tenant": Uuid::now_v7().to_string() }))?;
            cases.push(case("an unknown company", &nowhere, Expect::Refused(Reason::TenantNotFound)));
        }
        Ok(cases)
    }

    /// Access tokens with one thing wrong.
    fn access(&self) -> anyhow::Result<Vec<Case>> {
        let (key, base, now) = (&self.world.key, &self.base, now());
        let header = key.header(ACCESS);
        let headed = |change: Value| key.sign(&with(&header, change), base);
        let stranger = Key::fresh(&key.kid)?;
        let unknown = Key::fresh(&Uuid::now_v7().to_string())?;
        let service = Key::of_service(&self.world.keys(), self.service)?;
        let elevated = with(base, json!({ "scope": format!("{} more", base["scope"].as_str().unwrap_or_default()) }));
        let subject = match base["tenant"].is_null() {
            true => json!({ "tenant": self.world.one.id, "access_epoch": 1 }),
            false => json!({ "tenant": null }),
        };
        let good = key.token(ACCESS, base)?;
        let invalid = [
            ("garbage", "garbage".to_owned()),
            ("signed by another key", stranger.token(ACCESS, base)?),
            ("changed after signing", forge::transplant(&good, &elevated)?),
            ("signature cut off", good.rsplit_once('.').map(|(signed, _)| format!("{signed}.")).context("parts")?),
            ("alg none", forge::unsigned(&with(&header, json!({ "alg": "none" })), base)),
            ("alg HS256, public key", forge::hs256(key.point(), &with(&header, json!({ "alg": "HS256" })), base)),
            ("typ JWT", headed(json!({ "typ": "JWT" }))?),
            ("typ of a service", headed(json!({ "typ": SERVICE }))?),
            ("no typ", headed(json!({ "typ": null }))?),
            ("no kid", headed(json!({ "kid": null }))?),
            ("its key in jwk", stranger.sign(&with(&header, json!({ "jwk": stranger.jwk() })), base)?),
            ("jwk", headed(json!({ "jwk": key.jwk() }))?),
            ("jku", headed(json!({ "jku": "http://127.0.0.1:9/jwks.json" }))?),
            ("x5u", headed(json!({ "x5u": "http://127.0.0.1:9/cert.pem" }))?),
            ("crit", headed(json!({ "crit": ["exp"] }))?),
            ("unknown kid", unknown.token(ACCESS, base)?),
            ("signed by a service", service.token(ACCESS, base)?),
            ("nbf in the future", self.signed(json!({ "nbf": now + 600 }))?),
            ("iat in the future", self.signed(json!({ "iat": now + 600, "exp": now + 1500 }))?),
            ("another audience", self.signed(json!({ "aud": ["elsewhere"] }))?),
            ("no audience", self.signed(json!({ "aud": [] }))?),
            ("another issuer", self.signed(json!({ "iss": "http://127.0.0.1:9" }))?),
            ("half a subject", self.signed(subject)?),
            ("over 8 KiB", self.signed(json!({ "jti": "x".repeat(6_144) }))?),
        ];
        let mut cases = vec![
            Case { header: None, ..case("no token", "", Expect::Refused(Reason::TokenMissing)) },
            Case {
                header: Some("Basic dXNlcjpwYXNz".to_owned()),
                ..case("another scheme", "", Expect::Refused(Reason::TokenMissing))
            },
        ];
        cases.extend(invalid.map(|(name, token)| case(name, &token, Expect::Refused(Reason::TokenInvalid))));
        let expired = self.signed(json!({ "iat": now - 960, "exp": now - 60 }))?;
        cases.push(case("expired", &expired, Expect::Refused(Reason::TokenExpired)));
        Ok(cases)
    }

    /// Service tokens with one thing wrong.
    fn services(&self) -> anyhow::Result<Vec<Case>> {
        let (name, keys) = (self.service, self.world.keys());
        let key = Key::of_service(&keys, name)?;
        let other = Key::of_service(&keys, if name == "crm" { "migrator" } else { "crm" })?;
        let (now, base) = (now(), self.service_claims());
        let changed = |changes: Value| key.token(SERVICE, &with(&base, changes));
        let intruder = with(&base, json!({ "iss": "intruder", "sub": "intruder" }));
        let header = key.header(SERVICE);
        let invalid = [
            ("service: an untrusted key", Key::fresh(name)?.token(SERVICE, &base)?),
            ("service: of no known name", Key::fresh("intruder")?.token(SERVICE, &intruder)?),
            ("service: in another's name", other.token(SERVICE, &base)?),
            ("service: under another's kid", other.sign(&header, &base)?),
            ("service: signed by the catalog", self.world.key.token(SERVICE, &base)?),
            ("service: alg none", forge::unsigned(&with(&header, json!({ "alg": "none" })), &base)),
            ("service: typ of a user", key.token(ACCESS, &base)?),
            ("service: another audience", changed(json!({ "aud": "elsewhere" }))?),
            ("service: another issuer", changed(json!({ "iss": self.base["iss"] }))?),
            ("service: iat in the future", changed(json!({ "iat": now + 600, "exp": now + 900 }))?),
        ];
        let mut cases: Vec<_> =
            invalid.map(|(name, token)| case(name, &token, Expect::Refused(Reason::TokenInvalid))).into();
        let expired = changed(json!({ "iat": now - 360, "exp": now - 60 }))?;
        cases.push(case("service: expired", &expired, Expect::Refused(Reason::TokenExpired)));
        Ok(cases)
    }

    /// What the service says of itself.
    fn service_claims(&self) -> Value {
        let (name, now) = (self.service, now());
        json!({ "iss": name, "sub": name, "aud": self.rpc.server, "iat": now, "exp": now + 300 })
    }

    /// The base claims with changes, properly signed.
    fn signed(&self, changes: Value) -> anyhow::Result<String> {
        self.world.key.token(ACCESS, &with(&self.base, changes))
    }
}

fn case(name: impl Into<String>, token: &str, expect: Expect) -> Case {
    Case { name: name.into(), header: Some(bearer(token)), body: Body::AsIs, expect }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
