use std::sync::Arc;

use tenantry_api::catalog::v1::key_service_server::KeyService;
use tenantry_api::catalog::v1::{GetJwksRequest, GetJwksResponse, Jwk};
use tenantry_rpc::{Call, Error};
use tonic::{Request, Response, Status};

use crate::app::App;

/// For how long verifiers may keep the set, in seconds.
const MAX_AGE_SECONDS: i32 = 300;

pub(crate) struct KeyGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl KeyService for KeyGrpc {
    async fn get_jwks(&self, request: Request<GetJwksRequest>) -> Result<Response<GetJwksResponse>, Status> {
        Call::open(request)?;
        let published = self.0.keyring.published().await.map_err(Error::from)?;
        let keys = published.into_iter().map(|jwk| Jwk {
            kid: jwk.kid,
            kty: jwk.kty,
            alg: jwk.alg,
            r#use: jwk.use_,
            crv: jwk.crv,
            x: jwk.x,
            y: jwk.y,
        });
        let issuer = self.0.settings.issuer.clone();
        Ok(Response::new(GetJwksResponse { issuer, keys: keys.collect(), max_age_seconds: MAX_AGE_SECONDS }))
    }
}
