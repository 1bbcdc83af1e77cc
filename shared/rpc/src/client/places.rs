//! Where a service is: every address of its names, each with a connection of its own, in turn.
//!
//! As gRPC's `round_robin` over its `dns` resolver
//! (<https://github.com/grpc/grpc/blob/master/doc/load-balancing.md>): addresses that could not be connected to, or whose
//! server does not serve, are left alone for a while, longer each time, unless there is no other.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout};
use tonic::ConnectError;
use tonic::codegen::StdError;
use tonic::transport::Channel;

use super::connection::{Connection, connection};
use super::target::Target;

/// How old what is known of a name may be. Kubernetes keeps its own answers for 30 seconds.
const RESOLVE_EVERY: Duration = Duration::from_secs(10);
/// How soon a name is asked for again where nobody was at its addresses.
const RESOLVE_AGAIN: Duration = Duration::from_secs(1);
/// How long an answer may take.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an address where nobody serves is left alone at first, and at most.
const PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Finds the addresses of a target's name.
pub(super) type Resolve = Box<dyn Fn(&Target) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Where one service is.
#[derive(Clone)]
pub(crate) struct Places(Arc<Inner>);

struct Inner {
    targets: Vec<Target>,
    resolve: Resolve,
    known: Mutex<Known>,
    /// Whether somebody asks already.
    asking: AtomicBool,
}

#[derive(Default)]
struct Known {
    places: Vec<Place>,
    next: usize,
    resolved_at: Option<Instant>,
}

struct Place {
    target: Target,
    address: SocketAddr,
    connection: Connection,
    /// Whether there is another, so that it matters whether this one serves.
    is_asked: bool,
    pause: Duration,
    away_until: Option<Instant>,
}

/// One of the places, and the connection that it had.
pub(super) struct Picked {
    address: SocketAddr,
    connection: Connection,
    was_away: bool,
}

impl Places {
    pub(super) fn new(targets: Vec<Target>, resolve: Resolve) -> Self {
        Self(Arc::new(Inner { targets, resolve, known: Mutex::default(), asking: AtomicBool::new(false) }))
    }

    /// A connection to the next place where somebody serves, or else to one where somebody is.
    ///
    /// # Errors
    /// That of the first resolution, or the last place's, where nobody is at any.
    pub(super) async fn connected(&self) -> Result<(Picked, Channel), StdError> {
        let mut tried = Vec::new();
        let (mut somebody, mut nobody) = (None, None);
        while let Some(picked) = self.another(&tried).await? {
            match picked.connection.clone().await {
                Ok(connected) if connected.is_serving => {
                    if picked.was_away {
                        self.mark_serving(&picked);
                    }
                    return Ok((picked, connected.channel));
                }
                Ok(connected) => {
                    tried.push(picked.address);
                    self.mark_away(&picked);
                    somebody = Some((picked, connected.channel));
                }
                Err(absent) => {
                    tried.push(picked.address);
                    self.mark_away(&picked);
                    self.mark_lost(&picked);
                    nobody = Some(absent);
                }
            }
        }
        let why = || nobody.map_or("the service's name has no address".into(), StdError::from);
        Ok(somebody.ok_or_else(|| ConnectError(why()))?)
    }

    /// The place's connection is over: the next call needs another.
    pub(super) fn mark_lost(&self, picked: &Picked) {
        if let Some(place) = self.known().of(picked) {
            place.connection = place.connect();
        }
    }

    fn mark_serving(&self, picked: &Picked) {
        if let Some(place) = self.known().of(picked) {
            (place.away_until, place.pause) = (None, PAUSE);
        }
    }

    fn mark_away(&self, picked: &Picked) {
        let now = Instant::now();
        // Who waited for the same connection may have said so.
        if let Some(place) = self.known().of(picked).filter(|place| !place.is_away(now)) {
            place.away_until = Some(now + place.pause);
            place.pause = (place.pause * 2).min(MAX_PAUSE);
        }
    }

    /// A place that was not tried, though its name has to be asked for again.
    async fn another(&self, tried: &[SocketAddr]) -> Result<Option<Picked>, StdError> {
        if let Some(picked) = self.pick(tried).await? {
            return Ok(Some(picked));
        }
        let asked_at = self.known().resolved_at;
        if self.has_names() && asked_at.is_none_or(|at| Instant::now() >= at + RESOLVE_AGAIN) {
            // What is known is tried again by the next call.
            let _ = self.resolve().await;
        }
        self.pick(tried).await
    }

    async fn pick(&self, tried: &[SocketAddr]) -> Result<Option<Picked>, StdError> {
        let now = Instant::now();
        if self.known().resolved_at.is_none() {
            self.resolve().await.map_err(ConnectError)?;
        }
        let mut known = self.known();
        if known.resolved_at.is_some_and(|at| now >= at + RESOLVE_EVERY) && self.has_names() {
            self.resolve_meanwhile();
        }
        Ok(known.pick(tried, now))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_names(&self) -> bool {
        self.0.targets.iter().any(|target| target.literal().is_none())
    }

    fn resolve_meanwhile(&self) {
        if !self.0.asking.swap(true, Ordering::AcqRel) {
            let places = self.clone();
            tokio::spawn(async move {
                if let Err(error) = places.resolve().await {
                    tracing::debug!(%error, "a service's name could not be resolved again");
                    places.known().resolved_at = Some(Instant::now());
                }
                places.0.asking.store(false, Ordering::Release);
            });
        }
    }

    /// Asks for every name. One that cannot be resolved keeps the addresses that it had.
    ///
    /// # Errors
    /// There is none at all.
    async fn resolve(&self) -> Result<(), StdError> {
        let mut found: Vec<(&Target, SocketAddr)> = Vec::new();
        let mut problem = None;
        for target in &self.0.targets {
            let addresses = match self.addresses(target).await {
                Ok(addresses) => addresses,
                Err(error) => {
                    problem = Some(error);
                    self.known().addresses_of(target)
                }
            };
            for address in addresses {
                if !found.iter().any(|(_, known)| *known == address) {
                    found.push((target, address));
                }
            }
        }
        match problem.filter(|_| found.is_empty()) {
            Some(error) => Err(error),
            None => {
                self.known().become_those(&found);
                Ok(())
            }
        }
    }

    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, StdError> {
        match target.literal() {
            Some(address) => Ok(vec![address]),
            None => {
                let resolved = timeout(RESOLVE_TIMEOUT, (self.0.resolve)(target)).await;
                let resolved = resolved.unwrap_or_else(|elapsed| Err(elapsed.into()));
                Ok(resolved.map_err(|error| format!("{target} cannot be resolved: {error}"))?)
            }
        }
    }
}

impl Known {
    fn addresses_of(&self, target: &Target) -> Vec<SocketAddr> {
        self.places.iter().filter(|place| place.target.is(target)).map(|place| place.address).collect()
    }

    /// The places there are now. Those that were there keep their connections.
    fn become_those(&mut self, found: &[(&Target, SocketAddr)]) {
        self.resolved_at = Some(Instant::now());
        let mut before = std::mem::take(&mut self.places);
        for (target, address) in found {
            let kept = before.iter().position(|place| place.address == *address);
            self.places.push(match kept {
                Some(at) => before.swap_remove(at),
                None => Place::new((*target).clone(), *address, found.len() > 1),
            });
        }
    }

    /// The place that was picked, if its connection is still the same.
    fn of(&mut self, picked: &Picked) -> Option<&mut Place> {
        let is_it = |place: &&mut Place| place.address == picked.address && place.connection.ptr_eq(&picked.connection);
        self.places.iter_mut().find(is_it)
    }

    fn pick(&mut self, tried: &[SocketAddr], now: Instant) -> Option<Picked> {
        let places = self.places.len();
        let in_turn = || (0..places).map(|step| (self.next + step) % places);
        let is_untried = |at: &usize| !tried.contains(&self.places[*at].address);
        let is_there = |at: &usize| !self.places[*at].is_away(now);
        let at = in_turn().filter(is_untried).find(is_there).or_else(|| in_turn().find(is_untried))?;
        self.next = at + 1;
        Some(self.places[at].picked(now))
    }
}

impl Place {
    fn new(target: Target, address: SocketAddr, is_asked: bool) -> Self {
        let connection = connection(target.clone(), address, is_asked);
        Self { target, address, connection, is_asked, pause: PAUSE, away_until: None }
    }

    fn connect(&self) -> Connection {
        connection(self.target.clone(), self.address, self.is_asked)
    }

    fn is_away(&self, now: Instant) -> bool {
        self.away_until.is_some_and(|until| now < until)
    }

    /// Where nobody served, that is asked again when the pause is over.
    fn picked(&mut self, now: Instant) -> Picked {
        if self.away_until.take_if(|until| now >= *until).is_some() {
            self.connection = self.connect();
        }
        Picked { address: self.address, connection: self.connection.clone(), was_away: self.pause > PAUSE }
    }
}

#[cfg(test)]
mod tests;
