use std::sync::Arc;

use async_trait::async_trait;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

use super::super::{JwkMembers, KeyError, SigningKey, VerifyingKey};
use super::*;

const NOW: i64 = 1_800_000_000;

/// One key of the issuer's.
struct One(&'static str, Arc<VerifyingKey>);

#[async_trait]
impl KeySource for One {
    async fn key(&self, kid: &str) -> Result<Option<Arc<VerifyingKey>>, KeyError> {
        if kid == "away" {
            return Err(KeyError("away".into()));
        }
        Ok((kid == self.0).then(|| self.1.clone()))
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn claims() -> Value {
    json!({ "iss": "https://id.example", "aud": ["other", "tenantry"], "sub": "u|1", "iat": NOW - 10, "exp": NOW + 60 })
}

fn with(mut base: Value, changes: Value) -> Value {
    for (name, value) in changes.as_object().expect("an object") {
        base[name] = value.clone();
    }
    base
}

fn rules() -> ExternalRules {
    ExternalRules {
        audiences: vec!["tenantry".into()],
        algorithms: vec![KeyAlgorithm::EdDsa, KeyAlgorithm::Rs256],
        max_age: Duration::from_secs(300),
        leeway: Duration::from_secs(30),
    }
}

struct Issuer(Ed25519KeyPair);

impl Issuer {
    fn new() -> Self {
        super::super::ring_provider::install();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).expect("a key");
        Self(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key"))
    }

    fn keys(&self) -> One {
        let jwk = JwkMembers {
            kid: "k".into(),
            kty: "OKP".into(),
            alg: "EdDSA".into(),
            use_: "sig".into(),
            crv: Some("Ed25519".into()),
            x: Some(URL_SAFE_NO_PAD.encode(self.0.public_key())),
            y: None,
            n: None,
            e: None,
        };
        One("k", Arc::new(VerifyingKey::from_jwk(&jwk).expect("a key")))
    }

    fn token(&self, header: Value, claims: &Value) -> String {
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    async fn judge(&self, header: Value, claims: &Value) -> Result<ExternalClaims, Reason> {
        let token = self.token(header, claims);
        judge(&token, &rules(), &self.keys()).await
    }
}

async fn judge(token: &str, rules: &ExternalRules, keys: &One) -> Result<ExternalClaims, Reason> {
    let token = ExternalToken::read(token).map_err(|error| error.reason())?;
    token.prove(rules, keys, NOW).await.map_err(|error| error.reason())
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "kid": "k", "typ": "JWT", "x5t": "a thumbprint is no key" })
}

#[tokio::test]
async fn what_an_issuer_has_signed_for_us_is_believed() {
    let issuer = Issuer::new();
    let said =
        issuer.judge(header(), &with(claims(), json!({ "email_verified": true, "n": 1 }))).await.expect("a token");
    assert_eq!((said.text("sub"), said.text("n"), said.text("none")), (Some("u|1"), None, None));
    assert!(said.holds("email_verified") && !said.holds("sub"));
    assert_eq!(said.expires_at(), Some(NOW + 60));
    for one in [json!({ "aud": "tenantry" }), json!({ "iat": NOW as f64 + 0.5 }), json!({ "nbf": NOW + 30 })] {
        assert!(issuer.judge(header(), &with(claims(), one.clone())).await.is_ok(), "{one}");
    }
    let same = with(header(), json!({ "alg": "Ed25519" }));
    assert!(issuer.judge(same, &claims()).await.is_ok());
}

#[tokio::test]
async fn each_way_of_being_wrong_has_its_reason() {
    let issuer = Issuer::new();
    let times = [
        (json!({ "exp": NOW - 30 }), Reason::ExternalTokenExpired),
        (json!({ "iat": NOW + 31 }), Reason::ExternalTokenNotYetValid),
        (json!({ "nbf": NOW + 31 }), Reason::ExternalTokenNotYetValid),
        (json!({ "iat": NOW - 331 }), Reason::ExternalTokenTooOld),
        (json!({ "iat": i64::MIN }), Reason::ExternalTokenTooOld),
        (json!({ "exp": i64::MIN }), Reason::ExternalTokenExpired),
        (json!({ "iat": i64::MAX }), Reason::ExternalTokenNotYetValid),
        (json!({ "iat": null }), Reason::ExternalTokenInvalid),
        (json!({ "exp": "9" }), Reason::ExternalTokenInvalid),
        (json!({ "exp": 1e300 }), Reason::ExternalTokenInvalid),
        (json!({ "nbf": "soon" }), Reason::ExternalTokenInvalid),
        (json!({ "aud": "tenantry2" }), Reason::ExternalTokenAudience),
        (json!({ "aud": [] }), Reason::ExternalTokenAudience),
        (json!({ "aud": { "tenantry": true } }), Reason::ExternalTokenAudience),
    ];
    for (change, reason) in times {
        let refused = issuer.judge(header(), &with(claims(), change.clone())).await;
        assert_eq!(refused.err(), Some(reason), "{change}");
    }
    assert!(issuer.judge(header(), &with(claims(), json!({ "exp": NOW - 29 }))).await.is_ok());
    assert!(issuer.judge(header(), &with(claims(), json!({ "iat": NOW - 330 }))).await.is_ok());
    let headers = [
        (json!({ "alg": "none" }), Reason::ExternalTokenAlgorithm),
        (json!({ "alg": "HS256" }), Reason::ExternalTokenAlgorithm),
        (json!({ "alg": null }), Reason::ExternalTokenAlgorithm),
        (json!({ "alg": "ES256" }), Reason::ExternalTokenAlgorithm),
        // Allowed of the issuer, and not what the key is for.
        (json!({ "alg": "RS256" }), Reason::ExternalTokenAlgorithm),
        (json!({ "kid": "other" }), Reason::ExternalTokenKeyUnknown),
        (json!({ "kid": null }), Reason::ExternalTokenKeyUnknown),
        (json!({ "kid": "away" }), Reason::IssuerKeysUnavailable),
        (json!({ "kid": 1 }), Reason::ExternalTokenInvalid),
        (json!({ "jwk": {} }), Reason::ExternalTokenEmbeddedKey),
        (json!({ "jku": "https://127.0.0.1/" }), Reason::ExternalTokenEmbeddedKey),
        (json!({ "x5c": [] }), Reason::ExternalTokenEmbeddedKey),
        (json!({ "x5u": "https://127.0.0.1/" }), Reason::ExternalTokenEmbeddedKey),
        (json!({ "crit": ["exp"] }), Reason::ExternalTokenCritical),
        (json!({ "zip": "DEF" }), Reason::ExternalTokenCritical),
    ];
    for (change, reason) in headers {
        let refused = issuer.judge(with(header(), change.clone()), &claims()).await;
        assert_eq!(refused.err(), Some(reason), "{change}");
    }
}

#[tokio::test]
async fn a_signature_of_anybody_else_is_none() {
    let issuer = Issuer::new();
    let keys = issuer.keys();
    let token = issuer.token(header(), &claims());
    let (signed, signature) = token.rsplit_once('.').expect("parts");
    let (head, _) = signed.split_once('.').expect("parts");
    let theirs = Issuer::new().token(header(), &claims());
    let changed = format!("{head}.{}.{signature}", part(&with(claims(), json!({ "sub": "u|2" }))));
    let ours = SigningKey::from_pkcs8("k", &SigningKey::generate().expect("a key")).expect("a key");
    let ours = ours.sign("JWT", &claims()).expect("a token");
    let long = issuer.token(header(), &with(claims(), json!({ "x": "x".repeat(MAX_TOKEN_BYTES) })));
    let broken =
        ["", ".", "..", "a.b.c", signed, &format!("{token}."), &format!("{token}.x"), &theirs, &changed, &long];
    for broken in broken {
        let refused = judge(broken, &rules(), &keys).await;
        assert_eq!(refused.err(), Some(Reason::ExternalTokenInvalid), "{}", &broken[..broken.len().min(80)]);
    }
    assert_eq!(judge(&ours, &rules(), &keys).await.err(), Some(Reason::ExternalTokenAlgorithm));
    let exact = MAX_TOKEN_BYTES - issuer.token(header(), &with(claims(), json!({ "x": "" }))).len();
    // Three bytes in four letters.
    let fits = issuer.token(header(), &with(claims(), json!({ "x": "x".repeat(exact / 4 * 3) })));
    assert!(fits.len() <= MAX_TOKEN_BYTES && fits.len() + 8 > MAX_TOKEN_BYTES, "{}", fits.len());
    assert!(judge(&fits, &rules(), &keys).await.is_ok());
}
