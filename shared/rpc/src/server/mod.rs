//! The server: one registration gives a service its reflection, health, access
//! rules and drain.

mod accept;
mod config;
mod health;
mod web;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Request;
use tenantry_api::DESCRIPTORS;
use tenantry_api::access::{AccessError, AccessRules};
use tenantry_telemetry::metrics;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::service::RoutesBuilder;
use tower::Service;

pub use config::{Mode, ServerConfig};
pub use health::{Contact, PROCESS};
use health::{Dependency, Health};
pub use web::{Document, Rendered};

use crate::auth::Verifier;
use crate::layers::admission::Admission;
use crate::layers::authenticate::Authenticate;
use crate::layers::deadline::DeadlineLayer;
use crate::layers::panics::Panics;
use crate::layers::trace::Trace;
use crate::layers::{Middleware, Stack};
use crate::measure::Measure;
use crate::tls::{ServerTls, TlsError};
use crate::{Shutdown, SystemClock};

/// A server that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An RPC's access rule is missing or contradicts itself.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The reflection service refuses our descriptors.
    #[error("server reflection cannot be set up")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// TLS cannot be spoken with these files.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The configuration contradicts itself or the mode.
    #[error("{0}")]
    Config(String),
}

/// Checks the configuration and takes the port. Apart from the rest, so that
/// services that need each other's addresses can all have one before any starts.
pub async fn listen(config: &ServerConfig) -> Result<TcpListener, ServerError> {
    config.validate().map_err(ServerError::Config)?;
    TcpListener::bind(config.listen).await.map_err(|source| ServerError::Bind { address: config.listen, source })
}

/// Puts a server together.
pub struct ServerBuilder {
    name: &'static str,
    config: ServerConfig,
    routes: RoutesBuilder,
    services: Vec<&'static str>,
    extra: Vec<Arc<dyn Middleware>>,
    documents: Vec<Arc<dyn Document>>,
    descriptors: Option<&'static [u8]>,
    tenant_services: Vec<String>,
    dependency: Option<Dependency>,
}

impl ServerBuilder {
    /// A server of the service `name`, with nothing registered yet.
    pub fn new(name: &'static str, config: ServerConfig) -> Self {
        Self {
            name,
            config,
            routes: RoutesBuilder::default(),
            services: Vec::new(),
            extra: Vec::new(),
            documents: Vec::new(),
            descriptors: None,
            tenant_services: Vec::new(),
            dependency: None,
        }
    }

    /// Registers a generated service.
    #[must_use]
    pub fn service<S>(mut self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = http::Response<Body>, Error = Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.services.push(S::NAME);
        self.routes.add_service(service);
        self
    }

    /// The service's own contract, as `tenantry_api::contract!` has it, where its protos are not among ours.
    #[must_use]
    pub fn descriptors(mut self, descriptors: &'static [u8]) -> Self {
        self.descriptors = Some(descriptors);
        self
    }

    /// Lets these services in wherever a rule lets in the tenant-aware ones beside ours.
    #[must_use]
    pub fn tenant_services(mut self, names: Vec<String>) -> Self {
        self.tenant_services = names;
        self
    }

    /// Adds a layer of the service's own, innermost.
    #[must_use]
    pub fn layer(mut self, layer: impl Middleware) -> Self {
        self.extra.push(Arc::new(layer));
        self
    }

    /// Has a health service of this name tell whether another process is in contact, without which this one goes on.
    /// Until it was for the first time, nothing here is healthy.
    #[must_use]
    pub fn depends_on(mut self, name: &'static str, contact: watch::Receiver<Contact>) -> Self {
        self.dependency = Some(Dependency { name, contact });
        self
    }

    /// Publishes a document by plain HTTP, beside gRPC.
    #[must_use]
    pub fn document(mut self, document: impl Document) -> Self {
        self.documents.push(Arc::new(document));
        self
    }

    /// Checks the contract, and puts everything on the port of [`listen`].
    pub async fn build(mut self, verifier: Arc<Verifier>, listener: TcpListener) -> Result<BoundServer, ServerError> {
        let rules = self.rules()?;
        let (health, service) = Health::begin(self.services.clone(), self.dependency.take()).await;
        self.routes.add_service(service);
        self.add_reflection()?;

        let config = self.config;
        let tls = ServerTls::load(&config.tls, config.mode, Arc::new(SystemClock))?.map(Arc::new);
        let mut layers: Vec<Arc<dyn Middleware>> = vec![Arc::new(web::Web::new(self.documents, rules.clone()))];
        if metrics::are_exported() {
            layers.push(Arc::new(Measure::new(self.name, &rules)));
        }
        layers.extend::<[Arc<dyn Middleware>; 5]>([
            Arc::new(Trace { service: self.name, rules: rules.clone() }),
            Arc::new(Panics),
            Arc::new(Admission::new(config.max_concurrent_calls)),
            Arc::new(DeadlineLayer {
                rules: rules.clone(),
                default: config.default_deadline(),
                longest: config.max_deadline(),
                longest_stream: config.max_stream_deadline(),
            }),
            Arc::new(Authenticate { rules, verifier }),
        ]);
        layers.extend(self.extra);
        let stack = Stack::new(layers, self.routes.routes());
        Ok(BoundServer { listener, tls, stack, health, config })
    }

    fn rules(&self) -> Result<AccessRules, AccessError> {
        let services = self.services.iter().copied();
        let mut rules = match self.descriptors {
            Some(descriptors) => AccessRules::of_services_in(descriptors, services)?,
            None => AccessRules::of_services(services)?,
        };
        rules.let_in(&self.tenant_services);
        Ok(rules)
    }

    fn add_reflection(&mut self) -> Result<(), ServerError> {
        let builder = || {
            let builder = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(self.descriptors.unwrap_or(DESCRIPTORS))
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
                // So that a client without our files can read an error's details.
                .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
                .with_service_name("grpc.health.v1.Health");
            self.services.iter().fold(builder, |builder, name| builder.with_service_name(*name))
        };
        let (v1, v1alpha) = (builder().build_v1()?, builder().build_v1alpha()?);
        self.routes.add_service(v1).add_service(v1alpha);
        Ok(())
    }
}

/// A server that has its port and is not serving yet.
pub struct BoundServer {
    listener: TcpListener,
    tls: Option<Arc<ServerTls>>,
    stack: Stack,
    health: Health,
    config: ServerConfig,
}

impl BoundServer {
    /// Where it listens; the port is the real one where 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the shutdown begins and every call under way has ended, or
    /// until it is forced. An open stream delays it no longer than that.
    pub async fn serve(self, shutdown: Shutdown) {
        let Self { listener, tls, stack, health, config } = self;
        let keep_up = async {
            if let Some(tls) = &tls {
                tls.clone().keep_up(shutdown.clone()).await;
            }
        };
        tokio::join!(health.tell(&shutdown), keep_up, accept::serve(listener, tls.clone(), stack, &config, &shutdown));
    }
}
