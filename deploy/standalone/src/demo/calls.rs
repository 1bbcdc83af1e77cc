//! Calls of a company's owner that are repeated for as long as that may help. Each carries an id of its own, so that a
//! repetition has no second effect.

use std::time::Duration;

use tenantry_api::catalog::v1::LoginRequest;
use tenantry_api::catalog::v1::token_service_client::TokenServiceClient;
use tenantry_rpc::client::{self, ServiceChannel};
use tenantry_rpc::{Reason, reason_of};
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt;

use super::PASSWORD;

/// The first wait where the service names none; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// A call that had no effect.
#[derive(Debug)]
pub(super) enum Failure {
    /// Refused: asking again would not help.
    Refused(Box<Status>),
    /// Put off, or without an answer, until the time was over.
    GivenUp(Box<Status>),
}

/// Repeats `call` until it is answered for good; `call` gets the deadline.
pub(super) async fn repeat<R, F>(retry_for: Duration, mut call: impl FnMut(Instant) -> F) -> Result<R, Failure>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    let deadline = Instant::now() + retry_for;
    let mut longest = FIRST_WAIT;
    loop {
        let status = match call(deadline).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) => status,
        };
        let Some(asked) = wait(&status) else { return Err(Failure::Refused(Box::new(status))) };
        let wait = asked.unwrap_or(longest);
        if Instant::now() + wait >= deadline {
            return Err(Failure::GivenUp(Box::new(status)));
        }
        tokio::time::sleep(wait).await;
        longest = (longest * 2).min(LONGEST_WAIT);
    }
}

/// Whether to ask again, and after how long if the service says so.
fn wait(status: &Status) -> Option<Option<Duration>> {
    let asked = status.get_details_retry_info().and_then(|info| info.retry_delay);
    let again = match status.code() {
        Code::Unavailable | Code::ResourceExhausted => true,
        // Not the service's word: the connection was lost on the way.
        Code::Unknown | Code::Cancelled | Code::Internal => reason_of(status).is_none(),
        Code::DeadlineExceeded => true,
        _ => asked.is_some(),
    };
    again.then_some(asked)
}

/// A company's owner, signed in.
pub(super) struct Session {
    tokens: TokenServiceClient<ServiceChannel>,
    email: String,
    company_id: String,
    retry_for: Duration,
    bearer: Mutex<String>,
}

impl Session {
    pub(super) async fn open(
        tokens: TokenServiceClient<ServiceChannel>,
        (email, company_id): (String, String),
        retry_for: Duration,
    ) -> Result<Self, Failure> {
        let session = Self { tokens, email, company_id, retry_for, bearer: Mutex::default() };
        session.renew("").await?;
        Ok(session)
    }

    /// A call with the owner's token, with a new one when its time is over.
    pub(super) async fn send<M: Clone, R, F>(
        &self,
        body: M,
        mut call: impl FnMut(Request<M>) -> F,
    ) -> Result<R, Failure>
    where
        F: Future<Output = Result<Response<R>, Status>>,
    {
        loop {
            let bearer = self.bearer.lock().await.clone();
            let header = bearer.parse().map_err(|_| no_header())?;
            let answer = repeat(self.retry_for, |deadline| {
                let mut request = client::request(body.clone(), deadline);
                request.metadata_mut().insert("authorization", tonic::metadata::MetadataValue::clone(&header));
                call(request)
            });
            match answer.await {
                Err(Failure::Refused(status)) if reason_of(&status) == Some(Reason::TokenExpired) => {
                    self.renew(&bearer).await?;
                }
                other => return other,
            }
        }
    }

    /// A new token, unless somebody else has got one in place of `old` already.
    async fn renew(&self, old: &str) -> Result<(), Failure> {
        let mut bearer = self.bearer.lock().await;
        if *bearer != old {
            return Ok(());
        }
        let login = LoginRequest {
            email: self.email.clone(),
            password: PASSWORD.to_owned(),
            company_id: self.company_id.clone(),
            audiences: vec!["crm".to_owned()],
        };
        let answer = repeat(self.retry_for, |deadline| {
            let (mut tokens, request) = (self.tokens.clone(), client::request(login.clone(), deadline));
            async move { tokens.login(request).await }
        });
        *bearer = format!("Bearer {}", answer.await?.access_token);
        Ok(())
    }
}

fn no_header() -> Failure {
    Failure::Refused(Box::new(Status::internal("the catalog's token is no header")))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tenantry_rpc::Error;

    use super::*;

    fn put_off(reason: Reason) -> Status {
        Error::new(reason, "later").retry_after(Duration::from_secs(2)).into()
    }

    #[test]
    fn what_may_help_is_repeated_after_the_time_that_was_asked_for() {
        let two = Some(Duration::from_secs(2));
        assert_eq!(wait(&put_off(Reason::RateLimited)), Some(two));
        assert_eq!(wait(&put_off(Reason::TenantInMaintenance)), Some(two));
        assert_eq!(wait(&Status::unavailable("connection refused")), Some(None));
        assert_eq!(wait(&Status::unknown("h2 protocol error")), Some(None));
        let refused = [Reason::FieldViolations, Reason::NameTaken, Reason::ScopeMissing, Reason::Internal];
        assert!(refused.into_iter().all(|reason| wait(&Error::new(reason, "no").into()).is_none()));
    }

    #[tokio::test]
    async fn a_call_is_repeated_until_it_is_answered_or_its_time_is_over() {
        let calls = Cell::new(0);
        let call = |retry_for, answer_at: u32, status: fn() -> Status| {
            calls.set(0);
            repeat(retry_for, {
                let calls = &calls;
                move |_| {
                    calls.set(calls.get() + 1);
                    let answer = if calls.get() == answer_at { Ok(Response::new(())) } else { Err(status()) };
                    async move { answer }
                }
            })
        };
        let soon = || Error::new(Reason::RateLimited, "later").retry_after(Duration::from_millis(1)).into();
        let long = Duration::from_secs(600);
        assert!(call(long, 5, soon).await.is_ok() && calls.get() == 5);
        let refused = call(long, 5, || Error::new(Reason::NameTaken, "no").into()).await;
        assert!(matches!(refused, Err(Failure::Refused(_))) && calls.get() == 1);
        // The service asks for two seconds, which there are not.
        let given_up = call(Duration::from_secs(1), 5, || put_off(Reason::RateLimited)).await;
        assert!(matches!(given_up, Err(Failure::GivenUp(_))) && calls.get() == 1);
    }
}
