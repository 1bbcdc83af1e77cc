//! Calls that nobody has worked on.
//!
//! A server that moves its clients elsewhere (GOAWAY) names the last call that it takes, and answers those. What was sent
//! after that one, or still waits in hyper's queue for the connection, fails at the client, which is told that nobody has
//! seen it (RFC 9113, sections 6.8 and 8.7). Such a call is made again over the next connection, as gRPC's other clients do
//! (transparent retries in <https://github.com/grpc/proposal/blob/master/A6-client-retries.md>), and so is one whose
//! connection was gone before it, at the next address.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use http::{Request, Response};
use http_body::Frame;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::transport::Channel;
use tower::{Service, ServiceExt};

use super::connection::Over;
use super::places::Places;
use crate::layers::deadline::grpc_timeout;

/// How often a call is tried at most. A new connection may be told to go away as soon as it is there.
const ATTEMPTS: usize = 4;
/// Bytes of a call that are kept until it is answered. What is longer is made once.
const MAX_KEPT_BYTES: usize = 1024 * 1024;

/// Makes calls again that nobody has worked on.
#[derive(Clone)]
pub(crate) struct Unsent(Places);

impl Unsent {
    pub(super) fn again(places: Places) -> Self {
        Self(places)
    }
}

impl Service<Request<Body>> for Unsent {
    type Response = Response<Body>;
    type Error = StdError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, StdError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        // Which channel is to be ready, its call says.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(made(self.0.clone(), request))
    }
}

/// The call at the next place, for as long as its caller waits.
async fn made(places: Places, request: Request<Body>) -> Result<Response<Body>, StdError> {
    match grpc_timeout(request.headers()) {
        Some(limit) => match timeout(limit, made_somewhere(places, request)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(Box::new(Status::deadline_exceeded("nobody answered within the call's deadline"))),
        },
        None => made_somewhere(places, request).await,
    }
}

async fn made_somewhere(places: Places, request: Request<Body>) -> Result<Response<Body>, StdError> {
    let (head, body) = request.into_parts();
    let mut message = Message { kept: Vec::new(), rest: body };
    let mut attempt = 0;
    loop {
        attempt += 1;
        let (place, channel) = places.connected().await?;
        let (lent, back) = Lent::new(message);
        let error = match send(channel, Request::from_parts(head.clone(), Body::new(lent))).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let is_over = is_caused_by(&*error, |cause| cause.is::<Over>());
        if is_over {
            places.mark_lost(&place);
        }
        if attempt == ATTEMPTS || !(is_over || is_caused_by(&*error, is_unseen)) {
            return Err(error);
        }
        let Ok(whole) = back.await else { return Err(error) };
        message = whole;
    }
}

async fn send(mut channel: Channel, request: Request<Body>) -> Result<Response<Body>, StdError> {
    Ok(channel.ready().await?.call(request).await?)
}

fn is_caused_by(error: &(dyn Error + 'static), is_it: impl Fn(&(dyn Error + 'static)) -> bool) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if is_it(error) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// By hyper's sign for a request that it still has, or by the server's word.
fn is_unseen(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
        || error.downcast_ref::<h2::Error>().is_some_and(is_disowned)
}

/// A call after the last one that the server takes, or one that it refuses before it looks at it. A connection that breaks
/// is neither.
fn is_disowned(error: &h2::Error) -> bool {
    let reason = error.reason();
    error.is_remote()
        && (error.is_go_away() && reason == Some(Reason::NO_ERROR)
            || error.is_reset() && reason == Some(Reason::REFUSED_STREAM))
}

/// What a call says: what was read of it already, and what was not.
struct Message {
    kept: Vec<Bytes>,
    rest: Body,
}

/// A message that comes back whole when the call is over, if it is not too long.
struct Lent {
    message: Message,
    /// So many of the kept parts were read this time.
    read: usize,
    room: usize,
    back: Option<oneshot::Sender<Message>>,
}

impl Lent {
    fn new(message: Message) -> (Self, oneshot::Receiver<Message>) {
        let (back, returned) = oneshot::channel();
        let room = MAX_KEPT_BYTES - message.kept.iter().map(Bytes::len).sum::<usize>();
        (Self { message, read: 0, room, back: Some(back) }, returned)
    }

    fn keep(&mut self, part: &Frame<Bytes>) {
        match part.data_ref().map(|data| (data, self.room.checked_sub(data.len()))) {
            Some((data, Some(room))) if self.back.is_some() => {
                self.message.kept.push(data.clone());
                (self.read, self.room) = (self.read + 1, room);
            }
            Some(_) | None => self.forget(),
        }
    }

    /// This is the last time that it is sent.
    fn forget(&mut self) {
        self.back = None;
        self.message.kept.clear();
        self.read = 0;
    }
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(part) = self.message.kept.get(self.read).cloned() {
            self.read += 1;
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        let part = ready!(Pin::new(&mut self.message.rest).poll_frame(context));
        match &part {
            Some(Ok(part)) => self.keep(part),
            Some(Err(_)) => self.forget(),
            None => self.message.rest = Body::empty(),
        }
        Poll::Ready(part)
    }

    fn is_end_stream(&self) -> bool {
        self.read == self.message.kept.len() && self.message.rest.is_end_stream()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take() {
            let whole =
                Message { kept: std::mem::take(&mut self.message.kept), rest: std::mem::take(&mut self.message.rest) };
            // Nobody waits for it when the call was answered.
            let _ = back.send(whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    fn message(parts: &[&'static [u8]]) -> Message {
        let parts: Vec<_> = parts.iter().map(|part| Ok::<_, Status>(Frame::data(Bytes::from_static(part)))).collect();
        Message { kept: Vec::new(), rest: Body::new(StreamBody::new(futures_util::stream::iter(parts))) }
    }

    #[tokio::test]
    async fn a_message_comes_back_whole_however_much_of_it_was_read() {
        let mut message = message(&[b"one ", b"two ", b"three"]);
        for read in [0, 1, 3, 2, 4, 0] {
            let (mut lent, back) = Lent::new(message);
            for _ in 0..read {
                lent.frame().await;
            }
            drop(lent);
            message = back.await.unwrap();
        }
        let (last, _) = Lent::new(message);
        assert_eq!(last.collect().await.unwrap().to_bytes(), "one two three");
    }

    #[tokio::test]
    async fn one_that_is_too_long_is_sent_once() {
        let long: &'static [u8] = Box::leak(vec![0; MAX_KEPT_BYTES].into_boxed_slice());
        for (parts, comes_back) in [(vec![long], true), (vec![long, b"."], false)] {
            let (lent, back) = Lent::new(message(&parts));
            lent.collect().await.unwrap();
            assert_eq!(back.await.is_ok(), comes_back);
        }
    }
}
