//! Authorities and certificates, as an operator's tool would put them into a folder.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
};
use tenantry_rpc::tls::PairFiles;

/// An authority.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // A certificate whose issuer has its own name counts as its own issuer's, for some clients.
        params.distinguished_name.push(DnType::CommonName, "the authority of these tests");
        Ok(Self(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// Into the folder, a certificate that is the named part of the deployment, for localhost too where outsiders call.
    pub(super) fn issue(&self, folder: &Path, name: &str) -> anyhow::Result<PairFiles> {
        self.issue_with(folder, name, |_| {})
    }

    pub(super) fn issue_with(
        &self,
        folder: &Path,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> anyhow::Result<PairFiles> {
        let mut params = CertificateParams::new(Vec::<String>::new())?;
        let id = Ia5String::try_from(spiffe(name))?;
        params.subject_alt_names.push(SanType::URI(id));
        if ["catalog", "crm"].contains(&name) {
            params.subject_alt_names.push(SanType::DnsName("localhost".try_into()?));
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        let files = PairFiles { cert: folder.join(format!("{name}.crt")), key: folder.join(format!("{name}.key")) };
        replace(&files.cert, &certificate.pem())?;
        replace(&files.key, &key.serialize_pem())?;
        Ok(files)
    }
}

/// The SPIFFE ID of a part of the deployment.
pub(super) fn spiffe(name: &str) -> String {
    format!("spiffe://tenantry.test/ns/tenantry/sa/{name}")
}

/// What everybody is told of who is who.
pub(super) fn identities() -> String {
    let names = ["catalog", "migrator", "crm", "storage"];
    names.map(|name| format!("{name}={}", spiffe(name))).join(",")
}

/// In one step, for nobody else to read.
pub(super) fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut new = PathBuf::from(path).into_os_string();
    new.push(".new");
    std::fs::write(&new, text)?;
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
    Ok(std::fs::rename(new, path)?)
}
