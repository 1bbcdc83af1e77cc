//! The server that every service is built on, with a service whose handler does as the test says.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tenantry_api::catalog::v1::key_service_client::KeyServiceClient;
use tenantry_api::catalog::v1::key_service_server::{KeyService, KeyServiceServer};
use tenantry_api::catalog::v1::{
    GetJwksRequest, GetJwksResponse, ListSigningKeysRequest, ListSigningKeysResponse, RevokeSigningKeyRequest,
    RevokeSigningKeyResponse, RotateSigningKeyRequest, RotateSigningKeyResponse,
};
use tenantry_rpc::auth::{KeyError, KeySource, TrustedServices, Verifier, VerifierSettings, VerifyingKey};
use tenantry_rpc::client::{self, ServiceChannel};
use tenantry_rpc::server::{Contact, Mode, ServerBuilder, ServerConfig, listen};
use tenantry_rpc::{Reason, Shutdown, SystemClock, current_origin};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::support::reason;

/// A bound for what hangs, no measure of speed.
const BOUND: Duration = Duration::from_secs(60);

/// What the handler does.
#[derive(Clone)]
enum Handler {
    Answer,
    Panic,
    /// Says that it is there, and waits until it may leave.
    Wait(Gate),
    /// Counts.
    Count(Arc<AtomicUsize>),
    /// Writes down which connection a call came over. The first one waits until it may leave.
    Note(Arc<Mutex<HashSet<String>>>, Gate),
}

/// Two semaphores that begin empty.
#[derive(Clone)]
struct Gate {
    entered: Arc<Semaphore>,
    leave: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self { entered: Arc::new(Semaphore::new(0)), leave: Arc::new(Semaphore::new(0)) }
    }

    /// In the handler.
    async fn wait(&self) {
        self.entered.add_permits(1);
        self.leave.acquire().await.expect("open").forget();
    }

    /// Waits until a call is in the handler.
    async fn entered(&self) {
        self.entered.acquire().await.expect("open").forget();
    }
}

#[tonic::async_trait]
impl KeyService for Handler {
    async fn get_jwks(&self, _: Request<GetJwksRequest>) -> Result<Response<GetJwksResponse>, Status> {
        match self {
            Handler::Answer => {}
            Handler::Count(calls) => {
                calls.fetch_add(1, Ordering::Relaxed);
            }
            Handler::Panic => panic!("as the test asked"),
            Handler::Note(connections, gate) => {
                let origin = current_origin().expect("a call from somewhere").to_string();
                let first = {
                    let mut connections = connections.lock().expect("nobody panics");
                    let first = connections.is_empty();
                    connections.insert(origin);
                    first
                };
                if first {
                    gate.wait().await;
                }
            }
            Handler::Wait(gate) => gate.wait().await,
        }
        Ok(Response::new(GetJwksResponse::default()))
    }

    async fn list_signing_keys(
        &self,
        _: Request<ListSigningKeysRequest>,
    ) -> Result<Response<ListSigningKeysResponse>, Status> {
        Err(Status::unimplemented("these tests call GetJwks"))
    }

    async fn rotate_signing_key(
        &self,
        _: Request<RotateSigningKeyRequest>,
    ) -> Result<Response<RotateSigningKeyResponse>, Status> {
        Err(Status::unimplemented("these tests call GetJwks"))
    }

    async fn revoke_signing_key(
        &self,
        _: Request<RevokeSigningKeyRequest>,
    ) -> Result<Response<RevokeSigningKeyResponse>, Status> {
        Err(Status::unimplemented("these tests call GetJwks"))
    }
}

pub(crate) struct NoKeys;

#[async_trait]
impl KeySource for NoKeys {
    async fn key(&self, _: &str) -> Result<Option<Arc<VerifyingKey>>, KeyError> {
        Ok(None)
    }
}

struct Running {
    address: String,
    channel: ServiceChannel,
    shutdown: Shutdown,
    served: JoinHandle<()>,
}

impl Running {
    async fn start(handler: Handler, change: impl FnOnce(&mut ServerConfig)) -> anyhow::Result<Self> {
        Self::start_with(handler, change, |server| server).await
    }

    async fn start_with(
        handler: Handler,
        change: impl FnOnce(&mut ServerConfig),
        more: impl FnOnce(ServerBuilder) -> ServerBuilder,
    ) -> anyhow::Result<Self> {
        let mut config = ServerConfig::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Mode::Dev);
        change(&mut config);
        let settings = VerifierSettings { issuer: "test".into(), audience: "test".into(), remembered_tokens: 10 };
        let verifier = Verifier::new(settings, Arc::new(NoKeys), TrustedServices::default(), Arc::new(SystemClock));
        let listener = listen(&config).await?;
        let server = more(ServerBuilder::new("test", config).service(KeyServiceServer::new(handler)))
            .build(Arc::new(verifier), listener)
            .await?;
        let address = format!("http://{}", server.address()?);
        let channel = client::open(&address, "test", None)?;
        let shutdown = Shutdown::new();
        let served = tokio::spawn(server.serve(shutdown.clone()));
        Ok(Self { address, channel, shutdown, served })
    }

    async fn call(&self) -> Result<Response<GetJwksResponse>, Status> {
        KeyServiceClient::new(self.channel.clone()).get_jwks(GetJwksRequest {}).await
    }

    async fn stop(self) -> anyhow::Result<()> {
        drop(self.channel);
        self.shutdown.begin();
        Ok(self.served.await?)
    }
}

#[tokio::test]
async fn the_servers_deadline_ends_a_call_with_its_reason() -> anyhow::Result<()> {
    let never = Handler::Wait(Gate::new());
    let running = Running::start(never, |config| {
        config.default_deadline_ms = 50;
        config.max_deadline_ms = 50;
    })
    .await?;
    let status = running.call().await.expect_err("a refusal");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(reason::<()>(Err(status)), Some(Reason::DeadlineExceeded));
    running.stop().await
}

#[tokio::test]
async fn a_panic_costs_its_caller_an_error_and_nobody_the_connection() -> anyhow::Result<()> {
    let running = Running::start(Handler::Panic, |_| {}).await?;
    for _ in 0..2 {
        let status = running.call().await.expect_err("a refusal");
        assert!(!status.message().contains("as the test asked"), "{status:?}");
        assert_eq!(reason::<()>(Err(status)), Some(Reason::Internal));
    }
    running.stop().await
}

#[tokio::test]
async fn what_is_over_the_limit_is_refused_at_once_and_health_is_not() -> anyhow::Result<()> {
    let gate = Gate::new();
    let running = Running::start(Handler::Wait(gate.clone()), |config| config.max_concurrent_calls = 1).await?;
    let mut first = KeyServiceClient::new(running.channel.clone());
    let first = tokio::spawn(async move { first.get_jwks(GetJwksRequest {}).await });
    gate.entered().await;
    let refused = running.call().await.expect_err("a refusal");
    assert!(refused.get_error_details().retry_info().is_some());
    assert_eq!(reason::<()>(Err(refused)), Some(Reason::Overloaded));
    let health = HealthClient::new(running.channel.clone()).check(HealthCheckRequest::default()).await?;
    assert_eq!(health.into_inner().status, 1);
    gate.leave.add_permits(1);
    first.await??;
    running.stop().await
}

/// Eight callers on one channel, which has to move time and again. A call that was under way when the first connection
/// was old enough ends over that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_when_its_connection_is_old() -> anyhow::Result<()> {
    let (connections, gate) = (Arc::new(Mutex::new(HashSet::new())), Gate::new());
    let handler = Handler::Note(Arc::clone(&connections), gate.clone());
    let running = Running::start(handler, |config| config.max_connection_age_ms = 200).await?;
    let client = KeyServiceClient::new(running.channel.clone());
    let mut first = client.clone();
    let first = tokio::spawn(async move { first.get_jwks(GetJwksRequest {}).await });
    gate.entered().await;

    let give_up = Instant::now() + BOUND;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (mut client, connections) = (client.clone(), Arc::clone(&connections));
        callers.spawn(async move {
            while connections.lock().expect("nobody panics").len() < 8 {
                client.get_jwks(GetJwksRequest {}).await?;
                anyhow::ensure!(Instant::now() < give_up, "no connection is ever too old");
            }
            anyhow::Ok(())
        });
    }
    while let Some(caller) = callers.join_next().await {
        caller??;
    }
    gate.leave.add_permits(1);
    first.await??;
    running.stop().await
}

#[tokio::test]
async fn a_call_under_way_finishes_during_the_drain_and_an_open_stream_does_not_block_it() -> anyhow::Result<()> {
    let gate = Gate::new();
    let running = Running::start(Handler::Wait(gate.clone()), |_| {}).await?;
    let mut health = HealthClient::new(running.channel.clone());
    let mut watch = health.watch(HealthCheckRequest::default()).await?.into_inner();
    assert_eq!(watch.message().await?.map(|update| update.status), Some(1));

    let mut client = KeyServiceClient::new(running.channel.clone());
    let call = tokio::spawn(async move { client.get_jwks(GetJwksRequest {}).await });
    gate.entered().await;
    running.shutdown.begin();
    assert_eq!(watch.message().await?.map(|update| update.status), Some(2), "NOT_SERVING comes first");
    gate.leave.add_permits(1);
    call.await??;

    assert!(!running.served.is_finished(), "the stream is still open");
    running.shutdown.force();
    running.served.await?;
    assert!(watch.message().await.is_err(), "the stream was cut");
    Ok(())
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented_with_a_reason() -> anyhow::Result<()> {
    let running = Running::start(Handler::Answer, |_| {}).await?;
    running.call().await?;
    let mut people = tenantry_api::crm::v1::person_service_client::PersonServiceClient::new(running.channel.clone());
    let status = people.get_person(tenantry_api::crm::v1::GetPersonRequest::default()).await.expect_err("a refusal");
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(reason::<()>(Err(status)), Some(Reason::UnknownMethod));
    running.stop().await
}

/// One that is not ready, or not there, gets no calls while another serves; and every one that serves gets its share.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_in_turn_to_every_replica_that_serves() -> anyhow::Result<()> {
    let (ready, contact) = watch::channel(Contact::Never);
    let calls: [Arc<AtomicUsize>; 3] = Default::default();
    let count = |at: usize| Handler::Count(calls[at].clone());
    let counted = || calls.each_ref().map(|calls| calls.swap(0, Ordering::Relaxed));
    let (first, second) = (Running::start(count(0), |_| ()).await?, Running::start(count(1), |_| ()).await?);
    let third = Running::start_with(count(2), |_| (), |server| server.depends_on("test.other", contact)).await?;
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let all = [&first.address, &second.address, &third.address, &format!("http://{}", nobody.local_addr()?)];
    let all = all.map(String::as_str).join(",");
    drop(nobody);
    let channel = client::open(&all, "test", None)?;
    let call_often = async |times: usize| {
        for _ in 0..times {
            KeyServiceClient::new(channel.clone()).get_jwks(GetJwksRequest {}).await?;
        }
        Ok::<_, Status>(())
    };

    call_often(20).await?;
    let [one, two, three] = counted();
    assert_eq!((one + two, three), (20, 0));
    assert!(one.abs_diff(two) <= 4, "{one} and {two}");

    // It is asked again when there is no other, and at the latest when its pause is over.
    first.stop().await?;
    call_often(5).await?;
    assert_eq!(counted(), [0, 5, 0]);
    second.stop().await?;
    call_often(5).await?;
    assert_eq!(counted(), [0, 0, 5], "it is better than nobody");
    ready.send(Contact::Kept)?;
    call_often(5).await?;
    assert_eq!(counted(), [0, 0, 5]);
    third.stop().await?;
    assert_eq!(call_often(1).await.expect_err("nobody is there").code(), Code::Unavailable);
    Ok(())
}
