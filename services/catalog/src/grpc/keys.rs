use std::sync::Arc;

use tenantry_api::catalog::v1::key_service_server::KeyService;
use tenantry_api::catalog::v1::{
    GetJwksRequest, GetJwksResponse, Jwk, ListSigningKeysRequest, ListSigningKeysResponse, RevokeSigningKeyRequest,
    RevokeSigningKeyResponse, RotateSigningKeyRequest, RotateSigningKeyResponse, SigningKey, SigningKeyState,
};
use tenantry_rpc::{Call, Error, parse_field};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use crate::app::{App, keys};
use crate::domain::KeyState;
use crate::store::entities::signing_key;

pub(crate) struct KeyGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl KeyService for KeyGrpc {
    async fn get_jwks(&self, request: Request<GetJwksRequest>) -> Result<Response<GetJwksResponse>, Status> {
        Call::open(request)?;
        let keys = self.0.keyring.published().await.map_err(Error::from)?.into_iter().map(Jwk::from);
        let settings = &self.0.settings;
        let max_age_seconds = settings.jwks_max_age.as_secs().try_into().unwrap_or(i32::MAX);
        Ok(Response::new(GetJwksResponse { issuer: settings.issuer.clone(), keys: keys.collect(), max_age_seconds }))
    }

    async fn list_signing_keys(
        &self,
        request: Request<ListSigningKeysRequest>,
    ) -> Result<Response<ListSigningKeysResponse>, Status> {
        Call::open(request)?;
        let keys = keys::list(&self.0).await?.into_iter().map(signing_key).collect();
        Ok(Response::new(ListSigningKeysResponse { keys }))
    }

    async fn rotate_signing_key(
        &self,
        request: Request<RotateSigningKeyRequest>,
    ) -> Result<Response<RotateSigningKeyResponse>, Status> {
        let call = Call::open(request)?;
        let next = Some(signing_key(keys::rotate(&self.0, &call.context).await?));
        Ok(Response::new(RotateSigningKeyResponse { next }))
    }

    async fn revoke_signing_key(
        &self,
        request: Request<RevokeSigningKeyRequest>,
    ) -> Result<Response<RevokeSigningKeyResponse>, Status> {
        let call = Call::open(request)?;
        let id = parse_field("key_id", &call.body.key_id)?;
        let current = Some(signing_key(keys::revoke(&self.0, &call.context, id).await?));
        Ok(Response::new(RevokeSigningKeyResponse { current }))
    }
}

fn signing_key(row: signing_key::Model) -> SigningKey {
    let state = match row.state {
        KeyState::Next => SigningKeyState::Next,
        KeyState::Current => SigningKeyState::Current,
        KeyState::Retiring => SigningKeyState::Retiring,
    };
    SigningKey {
        id: row.id.to_string(),
        algorithm: row.algorithm,
        state: state.into(),
        create_time: Some(timestamp(row.created_at)),
        sign_time: Some(timestamp(row.not_before)),
        remove_time: row.not_after.map(timestamp),
    }
}
