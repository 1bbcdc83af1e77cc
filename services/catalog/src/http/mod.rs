//! What is read by plain HTTP: the key set and the discovery document, for meshes, gateways and libraries that verify
//! our tokens without a client of ours.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use tenantry_rpc::Error;
use tenantry_rpc::server::{Document, Rendered};

use crate::app::App;

const JWKS_PATH: &str = "/.well-known/jwks.json";
const DISCOVERY_PATH: &str = "/.well-known/openid-configuration";

/// The public keys (RFC 7517, section 5).
pub(crate) struct KeySet(pub(crate) Arc<App>);

#[async_trait]
impl Document for KeySet {
    fn path(&self) -> &'static str {
        JWKS_PATH
    }

    async fn read(&self) -> Result<Rendered, Error> {
        let keys = self.0.keyring.published().await?;
        let body = serde_json::to_vec(&json!({ "keys": keys })).map_err(Error::internal)?;
        let max_age = self.0.settings.jwks_max_age;
        Ok(Rendered { content_type: "application/jwk-set+json", body, max_age })
    }
}

/// Where the keys are, as verifiers look for it (OpenID Connect Discovery 1.0, section 4). There is no authorization
/// endpoint: people sign in by gRPC.
pub(crate) struct Discovery(pub(crate) Arc<App>);

#[async_trait]
impl Document for Discovery {
    fn path(&self) -> &'static str {
        DISCOVERY_PATH
    }

    async fn read(&self) -> Result<Rendered, Error> {
        let settings = &self.0.settings;
        let keys = self.0.keyring.published().await?;
        let algorithms: BTreeSet<_> = keys.iter().map(|key| key.alg.as_str()).collect();
        let document = json!({
            "issuer": settings.issuer,
            "jwks_uri": format!("{}{JWKS_PATH}", settings.issuer.trim_end_matches('/')),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": algorithms,
            "claims_supported":
                ["iss", "sub", "aud", "iat", "exp", "jti", "sid", "act", "client_id", "tenant", "access_epoch", "scope", "roles"],
        });
        let body = serde_json::to_vec(&document).map_err(Error::internal)?;
        Ok(Rendered { content_type: "application/json", body, max_age: settings.jwks_max_age })
    }
}
