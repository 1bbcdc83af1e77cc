//! Hears of every change to tenants, and tells the cache and the revocations.

use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use tenantry_api::catalog::v1::tenant_directory_service_client::TenantDirectoryServiceClient;
use tenantry_api::catalog::v1::watch_tenants_response::Event;
use tenantry_api::catalog::v1::{Revocation, TenantChange, WatchTenantsRequest, WatchTenantsResponse};
use tenantry_ids::IdSource;
use tenantry_rpc::Shutdown;
use tenantry_rpc::client::ServiceChannel;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, timeout};
use tonic::{Status, Streaming};

use crate::directory::Change;
use crate::grpc_directory::{limits, maintenance_retry, plugins, state};
use crate::{CachedDirectory, ConfigError, Directory, Revocations};

/// How long the directory may take to begin a stream.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// A stream that is silent for so many heartbeats is dead.
const MISSED_HEARTBEATS: u32 = 3;

/// How the directory's changes are followed.
#[derive(Debug, Clone, Args)]
pub struct FollowConfig {
    /// Milliseconds to wait before a stream of changes that was lost is begun anew; doubles each time.
    #[arg(long, env = "TENANTRY_FOLLOW_BACKOFF_MS", default_value_t = 100)]
    pub follow_backoff_ms: u64,
    /// The longest such wait, in milliseconds.
    #[arg(long, env = "TENANTRY_FOLLOW_MAX_BACKOFF_MS", default_value_t = 5_000)]
    pub follow_max_backoff_ms: u64,
}

impl Default for FollowConfig {
    fn default() -> Self {
        Self { follow_backoff_ms: 100, follow_max_backoff_ms: 5_000 }
    }
}

impl FollowConfig {
    /// Refuses what cannot work, before a socket opens.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.follow_backoff_ms == 0 || self.follow_backoff_ms > self.follow_max_backoff_ms {
            return Err(ConfigError::new("follow_backoff_ms must be at least 1 and at most follow_max_backoff_ms"));
        }
        Ok(())
    }

    /// The wait after so many failures in a row: half of it at least, and the rest by luck, so that those who lost the
    /// same catalog do not come back to it at once.
    fn backoff(&self, failures: u32, luck: u32) -> Duration {
        let doubled = self.follow_backoff_ms.saturating_mul(1 << failures.min(20)).min(self.follow_max_backoff_ms);
        Duration::from_millis(doubled).mul_f64(0.5 + f64::from(luck) / f64::from(u32::MAX) / 2.0)
    }
}

/// Follows the changes of tenants. Run by whoever builds the [`TenancyLayer`](crate::TenancyLayer), beside the server.
pub struct TenantFollower {
    client: TenantDirectoryServiceClient<ServiceChannel>,
    directory: Arc<CachedDirectory<Arc<dyn Directory>>>,
    revocations: Arc<Revocations>,
    ids: Arc<dyn IdSource>,
    config: FollowConfig,
    hears: watch::Sender<bool>,
    last_heard: Arc<LastHeard>,
}

/// When the directory was last heard: a change, or a heartbeat.
#[derive(Default)]
pub(crate) struct LastHeard(Mutex<Option<Instant>>);

impl LastHeard {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// How long ago that was; `None` before the first time.
    pub(crate) fn age(&self) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).map(|heard| heard.elapsed())
    }
}

/// How far a follower has come.
#[derive(Default)]
struct Progress {
    /// What a next stream goes on with; empty where it has to begin anew.
    cursor: String,
    failures: u32,
    heard: Option<Instant>,
    revocations_kept: Duration,
}

impl TenantFollower {
    /// Of the catalog behind `channel`, which carries this service's identity. `ids` is what waits are spread by.
    pub fn new(
        channel: ServiceChannel,
        directory: Arc<CachedDirectory<Arc<dyn Directory>>>,
        revocations: Arc<Revocations>,
        ids: Arc<dyn IdSource>,
        config: FollowConfig,
    ) -> Self {
        Self {
            client: TenantDirectoryServiceClient::new(channel),
            directory,
            revocations,
            ids,
            config,
            hears: watch::Sender::new(false),
            last_heard: Arc::default(),
        }
    }

    /// Whether changes are told. A stream that ends is not missed before the next one could not be begun.
    pub fn hears(&self) -> watch::Receiver<bool> {
        self.hears.subscribe()
    }

    /// When the directory was last heard, as it goes on.
    pub(crate) fn last_heard(&self) -> &Arc<LastHeard> {
        &self.last_heard
    }

    /// Follows until the shutdown begins. While there is no stream, placements are asked for again as if there were
    /// none ever.
    pub async fn run(self, shutdown: Shutdown) {
        let mut progress = Progress::default();
        while !shutdown.has_begun() {
            let ended = tokio::select! {
                ended = self.follow(&mut progress) => ended,
                () = shutdown.begun() => return,
            };
            match progress.heard.take() {
                Some(heard) => self.directory.follows_no_more(heard),
                None => drop(self.hears.send_if_modified(|hears| std::mem::replace(hears, false))),
            }
            let wait = self.config.backoff(progress.failures, self.ids.uuid().as_u128() as u32);
            progress.failures = progress.failures.saturating_add(1);
            tracing::info!(error = %ended, ?wait, "the stream of tenants' changes ended; it is begun again");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = shutdown.begun() => return,
            }
        }
    }

    /// One stream, to its end.
    async fn follow(&self, progress: &mut Progress) -> Status {
        let mut silence = START_TIMEOUT;
        let mut stream = match self.open(&progress.cursor).await {
            Ok(stream) => stream,
            Err(status) => return status,
        };
        loop {
            match timeout(silence, stream.message()).await {
                Ok(Ok(Some(message))) => silence = self.take(message, progress).await.unwrap_or(silence),
                Ok(Ok(None)) => return Status::unavailable("the stream has come to its end"),
                Ok(Err(status)) => return status,
                Err(_elapsed) => return Status::deadline_exceeded("nothing was heard for too long"),
            }
        }
    }

    async fn open(&self, cursor: &str) -> Result<Streaming<WatchTenantsResponse>, Status> {
        let request = WatchTenantsRequest { cursor: cursor.to_owned() };
        // No deadline of the call itself: that would end the stream.
        match timeout(START_TIMEOUT, self.client.clone().watch_tenants(request)).await {
            Ok(answer) => Ok(answer?.into_inner()),
            Err(_elapsed) => Err(Status::deadline_exceeded("the directory did not begin a stream")),
        }
    }

    /// Takes a message in. The first one says how long the stream may be silent.
    async fn take(&self, message: WatchTenantsResponse, progress: &mut Progress) -> Option<Duration> {
        progress.heard = Some(Instant::now());
        self.last_heard.now();
        let mut silence = None;
        match message.event {
            Some(Event::Start(start)) => {
                self.directory.follows(progress.cursor.is_empty());
                progress.failures = 0;
                self.hears.send_if_modified(|hears| !std::mem::replace(hears, true));
                progress.revocations_kept = Duration::from_secs(start.revocations_kept_seconds.unsigned_abs());
                silence = Some(Duration::from_millis(start.heartbeat_interval_ms.unsigned_abs()) * MISSED_HEARTBEATS);
            }
            Some(Event::Tenant(change)) => self.change(change).await,
            Some(Event::Revocation(revocation)) => self.revoke(revocation, progress.revocations_kept),
            Some(Event::Resync(_)) => {
                tracing::info!("changes of tenants were missed; placements are asked for again");
                self.directory.follows(true);
            }
            // What a newer catalog tells besides is nothing that this service knows what to do with.
            Some(Event::Heartbeat(_)) | None => {}
        }
        progress.cursor = message.cursor;
        silence
    }

    async fn change(&self, wire: TenantChange) {
        let Ok(tenant) = wire.company_id.parse() else { return };
        let Some(state) = state(wire.state()) else {
            // A state that this service does not know: the directory's own answer decides.
            return self.directory.refresh(tenant).await;
        };
        let change = Change {
            tenant,
            state,
            access_epoch: wire.access_epoch.unsigned_abs(),
            generation: wire.placement_generation.unsigned_abs(),
            schema_version: wire.schema_version,
            maintenance_retry: maintenance_retry(wire.maintenance_retry_seconds),
            limits: limits(wire.limits),
            plugins: plugins(wire.plugins),
        };
        self.directory.apply(change).await;
    }

    fn revoke(&self, wire: Revocation, keep: Duration) {
        let (Ok(tenant), Ok(subject), Some(before)) =
            (wire.company_id.parse(), wire.subject.parse(), wire.issued_before)
        else {
            // A sort of subject that only newer services know has no tokens here.
            return;
        };
        self.revocations.note(tenant, subject, before.seconds, keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_their_limit_and_are_spread_over_half() {
        let config = FollowConfig::default();
        assert!(config.validate().is_ok());
        assert_eq!(config.backoff(0, u32::MAX), Duration::from_millis(100));
        assert_eq!(config.backoff(0, 0), Duration::from_millis(50));
        assert_eq!(config.backoff(3, u32::MAX), Duration::from_millis(800));
        assert_eq!(config.backoff(1_000, u32::MAX), Duration::from_millis(5_000));
        assert!(FollowConfig { follow_backoff_ms: 0, ..config.clone() }.validate().is_err());
        assert!(FollowConfig { follow_max_backoff_ms: 99, ..config }.validate().is_err());
    }
}
