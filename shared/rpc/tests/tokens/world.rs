//! What holds of every token, every payload and every key, whatever it is made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use tenantry_rpc::auth::{
    JwkMembers, KeyAlgorithm, KeyError, KeySource, SigningKey, TrustedServices, Verifier, VerifierSettings,
    VerifyingKey,
};
use tenantry_rpc::{Caller, Clock, Reason};
use uuid::Uuid;

pub(crate) const NOW: i64 = 1_800_000_000;
/// How far clocks may be apart.
const LEEWAY: i64 = 5;
pub(crate) const ISSUER: &str = "issuer";
pub(crate) const AUDIENCE: &str = "crm";
pub(crate) const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Of whom a verifier says that a token is, or why it is nobody's.
pub(crate) type Said = Result<String, Reason>;

/// The private keys of the corpus, which sign nothing else.
pub(crate) struct Keys {
    pub(crate) es256: EcdsaKeyPair,
    pub(crate) rs256: RsaKeyPair,
    pub(crate) service: EcdsaKeyPair,
    random: SystemRandom,
    folder: PathBuf,
}

/// Verifiers with the corpus's keys, and the tokens that those signed.
pub(crate) struct World {
    pub(crate) keys: Keys,
    source: Arc<Source>,
    forgetful: Verifier,
    remembering: Verifier,
    odd: Arc<OddKey>,
    with_odd_key: Verifier,
    /// What was signed, with what is said of it.
    signed: BTreeMap<String, Said>,
}

struct At(i64);

impl Clock for At {
    fn now(&self) -> DateTime<Utc> {
        DateTime::from_timestamp(self.0, 0).expect("a time")
    }
}

/// The catalog's keys, and how often they were asked for.
struct Source {
    keys: BTreeMap<String, Arc<VerifyingKey>>,
    asked: AtomicU64,
}

#[async_trait]
impl KeySource for Source {
    async fn key(&self, kid: &str) -> Result<Option<Arc<VerifyingKey>>, KeyError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Ok(self.keys.get(kid).cloned())
    }
}

/// One key, whatever it is called.
#[derive(Default)]
struct OddKey(Mutex<Option<Arc<VerifyingKey>>>);

#[async_trait]
impl KeySource for OddKey {
    async fn key(&self, _: &str) -> Result<Option<Arc<VerifyingKey>>, KeyError> {
        Ok(self.0.lock().expect("a lock").clone())
    }
}

impl Keys {
    /// From `keys/` in the folder of these tests.
    pub(crate) fn read(folder: &Path) -> Self {
        let folder = folder.join("keys");
        let der = |name: &str| {
            let pem = std::fs::read_to_string(folder.join(name)).expect(name);
            SigningKey::der_of_pem(&pem).expect(name).to_vec()
        };
        let random = SystemRandom::new();
        let pair = |name: &str| {
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der(name), &random).expect("a key")
        };
        let (es256, service) = (pair("es256.pem"), pair("service.pem"));
        let rs256 = RsaKeyPair::from_pkcs8(&der("rs256.pem")).expect("a key");
        Self { es256, rs256, service, random, folder }
    }

    /// The public half of a key in `keys/`.
    pub(crate) fn public(&self, name: &str, algorithm: KeyAlgorithm) -> JwkMembers {
        let pem = std::fs::read_to_string(self.folder.join(name)).expect(name);
        let der = SigningKey::der_of_pem(&pem).expect(name);
        let kid = name.split('.').next().unwrap_or_default();
        SigningKey::of(algorithm, kid, &der).expect("a key").public().clone()
    }

    /// A token of any header and any payload, signed with the key that the header says.
    pub(crate) fn sign(&self, header: &Value, payload: &[u8]) -> String {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!("{}.{}", encode(header.to_string().as_bytes()), encode(payload));
        let ecdsa =
            |pair: &EcdsaKeyPair| encode(pair.sign(&self.random, signed.as_bytes()).expect("a signature").as_ref());
        let signature = match header["kid"].as_str() {
            Some("rs256") => {
                let mut signature = vec![0; self.rs256.public().modulus_len()];
                let made = self.rs256.sign(&RSA_PKCS1_SHA256, &self.random, signed.as_bytes(), &mut signature);
                made.expect("a signature");
                encode(&signature)
            }
            Some("service") => ecdsa(&self.service),
            _ => ecdsa(&self.es256),
        };
        format!("{signed}.{signature}")
    }

    /// An access token with these claims.
    pub(crate) fn access(&self, payload: &[u8]) -> String {
        self.sign(&access_header(), payload)
    }
}

pub(crate) fn access_header() -> Value {
    json!({ "alg": "ES256", "typ": "at+jwt", "kid": "es256" })
}

/// The claims of a token that is good.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": [AUDIENCE], "sub": "user:0192f0c1-7e57-7000-8000-000000000001", "client_id": "tenantry",
        "iat": NOW, "exp": NOW + 900, "jti": "1", "tenant": "0192f0c1-7e57-7000-8000-000000000002", "access_epoch": 1,
        "scope": "crm.people.read crm.people.write", "roles": ["member"],
    })
}

impl World {
    /// With the tokens of the corpus below `folder` that are good.
    pub(crate) fn new(folder: &Path) -> Self {
        let keys = Keys::read(folder);
        let public = [keys.public("es256.pem", KeyAlgorithm::Es256), keys.public("rs256.pem", KeyAlgorithm::Rs256)];
        let public = public.map(|jwk| (jwk.kid.clone(), Arc::new(VerifyingKey::from_jwk(&jwk).expect("a key"))));
        let source = Arc::new(Source { keys: public.into(), asked: AtomicU64::new(0) });
        let odd = Arc::new(OddKey::default());
        let verifier = |source: Arc<dyn KeySource>, remembered_tokens| {
            let settings =
                VerifierSettings { issuer: ISSUER.to_owned(), audience: AUDIENCE.to_owned(), remembered_tokens };
            let services = TrustedServices::load(&folder.join("keys/services.json")).expect("services");
            Verifier::new(settings, source, services, Arc::new(At(NOW)))
        };
        let (forgetful, remembering) = (verifier(source.clone(), 0), verifier(source.clone(), 1_000));
        let with_odd_key = verifier(odd.clone(), 0);
        let mut world = Self { keys, source, forgetful, remembering, odd, with_odd_key, signed: BTreeMap::new() };
        for (name, bytes) in corpus(folder, "tokens") {
            if name.starts_with("good-") {
                let token = String::from_utf8(bytes).expect("text");
                let said = say(&world.forgetful, &token);
                assert!(said.is_ok(), "{name} is {said:?}");
                world.signed.insert(token, said);
            }
        }
        world
    }

    /// The tokens that are good.
    pub(crate) fn signed(&self) -> impl Iterator<Item = &str> {
        self.signed.keys().map(String::as_str)
    }

    /// A token that nobody but its signer can have made is what it was, and anything else is refused.
    pub(crate) fn token(&self, text: &str) -> Said {
        let asked = self.asked();
        let said = say(&self.forgetful, text);
        if text.len() > MAX_TOKEN_BYTES {
            assert_eq!((&said, self.asked()), (&Err(Reason::TokenInvalid), asked), "too long, and looked at");
        }
        // Remembered or not, it is the same.
        assert_eq!(say(&self.remembering, text), said, "{text}");
        assert_eq!(say(&self.remembering, text), said, "{text}");
        match &said {
            // The bytes that were signed, and no other; or the signature's mirror, which ECDSA itself takes.
            Ok(_) => {
                let known = self.signed.get(text).or_else(|| self.signed.get(&mirrored(text)?));
                assert_eq!(known, Some(&said), "nobody signed {text}");
            }
            Err(reason) => assert!(matches!(reason, Reason::TokenInvalid | Reason::TokenExpired), "{reason:?}"),
        }
        said
    }

    /// A payload that was signed, whatever it is, gives what it says and nothing more.
    pub(crate) fn claims(&self, payload: &[u8]) -> Said {
        let token = self.keys.access(payload);
        let said = say(&self.forgetful, &token);
        let Ok(caller) = verified(&self.forgetful, &token) else { return said };
        let claims: Value = serde_json::from_slice(payload).expect("what was believed is JSON");
        let names = |name: &str| claims[name].as_array().map(|list| list.iter().filter_map(Value::as_str).collect());
        assert_eq!(claims["iss"], ISSUER);
        assert!(names("aud").is_some_and(|names: Vec<&str>| names.contains(&AUDIENCE)), "{claims}");
        assert!(claims["exp"].as_i64().is_some_and(|end| end > NOW - LEEWAY), "{claims}");
        for from in ["iat", "nbf"].map(|name| &claims[name]).into_iter().filter(|from| !from.is_null()) {
            assert!(from.as_i64().is_some_and(|from| from <= NOW + LEEWAY), "{claims}");
        }
        let (kind, id) = claims["sub"].as_str().and_then(|sub| sub.split_once(':')).expect("a subject");
        let id: Uuid = id.parse().expect("an id");
        let actor = claims["act"]["sub"].as_str();
        match &caller {
            Caller::User(user) => {
                let tenant = claims["tenant"].as_str().and_then(|tenant| tenant.parse().ok());
                assert_eq!(tenant, Some(Uuid::from(user.tenant())), "another tenant: {claims}");
                assert_eq!(claims["access_epoch"].as_u64(), Some(user.access_epoch()));
                assert_eq!(Uuid::from(user.principal()), id);
                assert_eq!(user.actor().map(|actor| format!("operator:{actor}")).is_some(), actor.is_some());
                assert!(kind == "user" || (kind == "api_key" && actor.is_none()), "{claims}");
                assert_eq!(names("roles").unwrap_or_default(), user.roles());
            }
            Caller::Operator(operator) => {
                assert_eq!((kind, Uuid::from(operator.operator())), ("operator", id));
                let none = ["tenant", "access_epoch", "act"].iter().all(|name| claims[*name].is_null());
                assert!(none, "an operator of a company: {claims}");
            }
            Caller::Anonymous | Caller::Service(_) => panic!("an access token of {caller:?}"),
        }
        said
    }

    /// A key that was published, whatever it is, verifies nothing of ours unless it is ours.
    pub(crate) fn jwk(&self, bytes: &[u8]) -> bool {
        let Ok(jwk) = serde_json::from_slice::<JwkMembers>(bytes) else { return false };
        let Some(key) = VerifyingKey::from_jwk(&jwk) else { return false };
        assert_eq!(key.algorithm().as_str(), jwk.alg);
        assert_eq!((jwk.use_.as_str(), jwk.kty.as_str()), ("sig", if jwk.alg == "ES256" { "EC" } else { "RSA" }));
        *self.odd.0.lock().expect("a lock") = Some(Arc::new(key));
        for token in self.signed() {
            if let Ok(said) = say(&self.with_odd_key, token)
                && !said.contains("Service")
            {
                let ours = [("es256.pem", KeyAlgorithm::Es256), ("rs256.pem", KeyAlgorithm::Rs256)];
                let public = |one: &JwkMembers| (one.x.clone(), one.y.clone(), one.n.clone(), one.e.clone());
                let same = ours.iter().any(|(name, alg)| same_key(&self.keys.public(name, *alg), &jwk));
                assert!(same, "{:?} verifies what another key signed", public(&jwk));
            }
        }
        true
    }

    fn asked(&self) -> u64 {
        self.source.asked.load(Ordering::Relaxed)
    }
}

/// The members that a key of this sort has; what is beside them is nobody's.
fn same_key(one: &JwkMembers, other: &JwkMembers) -> bool {
    let members = |jwk: &JwkMembers| match jwk.kty.as_str() {
        "EC" => (jwk.x.clone(), jwk.y.clone()),
        _ => (jwk.n.clone(), jwk.e.clone()),
    };
    // The exponent may have zeroes before it.
    one.kty == other.kty && members(one).0 == members(other).0
}

fn verified(verifier: &Verifier, token: &str) -> Result<Caller, Reason> {
    let verified = verifier.verify(token).now_or_never().expect("keys that are there");
    verified.map_err(|error| error.reason())
}

fn say(verifier: &Verifier, token: &str) -> Said {
    verified(verifier, token).map(|caller| format!("{caller:?}"))
}

/// The files of a folder of the corpus, by name.
pub(crate) fn corpus(folder: &Path, of: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder.join("corpus").join(of);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            (entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path()).expect("a file"))
        })
        .collect();
    files.sort();
    files
}

/// The order of P-256's group (FIPS 186-5 and SP 800-186).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7,
    0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// The same token with the other signature that ECDSA takes for it: of (r, s) it is (r, n − s).
pub(crate) fn mirrored(token: &str) -> Option<String> {
    let (signed, signature) = token.rsplit_once('.')?;
    let mut signature = URL_SAFE_NO_PAD.decode(signature).ok().filter(|signature| signature.len() == 64)?;
    let mut borrow = 0;
    for at in (0..32).rev() {
        let difference = i16::from(ORDER[at]) - i16::from(signature[32 + at]) - borrow;
        borrow = i16::from(difference < 0);
        signature[32 + at] = u8::try_from(difference.rem_euclid(256)).ok()?;
    }
    (borrow == 0).then(|| format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
