//! Which service a certificate's names are, by the operator's own list.

use std::str::FromStr;
use std::sync::Arc;

use super::certificate::Names;

/// The longest SPIFFE ID, in bytes (SPIFFE-ID, section 2.3).
const MAX_SPIFFE_BYTES: usize = 2_048;
/// The longest name of a service, in bytes.
const MAX_SERVICE_BYTES: usize = 63;

/// A certificate's name that proves a service: `catalog=spiffe://example.org/ns/tenantry/sa/catalog` or
/// `catalog=dns:catalog.tenantry.svc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsIdentity {
    service: Arc<str>,
    name: CertificateName,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum CertificateName {
    Spiffe(String),
    Dns(String),
}

impl FromStr for TlsIdentity {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, name) =
            text.split_once('=').ok_or("write it as service=spiffe://domain/path or service=dns:host")?;
        let fits = (1..=MAX_SERVICE_BYTES).contains(&service.len())
            && service.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !fits {
            return Err(format!("{service:?} is no service's name: small letters, digits and '-'"));
        }
        let name = if let Some(host) = name.strip_prefix("dns:") {
            is_host(host)
                .then(|| CertificateName::Dns(host.to_ascii_lowercase()))
                .ok_or_else(|| format!("{host:?} is no host name: letters, digits, '-' and '.', and no wildcard"))?
        } else {
            is_spiffe(name)
                .then(|| CertificateName::Spiffe(name.to_owned()))
                .ok_or_else(|| format!("{name:?} is neither a SPIFFE ID (spiffe://domain/path) nor dns:host"))?
        };
        Ok(Self { service: service.into(), name })
    }
}

/// A host name as a certificate holds it. One with a wildcard is nobody in particular.
fn is_host(text: &str) -> bool {
    text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        })
}

/// SPIFFE-ID, section 2: a trust domain and a path that is not empty, both spelled in one way only.
fn is_spiffe(text: &str) -> bool {
    let Some((domain, path)) = text.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let in_domain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    text.len() <= MAX_SPIFFE_BYTES
        && !domain.is_empty()
        && domain.bytes().all(in_domain)
        && path.split('/').all(|segment| !["", ".", ".."].contains(&segment) && segment.bytes().all(in_path))
}

/// The whole list.
#[derive(Debug, Clone, Default)]
pub(super) struct Identities(Arc<[TlsIdentity]>);

impl Identities {
    pub(super) fn new(list: &[TlsIdentity]) -> Self {
        Self(list.into())
    }

    /// The one service that these names are; none where they are several's.
    pub(super) fn service(&self, names: &Names) -> Option<Arc<str>> {
        let mut found = self.0.iter().filter(|one| one.is_in(names)).map(|one| &one.service);
        let first = found.next()?;
        found.all(|other| other == first).then(|| first.clone())
    }

    /// Whether these names are this service.
    pub(super) fn are(&self, names: &Names, service: &str) -> bool {
        self.service(names).is_some_and(|found| *found == *service)
    }
}

/// What is wrong with a list: a name that is two services'.
pub(super) fn contradiction(list: &[TlsIdentity]) -> Option<String> {
    let clash = |one: &&TlsIdentity| list.iter().any(|other| other.name == one.name && other.service != one.service);
    list.iter().find(clash).map(|one| {
        let (CertificateName::Spiffe(name) | CertificateName::Dns(name)) = &one.name;
        format!("--tls-service-identity gives {name:?} to two services")
    })
}

impl TlsIdentity {
    fn is_in(&self, names: &Names) -> bool {
        match &self.name {
            CertificateName::Spiffe(id) => names.spiffe() == Some(id),
            CertificateName::Dns(host) => names.dns.iter().any(|name| name.eq_ignore_ascii_case(host)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(uris: &[&str], dns: &[&str]) -> Names {
        let owned = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect();
        Names { uris: owned(uris), dns: owned(dns) }
    }

    fn list(texts: &[&str]) -> Vec<TlsIdentity> {
        texts.iter().map(|text| text.parse().expect("an identity")).collect()
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        for good in [
            "catalog=spiffe://example.org/ns/tenantry/sa/catalog",
            "a-1=spiffe://1.2_3-x/A.b-c_d",
            "catalog=dns:catalog.tenantry.svc",
            "catalog=dns:CATALOG",
        ] {
            assert!(good.parse::<TlsIdentity>().is_ok(), "{good}");
        }
        for wrong in [
            "catalog",
            "=spiffe://a/b",
            "Catalog=spiffe://a/b",
            "a b=spiffe://a/b",
            "catalog=https://a/b",
            "catalog=spiffe://a",
            "catalog=spiffe://a/",
            "catalog=spiffe:///b",
            "catalog=spiffe://A/b",
            "catalog=spiffe://a:1/b",
            "catalog=spiffe://u@a/b",
            "catalog=spiffe://a/b/../c",
            "catalog=spiffe://a/./c",
            "catalog=spiffe://a//c",
            "catalog=spiffe://a/b%20c",
            "catalog=spiffe://a/b?c",
            "catalog=SPIFFE://a/b",
            "catalog=dns:",
            "catalog=dns:*.svc",
            "catalog=dns:a..b",
            "catalog=dns:電",
            &format!("{}=dns:a", "a".repeat(MAX_SERVICE_BYTES + 1)),
            &format!("a=spiffe://a/{}", "b".repeat(MAX_SPIFFE_BYTES - 10)),
        ] {
            assert!(wrong.parse::<TlsIdentity>().is_err(), "{wrong}");
        }
        assert!(format!("a=spiffe://a/{}", "b".repeat(MAX_SPIFFE_BYTES - 11)).parse::<TlsIdentity>().is_ok());
    }

    #[test]
    fn names_are_one_service_or_none() {
        let identities = Identities::new(&list(&[
            "catalog=spiffe://td/catalog",
            "catalog=spiffe://new/catalog",
            "migrator=spiffe://td/migrator",
            "crm=dns:crm.svc",
            "catalog=dns:catalog.svc",
        ]));
        let service = |names: Names| identities.service(&names).map(|name| name.to_string());
        assert_eq!(service(names(&["spiffe://td/catalog"], &[])).as_deref(), Some("catalog"));
        assert_eq!(service(names(&["spiffe://new/catalog"], &["catalog.svc"])).as_deref(), Some("catalog"));
        assert_eq!(service(names(&[], &["x", "CRM.svc"])).as_deref(), Some("crm"));
        for nobody in [
            names(&[], &[]),
            names(&["spiffe://td/catalog/"], &[]),
            names(&["spiffe://td/Catalog"], &[]),
            names(&["spiffe://other/catalog"], &[]),
            names(&["https://td/catalog"], &[]),
            // X509-SVID, section 2: more than one URI is no SPIFFE ID.
            names(&["spiffe://td/catalog", "https://td/"], &[]),
            names(&[], &["*.svc"]),
            names(&[], &["crm.svc.evil"]),
            // Two services at once.
            names(&["spiffe://td/catalog"], &["crm.svc"]),
            names(&[], &["crm.svc", "catalog.svc"]),
        ] {
            assert_eq!(service(nobody.clone()), None, "{nobody:?}");
        }
        assert!(identities.are(&names(&[], &["crm.svc"]), "crm"));
        assert!(!identities.are(&names(&[], &["crm.svc"]), "catalog"));
    }

    #[test]
    fn a_name_is_not_two_services() {
        assert_eq!(contradiction(&list(&["a=spiffe://td/x", "a=spiffe://td/x", "b=dns:x"])), None);
        assert!(contradiction(&list(&["a=spiffe://td/x", "b=spiffe://td/x"])).is_some());
    }
}
