//! What a certificate says that is not TLS's business: its names and its end.

use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The subject alternative names of a certificate. A common name is nobody (RFC 9525, section 1.1.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) uris: Vec<String>,
    pub(super) dns: Vec<String>,
}

impl Names {
    /// The SPIFFE ID, where there is one and no other URI beside it (X509-SVID, section 2).
    pub(super) fn spiffe(&self) -> Option<&String> {
        match self.uris.as_slice() {
            [only] if only.starts_with("spiffe://") => Some(only),
            _ => None,
        }
    }
}

impl std::fmt::Display for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut names = self.uris.iter().chain(&self.dns);
        match names.next() {
            None => f.write_str("no names"),
            Some(first) => {
                f.write_str(first)?;
                names.try_for_each(|name| write!(f, ", {name}"))
            }
        }
    }
}

/// A certificate, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub(super) names: Names,
    /// From when it counts, in seconds since 1970.
    pub(super) from: i64,
    /// Until when it counts, in seconds since 1970.
    pub(super) until: i64,
}

impl Certificate {
    pub(super) fn read(der: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let bad = |_| CertificateError::BadEncoding;
        let (_, parsed) = X509Certificate::from_der(der).map_err(bad)?;
        let mut names = Names::default();
        let alternative = parsed.subject_alternative_name().map_err(|_| CertificateError::BadEncoding)?;
        for name in alternative.iter().flat_map(|extension| &extension.value.general_names) {
            match name {
                GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
                GeneralName::DNSName(host) => names.dns.push((*host).to_owned()),
                _ => {}
            }
        }
        let validity = parsed.validity();
        Ok(Self { names, from: validity.not_before.timestamp(), until: validity.not_after.timestamp() })
    }
}
