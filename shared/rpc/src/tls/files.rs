//! The files that TLS is set up from, at one moment.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use zeroize::Zeroizing;

use super::certificate::Certificate;
use super::{TlsError, provider};

/// A certificate chain and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFiles {
    /// The chain in PEM, the service's own certificate first.
    pub cert: PathBuf,
    /// The key in PEM.
    pub key: PathBuf,
}

/// Which files there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Files {
    pub(super) pair: Option<PairFiles>,
    pub(super) authorities: Option<PathBuf>,
    /// Whether a key that everybody on the machine may read is refused.
    pub(super) guards_key: bool,
}

/// What they hold, unread.
pub(super) struct Contents {
    pair: Option<(Vec<u8>, Zeroizing<Vec<u8>>)>,
    authorities: Option<Vec<u8>>,
}

/// What they hold, read.
pub(super) struct Loaded {
    pub(super) pair: Option<Pair>,
    pub(super) authorities: Option<RootCertStore>,
}

/// A certificate chain with the key that belongs to it.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) certificate: Certificate,
}

impl Files {
    pub(super) fn read(&self) -> Result<Contents, TlsError> {
        let pair = match &self.pair {
            Some(files) => {
                if self.guards_key {
                    guarded(&files.key)?;
                }
                Some((read(&files.cert)?, Zeroizing::new(read(&files.key)?)))
            }
            None => None,
        };
        let authorities = self.authorities.as_deref().map(read).transpose()?;
        Ok(Contents { pair, authorities })
    }

    pub(super) fn load(&self, contents: &Contents) -> Result<Loaded, TlsError> {
        let pair = match (&self.pair, &contents.pair) {
            (Some(files), Some((chain, key))) => Some(pair(files, chain, key)?),
            _ => None,
        };
        let authorities = match (&self.authorities, &contents.authorities) {
            (Some(path), Some(pem)) => Some(authorities(path, pem)?),
            _ => None,
        };
        Ok(Loaded { pair, authorities })
    }
}

impl Contents {
    /// The same for the same contents.
    pub(super) fn digest(&self) -> [u8; 32] {
        let (chain, key) = self.pair.as_ref().map_or((None, None), |(chain, key)| (Some(chain), Some(&**key)));
        let mut context = Context::new(&SHA256);
        for part in [chain, key, self.authorities.as_ref()] {
            context.update(&part.map_or(u64::MAX, |bytes| bytes.len() as u64).to_be_bytes());
            context.update(part.map_or(&[], Vec::as_slice));
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

fn read(path: impl AsRef<Path>) -> Result<Vec<u8>, TlsError> {
    let path = path.as_ref();
    fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })
}

fn guarded(path: &Path) -> Result<(), TlsError> {
    let file = fs::metadata(path).map_err(|source| TlsError::File { path: path.to_owned(), source })?;
    if file.permissions().mode() & 0o007 == 0 {
        return Ok(());
    }
    content(
        path,
        "everybody on this machine may use this private key: take that away with chmod o= (in Kubernetes by defaultMode 0440 of the volume)",
    )
}

fn content<T>(path: &Path, problem: impl Into<String>) -> Result<T, TlsError> {
    Err(TlsError::Content { path: path.to_owned(), problem: problem.into() })
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) => Ok(found),
        Err(error) => content(path, format!("not certificates in PEM: {error}")),
    }
}

fn pair(files: &PairFiles, chain: &[u8], key: &[u8]) -> Result<Pair, TlsError> {
    let chain = certificates(&files.cert, chain)?;
    let Some(own) = chain.first() else {
        return content(
            &files.cert,
            "no certificate in PEM (BEGIN CERTIFICATE): put the service's own there, then those between it and its authority",
        );
    };
    let certificate = match Certificate::read(own) {
        Ok(certificate) => certificate,
        Err(error) => return content(&files.cert, format!("the first certificate cannot be read: {error}")),
    };
    let Ok(der) = PrivateKeyDer::from_pem_slice(key) else {
        return content(&files.key, "no private key in PEM: put the certificate's key there (BEGIN PRIVATE KEY)");
    };
    match CertifiedKey::from_der(chain, der, &provider()) {
        Ok(key) => Ok(Pair { key: Arc::new(key), certificate }),
        Err(rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let cert = files.cert.display();
            content(
                &files.key,
                format!(
                    "this key does not belong to the certificate in {cert}: put both there that were made together"
                ),
            )
        }
        Err(error) => content(&files.key, format!("the private key cannot be used: {error}")),
    }
}

fn authorities(path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        if let Err(error) = store.add(certificate) {
            return content(path, format!("a certificate in it is no authority's: {error}"));
        }
    }
    if store.is_empty() {
        return content(
            path,
            "no certificate in PEM (BEGIN CERTIFICATE): put those of the authorities there that are trusted",
        );
    }
    Ok(store)
}
