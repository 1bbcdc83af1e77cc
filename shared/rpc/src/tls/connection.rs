//! The certificate that a connection's client has shown.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;

use super::certificate::Certificate;
use super::identity::Identities;
use crate::{Caller, Error, Reason};

/// A client's verified certificate, for the calls of its connection.
pub(crate) struct Peer {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) certificate: Certificate,
    /// The service that it proves.
    pub(super) service: Option<Arc<str>>,
}

impl Peer {
    pub(super) fn new(
        chain: &[CertificateDer<'_>],
        identities: &Identities,
    ) -> Result<Option<Self>, rustls::CertificateError> {
        let Some(own) = chain.first() else { return Ok(None) };
        let certificate = Certificate::read(own)?;
        let service = identities.service(&certificate.names);
        let chain = chain.iter().map(|one| one.clone().into_owned()).collect();
        Ok(Some(Self { chain, certificate, service }))
    }

    /// Who calls with nothing but this certificate.
    pub(crate) fn caller(&self) -> Result<Caller, Error> {
        let names = &self.certificate.names;
        self.service.clone().map(Caller::Service).ok_or_else(|| {
            let message = format!(
                "the client certificate ({names}) is no service's here; send a token, or have the service told of the name with --tls-service-identity"
            );
            Error::new(Reason::CertificateUnknown, message)
        })
    }

    /// A token of a service counts over a connection of that service alone. One over a certificate that is nobody's
    /// counts as it does without any.
    pub(crate) fn check_token(&self, caller: &Caller) -> Result<(), Error> {
        match (caller, &self.service) {
            (Caller::Service(of_token), Some(of_certificate)) if of_token != of_certificate => Err(Error::new(
                Reason::CertificateMismatch,
                format!(
                    "the token is {of_token}'s and the client certificate {of_certificate}'s; call with one of them, or with both of one service"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Its names, for the log.
    pub(crate) fn names(&self) -> String {
        self.certificate.names.to_string()
    }
}
