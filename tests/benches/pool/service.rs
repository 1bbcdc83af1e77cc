//! The road as a service has it (token, placement, limits, handle, connection), and one read at its end.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tenantry_api::crm::v1::audit_service_client::AuditServiceClient;
use tenantry_api::crm::v1::audit_service_server::{AuditService, AuditServiceServer};
use tenantry_api::crm::v1::{ListAuditEntriesRequest, ListAuditEntriesResponse};
use tenantry_ids::CompanyId;
use tenantry_rpc::auth::{
    AccessClaims, KeyError, KeySource, SigningKey, TrustedServices, Verifier, VerifierSettings, VerifyingKey,
};
use tenantry_rpc::client::{self, ServiceChannel};
use tenantry_rpc::server::{Mode, ServerBuilder, ServerConfig, listen};
use tenantry_rpc::{Call, Clock, Shutdown, SystemClock};
use tenantry_tenancy::{
    CachedDirectory, Directory, LimitConfig, PlacementCacheConfig, PoolConfig, PoolStats, Pools, Revocations, Schema,
    SchemaRange, TenancyError, TenancyLayer, TenantCall,
};
use tenantry_testkit::actors::{Actor, Bearer};
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status};

use crate::fleet::Fleet;

/// What the databases are at.
pub(crate) const VERSION: &str = "m20260101_000000_bench";
const ISSUER: &str = "https://bench.example";

/// A service that runs, with its pools.
pub(crate) struct Service {
    pools: Arc<Pools>,
    channels: Vec<ServiceChannel>,
    tokens: Vec<String>,
    shutdown: Shutdown,
    served: JoinHandle<()>,
}

impl Service {
    /// Before the fleet, for so many clients.
    pub(crate) async fn start(fleet: Arc<Fleet>, clients: usize, pool: PoolConfig) -> anyhow::Result<Self> {
        let mut config = ServerConfig::at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Mode::Dev);
        config.remembered_tokens = fleet.tenants.len() as u64 * 2;
        let key = SigningKey::from_pkcs8("key", &SigningKey::generate()?)?;
        let tokens = fleet.tenants.iter().map(|tenant| token(&key, *tenant)).collect::<anyhow::Result<_>>()?;
        let settings = VerifierSettings {
            issuer: ISSUER.to_owned(),
            audience: "crm".to_owned(),
            remembered_tokens: config.remembered_tokens,
        };
        let public = VerifyingKey::from_jwk(key.public()).ok_or_else(|| anyhow::anyhow!("no public key"))?;
        let keys = Arc::new(OneKey(Arc::new(public)));
        let verifier = Verifier::new(settings, keys, TrustedServices::default(), Arc::new(SystemClock));

        let pools = Arc::new(Pools::new(pool));
        let placements = PlacementCacheConfig { placement_ttl_ms: 3_600_000, ..PlacementCacheConfig::default() };
        let directory: Arc<dyn Directory> = fleet;
        let directory = Arc::new(CachedDirectory::new(directory, &placements));
        let gate = Schema::Tenant(SchemaRange { oldest: VERSION, newest: VERSION });
        let revocations = Arc::new(Revocations::new());
        let tenancy = TenancyLayer::new(directory, revocations, pools.clone(), gate, &LimitConfig::default());
        let listener = listen(&config).await?;
        let server = ServerBuilder::new("crm", config).service(AuditServiceServer::new(OneRead)).layer(tenancy);
        let server = server.build(Arc::new(verifier), listener).await?;
        let address = format!("http://{}", server.address()?);
        // A few connections, as a few replicas of a front end have.
        let channels = (0..clients.div_ceil(8)).map(|_| client::open(&address, "crm", None));
        let channels = channels.collect::<Result<_, _>>()?;
        let shutdown = Shutdown::new();
        let served = tokio::spawn(server.serve(shutdown.clone()));
        Ok(Self { pools, channels, tokens, shutdown, served })
    }

    /// A request of this tenant's, by one of the clients; answered with the backend that served it.
    pub(crate) async fn read(&self, client: usize, tenant: usize) -> Result<i32, Status> {
        let channel = self.channels[client % self.channels.len()].clone();
        let request = Bearer(self.tokens[tenant].clone()).request(ListAuditEntriesRequest::default());
        let answer = AuditServiceClient::new(channel).list_audit_entries(request).await?.into_inner();
        answer.next_page_token.parse().map_err(|_| Status::internal("no backend's number"))
    }

    pub(crate) fn stats(&self) -> PoolStats {
        self.pools.stats()
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        drop(self.channels);
        self.shutdown.begin();
        self.served.await?;
        self.pools.close_all().await;
        Ok(())
    }
}

/// Answers with a row of the tenant's, and says which backend read it.
struct OneRead;

#[tonic::async_trait]
impl AuditService for OneRead {
    async fn list_audit_entries(
        &self,
        request: Request<ListAuditEntriesRequest>,
    ) -> Result<Response<ListAuditEntriesResponse>, Status> {
        let call = Call::open(request)?;
        let db = call.tenant_db()?;
        let connection = db.read().await?;
        let sql = "SELECT pg_backend_pid(), body FROM notes WHERE id = 42";
        let row = connection.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await;
        let row = row.map_err(TenancyError::from)?.ok_or_else(|| Status::internal("no row"))?;
        let backend: i32 = row.try_get_by_index(0).map_err(TenancyError::from)?;
        Ok(Response::new(ListAuditEntriesResponse { next_page_token: backend.to_string(), ..Default::default() }))
    }
}

struct OneKey(Arc<VerifyingKey>);

#[async_trait]
impl KeySource for OneKey {
    async fn key(&self, _: &str) -> Result<Option<Arc<VerifyingKey>>, KeyError> {
        Ok(Some(self.0.clone()))
    }
}

fn token(key: &SigningKey, tenant: CompanyId) -> anyhow::Result<String> {
    let now = SystemClock.now().timestamp();
    let claims: AccessClaims = serde_json::from_value(serde_json::json!({
        "iss": ISSUER, "aud": ["crm"], "sub": "user:0192f0c1-7e57-7000-8000-000000000001", "client_id": "bench",
        "iat": now, "exp": now + 7_200, "jti": tenant.to_string(), "sid": "0192f0c1-7e57-7000-8000-000000000003",
        "tenant": tenant.to_string(), "access_epoch": 1, "roles": ["member"], "scope": "crm.audit.read",
    }))?;
    Ok(key.sign_access(&claims)?)
}
