use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tenantry_ids::{CompanyId, SystemIds, UserId};

use super::super::{KeyError, SigningKey};
use super::*;

const NOW: i64 = 1_800_000_000;

struct Hands(AtomicI64);

impl Clock for Hands {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0.load(Ordering::Relaxed), 0).unwrap()
    }
}

/// One key, or none, and how often it was asked for.
#[derive(Default)]
struct OneKey {
    key: Mutex<Option<(String, Arc<VerifyingKey>)>>,
    asked: AtomicU64,
    generation: AtomicU64,
}

#[async_trait]
impl KeySource for OneKey {
    async fn key(&self, kid: &str) -> Result<Option<Arc<VerifyingKey>>, KeyError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(self.key.lock().unwrap().as_ref().filter(|(known, _)| known == kid).map(|(_, key)| key.clone()))
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }
}

struct Bench {
    verifier: Verifier,
    keys: Arc<OneKey>,
    clock: Arc<Hands>,
    signing: SigningKey,
}

impl Bench {
    fn new(remembered_tokens: u64) -> Self {
        let signing = SigningKey::from_pkcs8("kid", &SigningKey::generate().unwrap()).unwrap();
        let keys = Arc::new(OneKey::default());
        let public = Arc::new(VerifyingKey::from_jwk(signing.public()).unwrap());
        *keys.key.lock().unwrap() = Some(("kid".to_owned(), public));
        let clock = Arc::new(Hands(AtomicI64::new(NOW)));
        let settings = VerifierSettings { issuer: "issuer".into(), audience: "crm".into(), remembered_tokens };
        let verifier = Verifier::new(settings, keys.clone(), TrustedServices::default(), clock.clone());
        Self { verifier, keys, clock, signing }
    }

    fn claims(&self) -> Value {
        json!({
            "iss": "issuer", "aud": ["crm"], "sub": format!("user:{}", UserId::new(&SystemIds)), "client_id": "c",
            "iat": NOW, "exp": NOW + 900, "jti": "1", "tenant": CompanyId::new(&SystemIds), "access_epoch": 1,
            "scope": "a b",
        })
    }

    fn token(&self, change: impl FnOnce(&mut Value)) -> String {
        let mut claims = self.claims();
        change(&mut claims);
        self.signing.sign(ACCESS_TOKEN, &claims).unwrap()
    }

    async fn reason(&self, token: &str) -> Option<Reason> {
        self.verifier.verify(token).await.err().map(|error| error.reason())
    }

    fn asked(&self) -> u64 {
        self.keys.asked.load(Ordering::Relaxed)
    }
}

/// The same token under another header.
fn headed(token: &str, header: &Value) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

#[tokio::test]
async fn what_is_wrong_by_itself_is_refused_before_any_key_is_looked_for() {
    let bench = Bench::new(10);
    let good = bench.token(|_| {});
    let jwk = serde_json::to_value(bench.signing.public()).unwrap();
    let header = |change: Value| {
        let mut header = json!({ "alg": "ES256", "typ": ACCESS_TOKEN, "kid": "kid" });
        header.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        headed(&good, &header)
    };
    let wrong = [
        header(json!({ "crit": ["exp"] })),
        header(json!({ "jwk": jwk })),
        header(json!({ "jku": "http://127.0.0.1:9/" })),
        header(json!({ "x5u": "http://127.0.0.1:9/" })),
        header(json!({ "x5c": ["MIIB"] })),
        header(json!({ "alg": "none" })),
        header(json!({ "alg": "HS256" })),
        header(json!({ "alg": "es256" })),
        header(json!({ "typ": "JWT" })),
        header(json!({ "b64": false })),
        bench.token(|claims| claims["nbf"] = json!(NOW + 6)),
        bench.token(|claims| claims["iat"] = json!(NOW + 6)),
        bench.token(|claims| claims["nbf"] = json!(i64::MAX)),
        bench.token(|claims| claims["iss"] = json!("another")),
        bench.token(|claims| claims["aud"] = json!(["catalog"])),
        bench.token(|claims| claims["aud"] = json!("crm")),
        bench.token(|claims| claims["tenant"] = Value::Null),
        bench.token(|claims| claims["act"] = json!({ "sub": claims["sub"] })),
        bench.token(|claims| claims["act"] = json!({ "sub": "service:crm" })),
        bench.token(|claims| claims["act"] = json!({})),
        bench.token(|claims| claims["sub"] = json!("session:0192f0c1-7e57-7000-8000-000000000000")),
        bench.token(|claims| claims["jti"] = json!("x".repeat(8_000))),
        format!("{good}.x"),
        good.replacen('.', "", 1),
        "..".to_owned(),
        String::new(),
        "é".repeat(100),
    ];
    for token in wrong {
        assert_eq!(bench.reason(&token).await, Some(Reason::TokenInvalid), "{token}");
    }
    for expired in [NOW - 5, 0, i64::MIN] {
        assert_eq!(bench.reason(&bench.token(|c| c["exp"] = json!(expired))).await, Some(Reason::TokenExpired));
    }
    assert_eq!(bench.asked(), 0);
    assert_eq!(bench.reason(&good).await, None);
    assert_eq!(bench.reason(&bench.token(|claims| claims["nbf"] = json!(NOW + 5))).await, None);
    assert_eq!(bench.verifier.remembering.len(), 2, "nothing that was refused takes room");
}

#[tokio::test]
async fn a_key_is_good_for_its_own_algorithm_only() {
    let bench = Bench::new(0);
    let rs = headed(&bench.token(|_| {}), &json!({ "alg": "RS256", "typ": ACCESS_TOKEN, "kid": "kid" }));
    assert_eq!(bench.reason(&rs).await, Some(Reason::TokenInvalid));
    assert_eq!(bench.asked(), 1);
}

/// What everybody can read is no secret to sign with, whatever the header says.
#[tokio::test]
async fn a_public_key_signs_nothing() {
    use ring::hmac;
    let bench = Bench::new(10);
    let good = bench.token(|_| {});
    let secrets = [serde_json::to_vec(bench.signing.public()).unwrap(), b"kid".to_vec(), Vec::new()];
    for (secret, alg) in secrets.iter().flat_map(|secret| ["HS256", "ES256"].map(|alg| (secret, alg))) {
        let token = headed(&good, &json!({ "alg": alg, "typ": ACCESS_TOKEN, "kid": "kid" }));
        let (signed, _) = token.rsplit_once('.').unwrap();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
        let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag));
        assert_eq!(bench.reason(&forged).await, Some(Reason::TokenInvalid), "{alg}");
        let bare = format!("{signed}.");
        assert_eq!(bench.reason(&bare).await, Some(Reason::TokenInvalid), "{alg}, without a signature");
    }
    assert_eq!(bench.verifier.remembering.len(), 0);
}

#[tokio::test]
async fn a_verified_token_is_remembered_until_it_ends_or_a_key_goes() {
    let bench = Bench::new(10);
    let token = bench.token(|_| {});
    for _ in 0..5 {
        assert_eq!(bench.reason(&token).await, None);
    }
    assert_eq!(bench.asked(), 1);
    // One that looks the same but for its signature is not the same.
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{signed}.{first}{}", &signature[1..]);
    assert_eq!(bench.reason(&forged).await, Some(Reason::TokenInvalid));

    bench.keys.generation.fetch_add(1, Ordering::Relaxed);
    assert_eq!(bench.reason(&token).await, None);
    assert_eq!(bench.asked(), 3);
    *bench.keys.key.lock().unwrap() = None;
    bench.keys.generation.fetch_add(1, Ordering::Relaxed);
    assert_eq!(bench.reason(&token).await, Some(Reason::TokenInvalid));
}

#[tokio::test]
async fn a_remembered_token_ends_when_it_says() {
    let bench = Bench::new(10);
    let token = bench.token(|_| {});
    assert_eq!(bench.reason(&token).await, None);
    bench.clock.0.store(NOW + 904, Ordering::Relaxed);
    assert_eq!(bench.reason(&token).await, None);
    bench.clock.0.store(NOW + 905, Ordering::Relaxed);
    assert_eq!(bench.reason(&token).await, Some(Reason::TokenExpired));
    assert_eq!(bench.verifier.remembering.lookups(), (2, 1));
}

#[tokio::test]
async fn no_more_tokens_are_remembered_than_there_is_room_for() {
    let bench = Bench::new(3);
    for number in 0..20 {
        assert_eq!(bench.reason(&bench.token(|claims| claims["jti"] = json!(number.to_string()))).await, None);
    }
    assert!(bench.verifier.remembering.len() <= 3);
    let bench = Bench::new(7);
    for number in 0..5 {
        let long = bench.token(|claims| claims["jti"] = json!(format!("{number}{}", "x".repeat(5_000))));
        assert_eq!(bench.reason(&long).await, None);
    }
    assert_eq!(bench.verifier.remembering.len(), 1, "a token of more than 6 KiB has the room of four");
    let none = Bench::new(0);
    let token = none.token(|_| {});
    for _ in 0..3 {
        assert_eq!(none.reason(&token).await, None);
    }
    assert_eq!(none.asked(), 3);
}
