//! What a service is not started with, and what it says to do.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tenantry_testkit::process::{program, run};

use super::pki::{Authority, replace};

/// crm, which needs nobody else in order to start, told this; and why it does not.
async fn refused(folder: &Path, told: &[(&str, &str)]) -> anyhow::Result<String> {
    let mut crm = program("crm")?;
    crm.arg("serve").env("TENANTRY_LISTEN", "127.0.0.1:0");
    for (name, value) in told {
        let value = value.replace('@', &folder.display().to_string());
        crm.env(format!("TENANTRY_{name}"), value);
    }
    run(crm).await?.refusal()
}

#[tokio::test]
async fn a_service_that_is_set_up_wrongly_says_what_to_do() -> anyhow::Result<()> {
    let (folder, authority) = (tempfile::tempdir()?, Authority::new()?);
    let at = folder.path();
    replace(&at.join("ca.crt"), &authority.pem())?;
    replace(&at.join("empty.crt"), "")?;
    authority.issue(at, "crm")?;
    authority.issue(at, "other")?;
    std::fs::copy(at.join("crm.key"), at.join("open.key"))?;
    std::fs::set_permissions(at.join("open.key"), std::fs::Permissions::from_mode(0o644))?;

    let (cert, key) = (("TLS_CERT_FILE", "@/crm.crt"), ("TLS_KEY_FILE", "@/crm.key"));
    let (ca, https) = (("TLS_CA_FILE", "@/ca.crt"), ("CATALOG_ADDRESS", "https://catalog:50051"));
    let clients = ("TLS_CLIENT_CA_FILE", "@/ca.crt");
    let catalog = ("TLS_SERVICE_IDENTITIES", "catalog=spiffe://td/catalog");
    let all = [cert, key, ca, https, clients, catalog];
    // Each of these is one step away from what works.
    let instead = |other: (&'static str, &'static str)| {
        all.map(|(name, value)| if name == other.0 { other } else { (name, value) }).to_vec()
    };
    let without = |name: &str| all.into_iter().filter(|told| told.0 != name).collect::<Vec<_>>();
    for (told, says) in [
        (without("TLS_KEY_FILE"), "--tls-cert-file and --tls-key-file go together"),
        (instead(("TLS_KEY_FILE", "@/other.key")), "does not belong to the certificate"),
        (instead(("TLS_KEY_FILE", "@/open.key")), "chmod o="),
        (instead(("TLS_KEY_FILE", "@/none.key")), "cannot read"),
        (instead(("TLS_CERT_FILE", "@/empty.crt")), "put the service's own there"),
        (instead(("TLS_CLIENT_CA_FILE", "@/empty.crt")), "put those of the authorities there"),
        (instead(("TLS_CA_FILE", "@/empty.crt")), "put those of the authorities there"),
        (instead(("TLS_SERVICE_IDENTITIES", "catalog=spiffe://td")), "neither a SPIFFE ID"),
        (instead(("TLS_SERVICE_IDENTITIES", "a=dns:x,b=dns:x")), "to two services"),
        (instead(("CATALOG_ADDRESS", "http://catalog:50051")), "production refuses plaintext to"),
        (instead(("CATALOG_ADDRESS", "http://127.0.0.1:50051")), "--service-key-file"),
        (without("TLS_CLIENT_CA_FILE"), "no service could call"),
        (without("TLS_SERVICE_IDENTITIES"), "no service could call"),
        (vec![clients, catalog], "--tls-client-ca-file is for a port that speaks TLS"),
        (vec![ca, https], "this service has nothing to prove itself with"),
        (vec![("LISTEN", "0.0.0.0:0")], "production refuses plaintext on"),
        (vec![cert, key, ("TLS_REQUIRE_CLIENT_CERT", "true")], "give --tls-client-ca-file too"),
        (vec![("TLS_HANDSHAKE_TIMEOUT_MS", "0")], "1..=60000"),
    ] {
        let told: Vec<_> = told;
        let problem = refused(at, &told).await?;
        assert!(problem.contains(says), "{told:?}: {problem:?} lacks {says:?}");
    }
    Ok(())
}
