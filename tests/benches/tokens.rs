//! What a token costs: remembered, and verified beside a bare verification of the same signature.
//!
//! `cargo xtask bench tokens`. TENANTRY_BENCH_TOKENS says how many of each are verified in a round (2,000). The promises:
//! remembered at most 1 µs, verified at most 1.1 of a bare verification. Without optimization,
//! `cargo bench -p tenantry-tests --profile dev --bench tokens -- --quick` only shows that it runs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)] // A benchmark is no service.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use tenantry_rpc::auth::{
    AccessClaims, JwkMembers, KeyAlgorithm, KeyError, KeySource, SigningKey, TrustedServices, Verifier,
    VerifierSettings, VerifyingKey,
};
use tenantry_rpc::{Caller, Clock, SystemClock};

const ROUNDS: usize = 15;
/// As many as are remembered by default.
const REMEMBERED: u64 = 10_000;
const RS256: &str = include_str!("../end_to_end/keys/rs256.pem");

fn main() {
    let quick = std::env::args().any(|word| word == "--quick");
    let number = std::env::var("TENANTRY_BENCH_TOKENS").ok().and_then(|text| text.parse().ok());
    let many = number.unwrap_or(if quick { 20 } else { 2_000 });
    println!("each of {many} tokens, median of {ROUNDS} rounds");
    let es256 = SigningKey::from_pkcs8("key", &SigningKey::generate().unwrap()).unwrap();
    let rs256 = SigningKey::of(KeyAlgorithm::Rs256, "key", &SigningKey::der_of_pem(RS256).unwrap()).unwrap();
    for key in [es256, rs256] {
        measure(&key, many);
    }
}

fn measure(key: &SigningKey, many: usize) {
    let tokens: Vec<String> = (0..many).map(|number| token(key, number)).collect();
    let bytes = tokens[0].len();
    let bare = Bare::of(key.public());
    let (anew, remembering) = (verifier(key, 0), verifier(key, REMEMBERED));
    tokens.iter().for_each(|token| drop(verify(&remembering, token)));

    // In turn, so that the machine's mood is the same for all.
    let mut rounds = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        rounds[0].push(per_token(&tokens, |token| assert!(bare.verify(token))));
        rounds[1].push(per_token(&tokens, |token| drop(verify(&anew, token))));
        rounds[2].push(per_token(&tokens, |token| drop(verify(&remembering, token))));
        rounds[3].push(per_token(&tokens, |_| drop(verify(&remembering, &tokens[0]))));
    }
    let [bare, anew, known, same] = rounds.map(median);
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    let algorithm = key.algorithm().as_str();
    println!("{algorithm}, {bytes} bytes");
    println!("  bare verification   {:>9.3} µs", micros(bare));
    println!("  verified            {:>9.3} µs   {:.3} of it", micros(anew), anew.as_secs_f64() / bare.as_secs_f64());
    println!("  remembered          {:>9.3} µs", micros(known));
    println!("  remembered, one     {:>9.3} µs", micros(same));
}

fn per_token(tokens: &[String], mut work: impl FnMut(&str)) -> Duration {
    let begun = Instant::now();
    tokens.iter().for_each(|token| work(black_box(token)));
    begun.elapsed() / u32::try_from(tokens.len()).unwrap_or(u32::MAX)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// As large as an owner's of today.
fn token(key: &SigningKey, number: usize) -> String {
    let now = SystemClock.now().timestamp();
    let claims = serde_json::json!({
        "iss": "https://catalog.example", "aud": ["catalog", "crm"],
        "sub": "user:0192f0c1-7e57-7000-8000-000000000001", "client_id": "tenantry",
        "iat": now, "exp": now + 900, "jti": format!("0192f0c1-7e57-7000-8000-{number:012}"),
        "sid": "0192f0c1-7e57-7000-8000-000000000003", "tenant": "0192f0c1-7e57-7000-8000-000000000002",
        "access_epoch": 1, "roles": ["member"],
        "scope": "catalog.companies.read catalog.membership.leave catalog.password.write catalog.sessions.write \
                  catalog.tokens.exchange catalog.members.read crm.people.read crm.places.read crm.devices.read \
                  crm.tariffs.read crm.transactions.read crm.tickets.read crm.people.write crm.places.write \
                  crm.devices.write crm.tariffs.write crm.transactions.write crm.tickets.write",
    });
    let claims: AccessClaims = serde_json::from_value(claims).unwrap();
    key.sign_access(&claims).unwrap()
}

struct OneKey(Arc<VerifyingKey>);

#[async_trait]
impl KeySource for OneKey {
    async fn key(&self, _: &str) -> Result<Option<Arc<VerifyingKey>>, KeyError> {
        Ok(Some(self.0.clone()))
    }
}

fn verifier(key: &SigningKey, remembered_tokens: u64) -> Verifier {
    let settings =
        VerifierSettings { issuer: "https://catalog.example".into(), audience: "crm".into(), remembered_tokens };
    let keys = Arc::new(OneKey(Arc::new(VerifyingKey::from_jwk(key.public()).unwrap())));
    Verifier::new(settings, keys, TrustedServices::default(), Arc::new(SystemClock))
}

fn verify(verifier: &Verifier, token: &str) -> Caller {
    let verified = pin!(verifier.verify(token)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(caller)) = verified else { panic!("a good token is refused") };
    caller
}

/// The signature over the bytes, by ring alone: nobody can do with less.
enum Bare {
    Es256(UnparsedPublicKey<Vec<u8>>),
    Rs256(RsaPublicKeyComponents<Vec<u8>>),
}

impl Bare {
    fn of(jwk: &JwkMembers) -> Self {
        let decode = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref().unwrap()).unwrap();
        if jwk.alg == "RS256" {
            return Self::Rs256(RsaPublicKeyComponents { n: decode(&jwk.n), e: decode(&jwk.e) });
        }
        let point = [vec![4], decode(&jwk.x), decode(&jwk.y)].concat();
        Self::Es256(UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point))
    }

    fn verify(&self, token: &str) -> bool {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        match self {
            Self::Es256(key) => key.verify(signed.as_bytes(), &signature).is_ok(),
            Self::Rs256(key) => key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature).is_ok(),
        }
    }
}
