mod changes;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, DuplexStream};

use super::reload::Reloading;
use super::server::Accepted;
use super::test_pki::{Authority, write, write_key, write_pair};
use super::*;
use crate::server::{Mode, ServerConfig};
use crate::{Clock, SystemClock};

/// A clock that is so many seconds ahead.
struct Ahead(AtomicI64);

impl Clock for Ahead {
    fn now(&self) -> DateTime<Utc> {
        SystemClock.now() + chrono::TimeDelta::seconds(self.0.load(Ordering::SeqCst))
    }
}

fn clock() -> Arc<Ahead> {
    Arc::new(Ahead(AtomicI64::new(0)))
}

/// Files for a server and its clients in one folder.
struct Place {
    folder: TempDir,
    authority: Authority,
    config: TlsConfig,
}

const CRM: &str = "spiffe://td/crm";

impl Place {
    /// A server with a certificate, which knows crm and catalog by theirs.
    fn new() -> Self {
        let (folder, authority) = (tempfile::tempdir().expect("a folder"), Authority::new());
        let pair = write_pair(folder.path(), "server", &authority.issue(&["spiffe://td/catalog"], |_| {}));
        let identities = ["crm=spiffe://td/crm", "catalog=spiffe://td/catalog"];
        let config = TlsConfig {
            tls_cert_file: Some(pair.cert),
            tls_key_file: Some(pair.key),
            tls_client_ca_file: Some(write(folder.path(), "ca.crt", &authority.pem())),
            tls_service_identities: identities.map(|text| text.parse().expect("an identity")).to_vec(),
            ..TlsConfig::default()
        };
        Self { folder, authority, config }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn server(&self, clock: Arc<dyn Clock>) -> Result<Arc<ServerTls>, TlsError> {
        ServerTls::load(&self.config, Mode::Production, clock).map(|tls| Arc::new(tls.expect("a certificate")))
    }

    fn problem(&self) -> String {
        self.server(clock()).err().expect("a refusal").to_string()
    }

    /// A client with a certificate of this name.
    fn client(&self, uri: Option<&str>) -> Arc<ClientTls> {
        let pair = uri.map(|uri| write_pair(self.path(), "client", &self.authority.issue(&[uri], |_| {})));
        self.client_with(pair)
    }

    fn client_with(&self, pair: Option<PairFiles>) -> Arc<ClientTls> {
        let identities = self.config.tls_service_identities.clone();
        let settings = ClientTlsSettings { ca_file: self.config.tls_client_ca_file.clone(), pair, identities };
        ClientTls::of_command(settings).expect("a client")
    }
}

/// One handshake; what either end says of it.
async fn shake(
    server: &ServerTls,
    client: &ClientTls,
    service: &str,
    host: &'static str,
) -> (std::io::Result<Accepted<DuplexStream>>, std::io::Result<()>) {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let config = Arc::new(client.config(&service.into()).expect("a configuration"));
    let connect = async {
        let name = ServerName::try_from(host).expect("a name");
        let mut stream = tokio_rustls::TlsConnector::from(config).connect(name, near).await?;
        stream.flush().await
    };
    tokio::join!(server.accept(far), connect)
}

async fn service_of(server: &ServerTls, client: &ClientTls) -> Option<String> {
    let accepted = shake(server, client, "catalog", "localhost").await.0.expect("a connection");
    accepted.peer?.service.as_ref().map(ToString::to_string)
}

#[tokio::test]
async fn a_certificate_is_the_service_of_its_name_and_none_is_nobody() {
    let place = Place::new();
    let server = place.server(clock()).expect("a server");
    assert_eq!(service_of(&server, &place.client(Some(CRM))).await.as_deref(), Some("crm"));
    assert_eq!(service_of(&server, &place.client(Some("spiffe://td/stranger"))).await, None);
    assert_eq!(service_of(&server, &place.client(None)).await, None);
}

#[tokio::test]
async fn what_is_shown_and_does_not_count_ends_the_handshake() {
    let mut place = Place::new();
    let server = place.server(clock()).expect("a server");
    let other = Authority::new();
    let day = |day| {
        move |params: &mut rcgen::CertificateParams| {
            (params.not_before, params.not_after) =
                (rcgen::date_time_ymd(2001, 1, 1), rcgen::date_time_ymd(2001, 1, day));
        }
    };
    let for_servers = |params: &mut rcgen::CertificateParams| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    };
    for (pair, why) in [
        // Another authority of the same name.
        (other.issue(&[CRM], |_| {}), "BadSignature"),
        (place.authority.issue(&[CRM], day(2)), "Expired"),
        (place.authority.issue(&[CRM], for_servers), "PurposeContext"),
    ] {
        let client = place.client_with(Some(write_pair(place.path(), "client", &pair)));
        let error = shake(&server, &client, "catalog", "localhost").await.0.err().expect("a refusal");
        assert!(format!("{error:?}").contains(why), "{error:?}");
    }

    place.config.tls_require_client_cert = true;
    let server = place.server(clock()).expect("a server");
    assert_eq!(service_of(&server, &place.client(Some(CRM))).await.as_deref(), Some("crm"));
    let error = shake(&server, &place.client(None), "catalog", "localhost").await.0.err().expect("a refusal");
    assert!(format!("{error:?}").contains("NoCertificatesPresented"), "{error:?}");
}

#[tokio::test]
async fn a_server_is_believed_for_its_host_or_for_the_service_that_it_is() {
    let place = Place::new();
    let server = place.server(clock()).expect("a server");
    let client = place.client(None);
    let result =
        async |service, host| shake(&server, &client, service, host).await.1.map_err(|error| error.to_string());
    assert_eq!(result("anything", "localhost").await, Ok(()));
    assert_eq!(result("anything", "127.0.0.1").await, Ok(()));
    assert_eq!(result("catalog", "somewhere.svc").await, Ok(()), "by its SPIFFE ID");
    for service in ["crm", "migrator"] {
        let refused = result(service, "somewhere.svc").await.expect_err("a refusal");
        assert!(refused.contains("not valid for name"), "{refused}");
    }

    // Another authority's word counts for nothing, whatever the name.
    let other = Place::new();
    for service in ["catalog", "anything"] {
        let refused = shake(&server, &other.client(None), service, "localhost").await.1.expect_err("a refusal");
        assert!(refused.to_string().contains("BadSignature"), "{refused}");
    }
}

/// Nothing of real time: the clock stands still and is moved.
#[tokio::test(start_paused = true)]
async fn a_handshake_has_its_time_and_no_more() {
    let mut place = Place::new();
    place.config.tls_handshake_timeout_ms = 1_000;
    let server = place.server(clock()).expect("a server");
    let (near, far) = tokio::io::duplex(16 * 1024);
    let accepting = tokio::spawn(async move { server.accept(far).await.map(drop) });
    tokio::task::yield_now().await;
    tokio::time::advance(Duration::from_millis(999)).await;
    tokio::task::yield_now().await;
    assert!(!accepting.is_finished());
    tokio::time::advance(Duration::from_millis(2)).await;
    let error = accepting.await.expect("no panic").expect_err("a refusal");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    drop(near);
}

#[test]
fn files_that_cannot_be_used_are_refused_with_what_to_do() {
    let place = Place::new();
    let (cert, key) =
        (place.config.tls_cert_file.clone().expect("a file"), place.config.tls_key_file.clone().expect("a file"));
    let authorities = place.config.tls_client_ca_file.clone().expect("a file");
    let good = [&cert, &key, &authorities].map(|path| std::fs::read_to_string(path).expect("read"));
    let refused = |change: &dyn Fn(), says: &str| {
        change();
        let problem = place.problem();
        assert!(problem.contains(says), "{problem:?} lacks {says:?}");
        write(place.path(), "server.crt", &good[0]);
        write_key(&key, &good[1], 0o600);
        write(place.path(), "ca.crt", &good[2]);
        place.server(clock()).expect("good again");
    };
    let (_, other_key) = place.authority.issue(&[], |_| {});
    refused(&|| std::fs::remove_file(&cert).expect("removed"), "cannot read");
    refused(&|| drop(write(place.path(), "server.crt", "")), "put the service's own there");
    refused(&|| drop(write(place.path(), "server.crt", "-----BEGIN CERTIFICATE-----\n!")), "not certificates in PEM");
    refused(&|| write_key(&key, "", 0o600), "no private key in PEM");
    refused(&|| write_key(&key, &good[0], 0o600), "no private key in PEM");
    refused(&|| write_key(&key, &other_key, 0o600), "does not belong to the certificate in");
    refused(&|| write_key(&key, &good[1], 0o604), "chmod o=");
    refused(&|| drop(write(place.path(), "ca.crt", "")), "put those of the authorities there");
    refused(&|| drop(write(place.path(), "ca.crt", "nothing")), "put those of the authorities there");
    // A group of the operator's making may read it, as Kubernetes has it.
    write_key(&key, &good[1], 0o640);
    place.server(clock()).expect("a server");
}

#[test]
fn the_systems_authorities_are_enough_for_a_client() {
    let tls = ClientTls::of_command(ClientTlsSettings::default()).expect("a client");
    assert!(!tls.presents_certificate());
    // There may be none on this machine; then that is what is said.
    if let Err(error) = tls.connector("catalog", "catalog").map(drop) {
        assert!(error.to_string().contains("--tls-ca-file"), "{error}");
    }
}

#[test]
fn production_refuses_plaintext_to_others_and_calls_by_nobody() {
    let config = |mode| ServerConfig::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), mode);
    let (production, dev) = (config(Mode::Production), config(Mode::Dev));
    let production = ClientTls::of_service(&production).expect("a client");
    assert!(production.allows_plaintext_to("127.0.0.1") && !production.allows_plaintext_to("catalog"));
    assert!(ClientTls::of_service(&dev).expect("a client").allows_plaintext_to("catalog"));
    let refused =
        |address| crate::client::open_with(&production, address, "catalog", None).expect_err("a refusal").to_string();
    assert!(refused("http://catalog:50051").contains("production refuses plaintext"));
    assert!(refused("http://127.0.0.1:50051").contains("--service-key-file"));
    assert!(refused("ftp://catalog").contains("write it like"));
    assert!(refused("catalog:50051").contains("write it like"));
    assert!(crate::client::open("https://catalog", "catalog", None).is_err(), "nobody to trust");
}
