use std::sync::Arc;

use tenantry_api::catalog::v1::key_service_server::KeyService;
use tenantry_api::catalog::v1::{GetJwksRequest, GetJwksResponse, Jwk};
use tenantry_rpc::{Call, Error};
use tonic::{Request, Response, Status};

use crate::app::App;

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
        let settings = &self.0.settings;
        let max_age_seconds = settings.jwks_max_age.as_secs().try_into().unwrap_or(i32::MAX);
        Ok(Response::new(GetJwksResponse { issuer: settings.issuer.clone(), keys: keys.collect(), max_age_seconds }))
    }
}
