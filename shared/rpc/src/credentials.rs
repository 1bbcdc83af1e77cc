//! What a service opens before anything of its own: how it proves itself to others, and whom it believes.

use std::sync::Arc;

use crate::Clock;
use crate::auth::{
    IdentityError, KeySource, ServiceIdentity, ServiceKeyFiles, TrustedServices, Verifier, VerifierSettings,
};
use crate::client::{self, AddressError, ServiceChannel};
use crate::server::ServerConfig;
use crate::tls::{ClientTls, TlsError};

/// Files or addresses that a service cannot meet others with.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Its key, or those that it trusts.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Its certificate, or the authorities that it trusts.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Where another service is.
    #[error(transparent)]
    Address(#[from] AddressError),
}

/// A service's key and certificate, and the services that it trusts.
pub struct Credentials {
    name: &'static str,
    remembered_tokens: u64,
    clock: Arc<dyn Clock>,
    tls: Arc<ClientTls>,
    identity: Option<Arc<ServiceIdentity>>,
    trusted: TrustedServices,
}

impl Credentials {
    /// Those of the service `name`, from the files of its configuration.
    pub fn load(
        name: &'static str,
        files: &ServiceKeyFiles,
        server: &ServerConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CredentialsError> {
        let tls = ClientTls::of_service(server)?;
        let identity = files.identity(name, &tls, clock.clone())?;
        let trusted = files.trusted(&server.tls)?;
        Ok(Self { name, remembered_tokens: server.remembered_tokens, clock, tls, identity, trusted })
    }

    /// What calls to others speak TLS with.
    pub fn tls(&self) -> &Arc<ClientTls> {
        &self.tls
    }

    /// What signs calls to others; nothing where a certificate proves this service.
    pub fn identity(&self) -> Option<&Arc<ServiceIdentity>> {
        self.identity.as_ref()
    }

    /// A channel to the service `audience` at `address`, connected when first used.
    pub fn channel(&self, address: &str, audience: &'static str) -> Result<ServiceChannel, CredentialsError> {
        Ok(client::open_with(&self.tls, address, audience, self.identity.clone())?)
    }

    /// Verifies the tokens of who calls this service: users' and operators' of `issuer` with its `keys`, and the
    /// trusted services'.
    pub fn into_verifier(self, issuer: String, keys: Arc<dyn KeySource>) -> Verifier {
        let settings =
            VerifierSettings { issuer, audience: self.name.to_owned(), remembered_tokens: self.remembered_tokens };
        Verifier::new(settings, keys, self.trusted, self.clock)
    }
}
