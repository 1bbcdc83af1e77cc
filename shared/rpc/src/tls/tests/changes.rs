//! Files that are replaced, and certificates that end, while a server runs.

use super::*;

/// As Kubernetes replaces what is mounted: a new folder, and one link that points to it from then on.
#[tokio::test]
async fn what_is_replaced_by_a_link_counts_for_new_connections() {
    let mut place = Place::new();
    for version in ["1", "2"] {
        let folder = place.path().join(version);
        std::fs::create_dir(&folder).expect("made");
        write_pair(&folder, "tls", &place.authority.issue(&[&format!("spiffe://td/{version}")], |_| {}));
    }
    let point = |version: &str| {
        std::os::unix::fs::symlink(version, place.folder.path().join("new")).expect("linked");
        std::fs::rename(place.folder.path().join("new"), place.folder.path().join("data")).expect("renamed");
    };
    point("1");
    place.config.tls_cert_file = Some(place.folder.path().join("data/tls.crt"));
    place.config.tls_key_file = Some(place.folder.path().join("data/tls.key"));
    let server = place.server(clock()).expect("a server");
    let identities = |version: &str| vec![format!("it=spiffe://td/{version}").parse().expect("an identity")];
    let ca_file = place.config.tls_client_ca_file.clone();
    let is = async |version| {
        let settings = ClientTlsSettings { ca_file: ca_file.clone(), pair: None, identities: identities(version) };
        shake(&server, &ClientTls::of_command(settings).expect("a client"), "it", "elsewhere.svc").await.1.is_ok()
    };
    assert!(is("1").await && !is("2").await);
    point("2");
    assert!(is("1").await, "nobody has looked");
    server.look();
    assert!(is("2").await && !is("1").await);
    server.look();
    assert!(is("2").await);
}

#[tokio::test]
async fn bad_files_change_nothing_and_are_complained_about_once() {
    let place = Place::new();
    let said = Said::default();
    let _guard = tracing::subscriber::set_default(said.clone());
    let server = place.server(clock()).expect("a server");
    let (key, good) = (
        place.config.tls_key_file.clone().expect("a file"),
        std::fs::read_to_string(place.path().join("server.key")).expect("read"),
    );

    // Only half of a pair is there yet: at the first look that is no trouble.
    let (new_cert, new_key) = place.authority.issue(&["spiffe://td/new"], |_| {});
    write(place.path(), "server.crt", &new_cert);
    server.look();
    assert_eq!(said.errors(), 0);
    for _ in 0..3 {
        server.look();
        assert_eq!(said.errors(), 1);
    }
    assert_eq!(service_of(&server, &place.client(Some(CRM))).await.as_deref(), Some("crm"), "it goes on");
    write_key(&key, &new_key, 0o600);
    server.look();
    assert_eq!(said.errors(), 1);

    // Another trouble is told again; and so is the same one after a good time.
    write_key(&key, &good, 0o600);
    server.look();
    server.look();
    assert_eq!(said.errors(), 2);
    std::fs::remove_file(&key).expect("removed");
    server.look();
    server.look();
    assert_eq!(said.errors(), 3);
}

#[tokio::test]
async fn a_certificate_that_is_over_is_in_the_log_once() {
    let place = Place::new();
    let said = Said::default();
    let _guard = tracing::subscriber::set_default(said.clone());
    let (cert, key) = place.authority.issue(&[], |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1));
    write(place.path(), "server.crt", &cert);
    write_key(&place.path().join("server.key"), &key, 0o600);
    let server = place.server(clock()).expect("it starts: a new one may be on its way");
    assert_eq!(said.errors(), 1);
    server.mind_the_end();
    assert_eq!(said.errors(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_trusted_until_its_certificate_ends() {
    let place = Place::new();
    let clock = clock();
    let server = place.server(clock.clone()).expect("a server");
    let until = rcgen::date_time_ymd(2100, 1, 1);
    let pair = place.authority.issue(&[CRM], |params| params.not_after = until);
    let client = place.client_with(Some(write_pair(place.path(), "client", &pair)));
    let (_, peer, trust) = shake(&server, &client, "catalog", "localhost").await.0.expect("a connection").into_parts();
    let peer = peer.expect("a certificate");
    let (watched, watching) = (peer.clone(), server.clone());
    let distrusted = tokio::spawn(async move { watching.distrusts(Some(&watched), trust).await });
    let left = until.unix_timestamp() - clock.now().timestamp();
    let hour = Duration::from_secs(3_601);
    clock.0.store(left - 60, Ordering::SeqCst);
    tokio::time::sleep(hour).await;
    clock.0.store(left - 60, Ordering::SeqCst);
    assert!(!distrusted.is_finished());
    clock.0.store(left + 60, Ordering::SeqCst);
    tokio::time::sleep(hour).await;
    distrusted.await.expect("it is over");

    assert_eq!(peer.service.as_deref(), Some("crm"));
}

#[tokio::test]
async fn a_client_is_trusted_while_one_of_the_authorities_vouches_for_it() {
    let place = Place::new();
    let server = place.server(clock()).expect("a server");
    let client = place.client(Some(CRM));
    let (_, peer, trust) = shake(&server, &client, "catalog", "localhost").await.0.expect("a connection").into_parts();
    let watching = server.clone();
    let distrusted = tokio::spawn(async move { watching.distrusts(peer.as_deref(), trust).await });

    let new = Authority::new();
    write(place.path(), "ca.crt", &(place.authority.pem() + &new.pem()));
    server.look();
    // So that it has looked.
    assert_eq!(service_of(&server, &client).await.as_deref(), Some("crm"));
    assert!(!distrusted.is_finished());
    write(place.path(), "ca.crt", &new.pem());
    server.look();
    distrusted.await.expect("it is over");
}

#[test]
fn nothing_is_made_anew_of_the_same_contents() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), "ca.crt", &Authority::new().pem());
    let made = Arc::new(Mutex::new(0));
    let count = made.clone();
    let files = super::files::Files { authorities: Some(path.clone()), ..Default::default() };
    let make = move |_| {
        *count.lock().expect("unpoisoned") += 1;
        Ok(())
    };
    let reloading = Reloading::load("it", files, Box::new(make)).expect("loaded");
    reloading.look();
    assert_eq!(*made.lock().expect("unpoisoned"), 1);
    write(folder.path(), "ca.crt", &Authority::new().pem());
    reloading.look();
    reloading.look();
    assert_eq!(*made.lock().expect("unpoisoned"), 2);
}

/// Counts what is logged as an error.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<usize>>);

impl Said {
    fn errors(&self) -> usize {
        *self.0.lock().expect("unpoisoned")
    }
}

impl tracing::Subscriber for Said {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR && metadata.target().starts_with("tenantry_rpc::tls")
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        *self.0.lock().expect("unpoisoned") += 1;
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
