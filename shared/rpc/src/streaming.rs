//! Answers that are streams: the work is a task of its own, which ends when its caller goes away, at the deadline, or
//! by itself.
//!
//! It does not run where the answers are written: a caller who does not read them would stop it there, with whatever it
//! holds, and no deadline would end it.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::{Instant, timeout_at};
use tonic::Status;
use tracing::Instrument;

use crate::Error;
use crate::layers::trace::deadline_exceeded;

/// Answers that wait for a caller who reads slowly.
const WAITING: usize = 16;

/// The answers of a call, as tonic takes them.
pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Where the work puts its answers.
#[derive(Debug)]
pub struct Answering<T>(mpsc::Sender<Result<T, Status>>);

impl<T> Answering<T> {
    /// Answers, as soon as the caller has read enough of what was answered before.
    pub async fn answer(&self, message: T) {
        // With the caller gone, so is the work, a moment later.
        let _ = self.0.send(Ok(message)).await;
    }

    /// Answers at once, or gives the message back when the caller reads too slowly.
    pub fn try_answer(&self, message: T) -> Result<(), T> {
        match self.0.try_send(Ok(message)) {
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
            Err(TrySendError::Full(message)) => message.map_or(Ok(()), Err),
        }
    }
}

/// Answers what `work` answers, and its error if it fails. What it holds is dropped at the deadline, or when the caller
/// is gone.
pub fn answers<T, F>(deadline: Instant, work: impl FnOnce(Answering<T>) -> F) -> Answers<T>
where
    T: Send + 'static,
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(WAITING);
    let work = work(Answering(sender.clone()));
    let task = async move {
        let ended = tokio::select! {
            ended = timeout_at(deadline, work) => ended.unwrap_or_else(|_elapsed| Err(deadline_exceeded())),
            () = sender.closed() => return,
        };
        if let Err(error) = ended {
            let _ = sender.send(Err(error.into())).await;
        }
    };
    let task = tokio::spawn(task.in_current_span());
    let told = stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
    let panicked = stream::once(task).filter_map(async |ended| Some(Err(Error::internal(ended.err()?).into())));
    Box::pin(told.chain(panicked))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::Reason;
    use crate::error::reason_of;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    async fn ends<T: std::fmt::Debug>(mut answers: Answers<T>) -> (usize, Option<Reason>) {
        let mut told = 0;
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(_) => told += 1,
                Err(status) => return (told, reason_of(&status)),
            }
        }
        (told, None)
    }

    #[tokio::test(start_paused = true)]
    async fn work_ends_by_itself_by_its_error_by_its_deadline_or_by_a_panic() {
        let work = async |answering: Answering<u8>, error| {
            answering.answer(1).await;
            answering.answer(2).await;
            error
        };
        assert_eq!(ends(answers(soon(), |answering| work(answering, Ok(())))).await, (2, None));
        let refused = Err(Error::new(Reason::InUse, "it is in use"));
        assert_eq!(ends(answers(soon(), |answering| work(answering, refused))).await, (2, Some(Reason::InUse)));
        let endless = answers::<u8, _>(soon(), |_| std::future::pending());
        assert_eq!(ends(endless).await, (0, Some(Reason::DeadlineExceeded)));
        let broken = answers::<u8, _>(soon(), |_| async { panic!("broken on purpose") });
        assert_eq!(ends(broken).await, (0, Some(Reason::Internal)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_who_reads_nothing_holds_nothing_after_the_deadline() {
        let held = Arc::new(());
        let inside = held.clone();
        let answers = answers(soon(), |answering: Answering<u8>| async move {
            let _inside = inside;
            loop {
                answering.answer(1).await;
            }
        });
        tokio::time::sleep(Duration::from_secs(6)).await;
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(ends(answers).await, (WAITING, Some(Reason::DeadlineExceeded)));
    }

    #[tokio::test(start_paused = true)]
    async fn work_whose_caller_is_gone_is_dropped() {
        let held = Arc::new(());
        let inside = held.clone();
        let answers = answers(soon(), |answering: Answering<u8>| async move {
            let _inside = inside;
            answering.answer(1).await;
            std::future::pending().await
        });
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&held), 2);
        drop(answers);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
