//! How many checks there are at once, and that none ends without having cleaned up.

use std::sync::Arc;
use std::time::Duration;

use tenantry_rpc::{Context, Error, Reason, Shutdown};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

/// About as long as a check takes.
const ONE_CHECK: Duration = Duration::from_secs(2);

/// The checks under way.
pub(crate) struct DriftChecks {
    at_once: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl DriftChecks {
    pub(crate) fn new(at_once: usize) -> Self {
        let at_once = Arc::new(Semaphore::new(at_once.max(1)));
        Self { at_once, tasks: TaskTracker::new(), stop: CancellationToken::new() }
    }

    /// Does the work when it is its turn, to its end even if the caller goes away: then the work is told, by the token,
    /// that nobody waits for more than its cleaning up.
    pub(super) async fn run<T: Send + 'static, F>(
        &self,
        context: &Context,
        work: impl FnOnce(CancellationToken) -> F,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let permit = self.turn(context).await?;
        let gone = self.stop.child_token();
        let work = work(gone.clone());
        let _caller = gone.drop_guard();
        let task = async move {
            let done = work.await;
            drop(permit);
            done
        };
        self.tasks.spawn(task.in_current_span()).await.map_err(Error::internal)?
    }

    /// Waits no longer than half of what the call has left: the check itself takes time too.
    async fn turn(&self, context: &Context) -> Result<OwnedSemaphorePermit, Error> {
        let turn = tokio::time::timeout(context.remaining() / 2, self.at_once.clone().acquire_owned()).await;
        match turn {
            Ok(permit) => permit.map_err(Error::internal),
            Err(_elapsed) => {
                let message = "other checks are under way, and this one's turn would not come in time; try again";
                Err(Error::new(Reason::Overloaded, message).retry_after(ONE_CHECK))
            }
        }
    }

    /// Gives up what is under way, and waits until it has cleaned up, unless everything has to stop.
    pub(crate) async fn stop(&self, shutdown: Shutdown) {
        self.stop.cancel();
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => {}
            () = shutdown.forced() => {}
        }
    }
}
