//! Tokens assembled by hand, so that every part of them can be wrong.

use std::path::Path;

use anyhow::{Context as _, anyhow, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};

/// `typ` of the tokens that the catalog issues.
pub(crate) const ACCESS: &str = "at+jwt";
/// `typ` of the tokens that services sign for themselves.
pub(crate) const SERVICE: &str = "tenantry-service+jwt";

/// A private key under a key id.
pub(crate) struct Key {
    pub(crate) kid: String,
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl Key {
    /// A key that nobody knows, under an id that somebody may.
    pub(crate) fn fresh(kid: &str) -> anyhow::Result<Self> {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        Self::of(kid, pkcs8.map_err(|_| anyhow!("no key"))?.as_ref())
    }

    /// The key of a service, from its file.
    pub(crate) fn of_service(keys: &Path, name: &str) -> anyhow::Result<Self> {
        let pem = std::fs::read_to_string(keys.join(format!("{name}.pem")))?;
        let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
        Self::of(name, &STANDARD.decode(body)?)
    }

    /// The catalog's own key, unsealed from the central database: the one that signed `token`. What an expired token
    /// or one for another audience is refused for must be that, and not its signature.
    pub(crate) async fn of_catalog(data: &Path, token: &str) -> anyhow::Result<Self> {
        let kid = part(token, 0)?["kid"].as_str().context("a kid")?.to_owned();
        let key = STANDARD.decode(std::fs::read_to_string(data.join("key-encryption-key"))?.trim())?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).map_err(|_| anyhow!("the key's length"))?);
        let options = SqliteConnectOptions::new().filename(data.join("central.db")).read_only(true);
        let mut central = SqliteConnection::connect_with(&options).await?;
        let rows = sqlx::query("SELECT sealed_private FROM signing_keys").fetch_all(&mut central).await?;
        central.close().await?;
        for row in rows {
            let sealed: Vec<u8> = row.try_get(0)?;
            if let Some(pkcs8) = open(&key, &format!("signing-key:{kid}"), &sealed)? {
                return Self::of(&kid, &pkcs8);
            }
        }
        Err(anyhow!("no signing key of the central database opens as {kid}"))
    }

    fn of(kid: &str, pkcs8: &[u8]) -> anyhow::Result<Self> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8, &random);
        Ok(Self { kid: kid.to_owned(), pair: pair.map_err(|error| anyhow!("{error}"))?, random })
    }

    /// The header that belongs to this key.
    pub(crate) fn header(&self, typ: &str) -> Value {
        json!({ "alg": "ES256", "typ": typ, "kid": self.kid })
    }

    /// A token with this key's own header.
    pub(crate) fn token(&self, typ: &str, claims: &Value) -> anyhow::Result<String> {
        self.sign(&self.header(typ), claims)
    }

    /// A token with any header.
    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> anyhow::Result<String> {
        let signed = content(header, claims);
        let signature = self.pair.sign(&self.random, signed.as_bytes()).map_err(|_| anyhow!("no signature"))?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The public half as everybody can have it.
    pub(crate) fn point(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The public half as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        let (x, y) = self.point()[1..].split_at(32);
        let [x, y] = [x, y].map(|coordinate| URL_SAFE_NO_PAD.encode(coordinate));
        json!({ "kid": self.kid, "kty": "EC", "alg": "ES256", "use": "sig", "crv": "P-256", "x": x, "y": y })
    }
}

/// What the services seal: format (1 byte), key id (8), nonce (12), ciphertext and tag. `None` when it is another's.
fn open(key: &LessSafeKey, owner: &str, sealed: &[u8]) -> anyhow::Result<Option<Vec<u8>>> {
    ensure!(sealed.first() == Some(&1), "sealed in another format than this test knows");
    let (nonce, body) = sealed.get(9..).and_then(|rest| rest.split_at_checked(NONCE_LEN)).context("a nonce")?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| anyhow!("the nonce's length"))?;
    let mut body = body.to_vec();
    Ok(key.open_in_place(nonce, Aad::from(owner), &mut body).ok().map(|opened| opened.to_vec()))
}

/// A token without a signature (RFC 7519, section 6).
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.", content(header, claims))
}

/// A token signed with HMAC, for verifiers that let the header choose what their public key is.
pub(crate) fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let signed = content(header, claims);
    let tag = ring::hmac::sign(&ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// The signature of one token under the claims of another.
pub(crate) fn transplant(token: &str, claims: &Value) -> anyhow::Result<String> {
    let mut parts = token.split('.');
    let (header, signature) = (parts.next().context("a header")?, parts.nth(1).context("a signature")?);
    Ok(format!("{header}.{}.{signature}", encode(claims)))
}

/// What a token says.
pub(crate) fn claims(token: &str) -> anyhow::Result<Value> {
    part(token, 1)
}

/// The claims with some of them changed; null takes one away.
pub(crate) fn with(claims: &Value, changes: Value) -> Value {
    let mut changed = claims.clone();
    if let (Some(members), Value::Object(changes)) = (changed.as_object_mut(), changes) {
        for (name, value) in changes {
            match value {
                Value::Null => members.remove(&name),
                value => members.insert(name, value),
            };
        }
    }
    changed
}

fn part(token: &str, at: usize) -> anyhow::Result<Value> {
    let text = token.split('.').nth(at).context("no such part")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text)?)?)
}

fn content(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header), encode(claims))
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}
