//! Who calls, by token and by certificate, at a server of ours: a lifecycle hook, which is the catalog's to call.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tenantry_api::lifecycle::v1::lifecycle_hook_service_client::LifecycleHookServiceClient;
use tenantry_api::lifecycle::v1::lifecycle_hook_service_server::{LifecycleHookService, LifecycleHookServiceServer};
use tenantry_api::lifecycle::v1::{
    PrepareTenantRequest, PrepareTenantResponse, RemoveTenantRequest, RemoveTenantResponse,
};
use tenantry_rpc::auth::{ServiceIdentity, TrustedServices, Verifier, VerifierSettings, create_service_key};
use tenantry_rpc::client::{self, ServiceChannel};
use tenantry_rpc::server::{Mode, ServerBuilder, ServerConfig, listen};
use tenantry_rpc::tls::{ClientTls, ClientTlsSettings, PairFiles};
use tenantry_rpc::{Call, Reason, Shutdown, SystemClock, reason_of};
use tokio::task::JoinHandle;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::pki::{Authority, identities, replace};
use crate::processes::eventually;
use crate::server::NoKeys;

/// The callers that it has had, as text.
#[derive(Clone, Default)]
pub(super) struct Hook(Arc<Mutex<Vec<String>>>);

impl Hook {
    fn called<T>(&self, request: Request<T>) -> Result<T, Status> {
        let call = Call::open(request)?;
        self.0.lock().expect("unpoisoned").push(call.context.caller().subject());
        Ok(call.body)
    }

    pub(super) fn callers(&self) -> Vec<String> {
        self.0.lock().expect("unpoisoned").clone()
    }
}

#[tonic::async_trait]
impl LifecycleHookService for Hook {
    async fn prepare_tenant(
        &self,
        request: Request<PrepareTenantRequest>,
    ) -> Result<Response<PrepareTenantResponse>, Status> {
        let company_id = self.called(request)?.company_id;
        Ok(Response::new(PrepareTenantResponse { company_id }))
    }

    async fn remove_tenant(
        &self,
        request: Request<RemoveTenantRequest>,
    ) -> Result<Response<RemoveTenantResponse>, Status> {
        let company_id = self.called(request)?.company_id;
        Ok(Response::new(RemoveTenantResponse { company_id }))
    }
}

/// The hook at work, behind TLS.
pub(super) struct Place {
    folder: PathBuf,
    pub(super) hook: Hook,
    pub(super) address: String,
    shutdown: Shutdown,
    served: JoinHandle<()>,
}

impl Place {
    /// With `ca.crt` in the folder, and the certificate of `storage`, for nobody by host name.
    pub(super) async fn start(folder: PathBuf, change: impl FnOnce(&mut ServerConfig)) -> anyhow::Result<Self> {
        let mut config = ServerConfig::at("127.0.0.1:0".parse()?, Mode::Production);
        config.tls.tls_cert_file = Some(folder.join("storage.crt"));
        config.tls.tls_key_file = Some(folder.join("storage.key"));
        config.tls.tls_client_ca_file = Some(folder.join("ca.crt"));
        config.tls.tls_service_identities =
            identities().split(',').map(str::parse).collect::<Result<_, _>>().map_err(anyhow::Error::msg)?;
        config.tls.tls_reload_interval_ms = 20;
        config.drain_grace_ms = 100;
        change(&mut config);
        let trusted = folder.join("services.json");
        let services = if trusted.exists() { TrustedServices::load(&trusted)? } else { TrustedServices::default() };
        let settings = VerifierSettings { issuer: "test".into(), audience: "storage".into(), remembered_tokens: 10 };
        let verifier = Verifier::new(settings, Arc::new(NoKeys), services, Arc::new(SystemClock));
        let (listener, hook) = (listen(&config).await?, Hook::default());
        let service = LifecycleHookServiceServer::new(hook.clone());
        let server = ServerBuilder::new("storage", config).service(service).build(Arc::new(verifier), listener).await?;
        let (address, shutdown) = (format!("https://{}", server.address()?), Shutdown::new());
        let served = tokio::spawn(server.serve(shutdown.clone()));
        Ok(Self { folder, hook, address, shutdown, served })
    }

    fn open(&self, pair: Option<PairFiles>, identity: Option<Arc<ServiceIdentity>>) -> anyhow::Result<ServiceChannel> {
        let identities = identities().split(',').map(str::parse).collect::<Result<_, _>>();
        let identities = identities.map_err(anyhow::Error::msg)?;
        let ca_file = Some(self.folder.join("ca.crt"));
        let tls = ClientTls::of_command(ClientTlsSettings { ca_file, pair, identities })?;
        Ok(client::open_with(&tls, &self.address, "storage", identity)?)
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.force();
        Ok(self.served.await?)
    }
}

/// Whether the connection was refused, and with it every call: no answer of a server's. With TLS 1.3 a client learns so
/// after the handshake, and gRPC calls it UNAVAILABLE or UNKNOWN.
fn is_refused(asked: Result<(), (Code, Option<Reason>)>) -> bool {
    matches!(asked, Err((Code::Unavailable | Code::Unknown, None)))
}

async fn ask(channel: ServiceChannel) -> Result<(), (Code, Option<Reason>)> {
    let asked = LifecycleHookServiceClient::new(channel).prepare_tenant(PrepareTenantRequest::default()).await;
    asked.map(drop).map_err(|status| (status.code(), reason_of(&status)))
}

/// An authority, its certificates of a hook and of callers, and a key for two of them.
fn folder() -> anyhow::Result<(tempfile::TempDir, Authority)> {
    let (folder, authority) = (tempfile::tempdir()?, Authority::new()?);
    replace(&folder.path().join("ca.crt"), &authority.pem())?;
    for name in ["storage", "catalog", "crm", "stranger"] {
        authority.issue(folder.path(), name)?;
    }
    for name in ["catalog", "crm"] {
        create_service_key(name, &folder.path().join(format!("{name}.pem")), &folder.path().join("services.json"))?;
    }
    Ok((folder, authority))
}

#[tokio::test]
async fn a_caller_is_whom_token_and_certificate_agree_on() -> anyhow::Result<()> {
    let (folder, authority) = folder()?;
    let at = folder.path();
    let place = Place::start(at.to_owned(), |_| {}).await?;
    let shown =
        |name: &str| Some(PairFiles { cert: at.join(format!("{name}.crt")), key: at.join(format!("{name}.key")) });
    let signed = |name: &str| {
        let identity = ServiceIdentity::load(name, &at.join(format!("{name}.pem")), Arc::new(SystemClock));
        identity.map(|identity| Some(Arc::new(identity)))
    };
    let unauthenticated = |reason| Err((Code::Unauthenticated, Some(reason)));
    let not_allowed = Err((Code::PermissionDenied, Some(Reason::CallerNotAllowed)));

    // The rightful caller, by each of its proofs.
    assert_eq!(ask(place.open(shown("catalog"), None)?).await, Ok(()));
    assert_eq!(ask(place.open(shown("catalog"), signed("catalog")?)?).await, Ok(()));
    assert_eq!(ask(place.open(None, signed("catalog")?)?).await, Ok(()));
    assert_eq!(ask(place.open(shown("stranger"), signed("catalog")?)?).await, Ok(()), "as it would without any");
    assert_eq!(place.hook.callers(), ["service:catalog"; 4]);

    // Somebody known who may not, and somebody who is two.
    assert_eq!(ask(place.open(shown("crm"), None)?).await, not_allowed);
    assert_eq!(ask(place.open(shown("crm"), signed("crm")?)?).await, not_allowed);
    for (certificate, token) in [("crm", "catalog"), ("catalog", "crm")] {
        let asked = ask(place.open(shown(certificate), signed(token)?)?).await;
        assert_eq!(asked, unauthenticated(Reason::CertificateMismatch), "{certificate} {token}");
    }
    // Nobody, from this machine too.
    assert_eq!(ask(place.open(shown("stranger"), None)?).await, unauthenticated(Reason::CertificateUnknown));
    assert_eq!(ask(place.open(None, None)?).await, unauthenticated(Reason::TokenMissing));

    // A token that is wrong is not made good by a certificate.
    for header in ["Bearer x.y.z", "Bearer", "Basic Zm9v", ""] {
        let mut request = Request::new(PrepareTenantRequest::default());
        request.metadata_mut().insert("authorization", MetadataValue::try_from(header)?);
        let asked = LifecycleHookServiceClient::new(place.open(shown("catalog"), None)?).prepare_tenant(request).await;
        let refused = asked.expect_err("a refusal");
        let wanted = if header.contains('.') { Reason::TokenInvalid } else { Reason::TokenMissing };
        assert_eq!((refused.code(), reason_of(&refused)), (Code::Unauthenticated, Some(wanted)), "{header:?}");
    }

    // What does not count ends the handshake: no call gets through, whatever its token.
    let other = Authority::new()?.issue(at, "catalog")?;
    assert!(is_refused(ask(place.open(Some(other), signed("catalog")?)?).await));
    let ended = authority.issue_with(at, "catalog", |params| {
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    })?;
    assert!(is_refused(ask(place.open(Some(ended), signed("catalog")?)?).await));
    assert_eq!(place.hook.callers().len(), 4);
    place.stop().await
}

#[tokio::test]
async fn without_a_certificate_nobody_is_let_in_where_one_is_required() -> anyhow::Result<()> {
    let (folder, _) = folder()?;
    let at = folder.path();
    let place = Place::start(at.to_owned(), |config| config.tls.tls_require_client_cert = true).await?;
    let shown = PairFiles { cert: at.join("catalog.crt"), key: at.join("catalog.key") };
    assert_eq!(ask(place.open(Some(shown), None)?).await, Ok(()));
    assert!(is_refused(ask(place.open(None, None)?).await));
    let health = HealthClient::new(place.open(None, None)?).check(HealthCheckRequest::default()).await;
    assert!(health.is_err(), "health too");
    place.stop().await
}

/// A connection that was made before its authority was taken out of the file, with a stream that never ends on it.
#[tokio::test]
async fn whose_authority_is_not_trusted_any_more_is_cut_off() -> anyhow::Result<()> {
    let (folder, _old) = folder()?;
    let at = folder.path();
    let place = Place::start(at.to_owned(), |_| {}).await?;
    let shown = PairFiles { cert: at.join("catalog.crt"), key: at.join("catalog.key") };
    let channel = place.open(Some(shown), None)?;
    assert_eq!(ask(channel.clone()).await, Ok(()));
    let mut watch = HealthClient::new(channel.clone()).watch(HealthCheckRequest::default()).await?.into_inner();
    watch.message().await?;

    let new = Authority::new()?;
    replace(&at.join("ca.crt"), &new.pem())?;
    assert!(watch.message().await.is_err(), "the stream was cut");
    assert!(is_refused(ask(channel.clone()).await));

    // With a certificate of the new one, in the same files, it is back by itself. The server's own is the old one's.
    new.issue(at, "catalog")?;
    new.issue(at, "storage")?;
    eventually("the new certificate", async || Ok(ask(channel.clone()).await.ok())).await?;
    place.stop().await
}

/// One client over one channel, and one that connects for each call, while both ends go over to another authority.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_authority_costs_a_busy_client_not_one_call() -> anyhow::Result<()> {
    let (folder, old) = folder()?;
    let at = folder.path();
    let place = Arc::new(Place::start(at.to_owned(), |config| config.drain_grace_ms = 10_000).await?);
    let shown = PairFiles { cert: at.join("catalog.crt"), key: at.join("catalog.key") };
    let (is_over, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let caller = |channel: Option<ServiceChannel>| {
        let (place, shown, is_over, calls) = (place.clone(), shown.clone(), is_over.clone(), calls.clone());
        async move {
            while !is_over.load(Ordering::SeqCst) {
                let channel = channel.clone().map_or_else(|| place.open(Some(shown.clone()), None), Ok)?;
                ask(channel).await.map_err(|(code, reason)| anyhow::anyhow!("{code:?} {reason:?}"))?;
                calls.fetch_add(1, Ordering::SeqCst);
            }
            anyhow::Ok(())
        }
    };
    let kept = place.open(Some(shown.clone()), None)?;
    let callers = [caller(Some(kept.clone())), caller(Some(kept.clone())), caller(None)].map(tokio::spawn);
    let go_on = async || {
        let before = calls.load(Ordering::SeqCst);
        let more = || calls.load(Ordering::SeqCst) >= before + 100 || callers.iter().any(JoinHandle::is_finished);
        eventually("a hundred calls", async || Ok(more().then_some(()))).await
    };
    go_on().await?;

    let (new, trusted) = (Authority::new()?, at.join("ca.crt"));
    let (of_old, of_new) = (old.issue(at, "stranger-of-old")?, new.issue(at, "stranger-of-new")?);
    let takes = async |pair: &PairFiles| {
        let health =
            HealthClient::new(place.open(Some(pair.clone()), None)?).check(HealthCheckRequest::default()).await;
        anyhow::Ok(health.is_ok())
    };
    assert!(takes(&of_old).await? && !takes(&of_new).await?);
    replace(&trusted, &(old.pem() + &new.pem()))?;
    eventually("both trusted", async || Ok(takes(&of_new).await?.then_some(()))).await?;
    go_on().await?;
    new.issue(at, "storage")?;
    new.issue(at, "catalog")?;
    // Whoever trusts the new one alone finds a server that is of it.
    let new_only = at.join("new.crt");
    replace(&new_only, &new.pem())?;
    let identities = identities().split(',').map(str::parse).collect::<Result<_, _>>();
    let settings =
        ClientTlsSettings { ca_file: Some(new_only), pair: None, identities: identities.map_err(anyhow::Error::msg)? };
    let tls = ClientTls::of_command(settings)?;
    eventually("the new one served", async || {
        let mut health = HealthClient::new(client::open_with(&tls, &place.address, "storage", None)?);
        Ok(health.check(HealthCheckRequest::default()).await.ok())
    })
    .await?;
    go_on().await?;
    is_over.store(true, Ordering::SeqCst);
    for caller in callers {
        caller.await??;
    }

    // The connection of before ends with the old one, and the next is of the new.
    replace(&trusted, &new.pem())?;
    eventually("the old one refused", async || Ok((!takes(&of_old).await?).then_some(()))).await?;
    eventually("an answer", async || Ok(ask(kept.clone()).await.ok())).await?;
    place.shutdown.force();
    Ok(())
}
