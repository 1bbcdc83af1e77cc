//! How the corpus was made: `TENANTRY_WRITE_CORPUS=1 cargo test -p tenantry-rpc --test tokens` makes it anew. What a
//! fuzzer finds is put beside it by hand.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tenantry_rpc::auth::{KeyAlgorithm, create_service_key};

use crate::world::{AUDIENCE, Keys, NOW, access_header, claims};

const OPERATOR: &str = "operator:0192f0c1-7e57-7000-8000-000000000003";
const API_KEY: &str = "api_key:0192f0c1-7e57-7000-8000-000000000004";

pub(crate) fn all(folder: &Path) {
    let keys = folder.join("keys");
    if !keys.join("service.pem").exists() {
        create_service_key("service", &keys.join("service.pem"), &keys.join("services.json")).expect("a key");
    }
    let keys = Keys::read(folder);
    for (name, token) in tokens(&keys) {
        put(folder, "tokens", &name, token.as_bytes());
    }
    for (name, claims) in payloads() {
        put(folder, "claims", &format!("{name}.json"), claims.as_bytes());
    }
    let (es256, rs256) = (keys.public("es256.pem", KeyAlgorithm::Es256), keys.public("rs256.pem", KeyAlgorithm::Rs256));
    for (name, jwk) in [("es256", &es256), ("rs256", &rs256)] {
        put(folder, "jwks", &format!("{name}.json"), &serde_json::to_vec(jwk).expect("JSON"));
    }
}

fn put(folder: &Path, of: &str, name: &str, bytes: &[u8]) {
    std::fs::write(folder.join("corpus").join(of).join(name), bytes).expect("written");
}

/// The good claims with some of them changed; null takes one away.
fn with(changes: Value) -> Value {
    let mut changed = claims();
    let members = changed.as_object_mut().expect("an object");
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    changed
}

fn operator() -> Value {
    with(json!({ "sub": OPERATOR, "tenant": null, "access_epoch": null, "roles": null }))
}

fn tokens(keys: &Keys) -> Vec<(String, String)> {
    let access = |claims: Value| keys.access(claims.to_string().as_bytes());
    let headed = |change: Value| {
        let mut header = access_header();
        header.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        keys.sign(&header, claims().to_string().as_bytes())
    };
    let service = |audience: &str| {
        let header = json!({ "alg": "ES256", "typ": "tenantry-service+jwt", "kid": "service" });
        let claims = json!({ "iss": "service", "sub": "service", "aud": audience, "iat": NOW, "exp": NOW + 300 });
        keys.sign(&header, claims.to_string().as_bytes())
    };
    let good = access(claims());
    let (signed, _) = good.rsplit_once('.').expect("parts");
    let jwk = json!(keys.public("es256.pem", KeyAlgorithm::Es256));
    let hmac = {
        let header = json!({ "alg": "HS256", "typ": "at+jwt", "kid": "es256" }).to_string();
        let encode = |text: String| URL_SAFE_NO_PAD.encode(text);
        let signed = format!("{}.{}", encode(header), encode(claims().to_string()));
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, jwk.to_string().as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&secret, signed.as_bytes())))
    };
    let rs256 = json!({ "alg": "RS256", "typ": "at+jwt", "kid": "rs256" });
    let named = [
        ("good-user", good.clone()),
        ("good-session", access(with(json!({ "sid": "0192f0c1-7e57-7000-8000-000000000005" })))),
        ("good-operator", access(operator())),
        ("good-api-key", access(with(json!({ "sub": API_KEY, "roles": null })))),
        ("good-acting", access(with(json!({ "act": { "sub": OPERATOR } })))),
        ("good-rs256", keys.sign(&rs256, claims().to_string().as_bytes())),
        ("good-service", service(AUDIENCE)),
        ("bad-service-audience", service("catalog")),
        ("bad-none", format!("{}.", headed(json!({ "alg": "none" })).rsplit_once('.').expect("parts").0)),
        ("bad-unsigned", format!("{signed}.")),
        ("bad-hs256", hmac),
        ("bad-rs256-header", headed(json!({ "alg": "RS256" }))),
        ("bad-crit", headed(json!({ "crit": ["exp"] }))),
        ("bad-jwk", headed(json!({ "jwk": jwk }))),
        ("bad-jku", headed(json!({ "jku": "http://127.0.0.1:9/" }))),
        ("bad-typ", headed(json!({ "typ": "JWT" }))),
        ("bad-service-typ", headed(json!({ "typ": "tenantry-service+jwt" }))),
        ("bad-kid", headed(json!({ "kid": "rs256" }))),
        ("bad-expired", access(with(json!({ "exp": NOW - 60 })))),
        ("bad-early", access(with(json!({ "nbf": NOW + 60 })))),
        ("bad-issuer", access(with(json!({ "iss": "elsewhere" })))),
        ("bad-audience", access(with(json!({ "aud": ["catalog"] })))),
        ("bad-tenantless", access(with(json!({ "tenant": null })))),
        ("bad-operator-of-a-company", access(with(json!({ "sub": OPERATOR })))),
        ("bad-acting-api-key", access(with(json!({ "sub": API_KEY, "act": { "sub": OPERATOR } })))),
        ("bad-dots", "..".to_owned()),
    ];
    named.into_iter().map(|(name, token)| (name.to_owned(), token)).collect()
}

fn payloads() -> Vec<(&'static str, String)> {
    let good = claims().to_string();
    let twice = good.replacen('{', r#"{"tenant":"0192f0c1-7e57-7000-8000-00000000dead","#, 1);
    let escaped = good.replacen("\"tenant\"", "\"ten\\u0061nt\"", 1);
    vec![
        ("user", good),
        ("operator", operator().to_string()),
        ("api-key", with(json!({ "sub": API_KEY })).to_string()),
        ("acting", with(json!({ "act": { "sub": OPERATOR } })).to_string()),
        ("not-before", with(json!({ "nbf": NOW })).to_string()),
        ("tenant-twice", twice),
        ("tenant-escaped", escaped),
        ("many-audiences", with(json!({ "aud": ["catalog", "crm", "crm"] })).to_string()),
        ("epoch-of-u64", with(json!({ "access_epoch": u64::MAX })).to_string()),
        ("tenant-is-a-list", with(json!({ "tenant": ["0192f0c1-7e57-7000-8000-000000000002"] })).to_string()),
        ("tenant-as-urn", with(json!({ "tenant": "urn:uuid:0192f0c1-7e57-7000-8000-000000000002" })).to_string()),
    ]
}
