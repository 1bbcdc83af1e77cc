use tonic::{Code, Status};

use super::*;

fn target(address: &str) -> Target {
    Target::parse(address, "catalog", None).expect("an address")
}

/// A name that has the addresses that are in the list at the time.
fn named(addresses: &Arc<Mutex<Vec<u16>>>) -> Places {
    let addresses = addresses.clone();
    let resolve: Resolve = Box::new(move |_| {
        let ports = addresses.lock().expect("a lock").clone();
        Box::pin(async move {
            if ports.is_empty() {
                return Err(io::Error::other("no such name"));
            }
            Ok(ports.into_iter().map(at).collect())
        })
    });
    Places::new(vec![target("http://catalog:1")], resolve)
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

async fn picked(places: &Places, tried: &[u16]) -> Option<u16> {
    let tried: Vec<_> = tried.iter().copied().map(at).collect();
    places.pick(&tried).await.expect("a resolution").map(|picked| picked.address.port())
}

/// Nobody was there.
fn failed(places: &Places, port: u16) {
    places.mark_away(&last(places, port));
}

/// Somebody was there.
fn answered(places: &Places, port: u16) {
    places.mark_serving(&last(places, port));
}

fn last(places: &Places, port: u16) -> Picked {
    let known = places.known();
    let place = known.places.iter().find(|place| place.address == at(port)).expect("a place");
    Picked { address: place.address, connection: place.connection.clone(), was_away: false }
}

async fn turns<const N: usize>(places: &Places) -> [Option<u16>; N] {
    let mut turns = [None; N];
    for turn in &mut turns {
        *turn = picked(places, &[]).await;
    }
    turns
}

#[tokio::test(start_paused = true)]
async fn places_take_turns_and_one_where_nobody_was_is_left_alone_for_longer_each_time() {
    let addresses = Arc::new(Mutex::new(vec![1, 2, 2, 3]));
    let places = named(&addresses);
    assert_eq!(turns(&places).await, [Some(1), Some(2), Some(3), Some(1)]);
    assert_eq!(picked(&places, &[2, 3]).await, Some(1));
    assert_eq!(picked(&places, &[1, 2, 3]).await, None);

    failed(&places, 2);
    assert_eq!(turns(&places).await, [Some(3), Some(1), Some(3), Some(1)]);
    assert_eq!(picked(&places, &[1, 3]).await, Some(2), "there is no other");
    tokio::time::advance(PAUSE).await;
    assert_eq!(turns(&places).await, [Some(3), Some(1), Some(2)]);
    failed(&places, 2);
    tokio::time::advance(PAUSE).await;
    assert_eq!(turns(&places).await, [Some(3), Some(1), Some(3)]);
    answered(&places, 2);
    assert_eq!(turns(&places).await, [Some(1), Some(2), Some(3)]);
    for _ in 0..9 {
        failed(&places, 2);
        tokio::time::advance(MAX_PAUSE).await;
    }
    assert!(turns::<3>(&places).await.contains(&Some(2)), "no pause is longer");
}

#[tokio::test(start_paused = true)]
async fn a_name_is_asked_for_again_by_and_by_and_when_nobody_was_there() {
    let addresses = Arc::new(Mutex::new(Vec::new()));
    let places = named(&addresses);
    assert!(places.pick(&[]).await.is_err(), "nothing is known of it");
    *addresses.lock().expect("a lock") = vec![1, 2];
    assert_eq!(turns(&places).await, [Some(1), Some(2), Some(1)]);

    *addresses.lock().expect("a lock") = vec![2, 3];
    let tried = [at(1), at(2)];
    assert!(places.another(&tried).await.expect("a resolution").is_none(), "it was asked for just now");
    tokio::time::advance(RESOLVE_AGAIN).await;
    assert_eq!(places.another(&tried).await.expect("a resolution").map(|picked| picked.address), Some(at(3)));

    addresses.lock().expect("a lock").clear();
    tokio::time::advance(RESOLVE_EVERY).await;
    assert!(picked(&places, &[]).await.is_some(), "what was known is better than nothing");
    *addresses.lock().expect("a lock") = vec![4];
    let until_seen = async {
        while picked(&places, &[2, 3]).await != Some(4) {
            tokio::time::sleep(RESOLVE_AGAIN).await;
        }
    };
    timeout(RESOLVE_EVERY * 3, until_seen).await.expect("it is asked for again");
}

/// With several names, one that cannot be resolved costs the others nothing.
#[tokio::test(start_paused = true)]
async fn a_name_that_is_not_found_keeps_what_it_had_and_the_others_go_on() {
    let down = Arc::new(AtomicBool::new(true));
    let resolve: Resolve = {
        let down = down.clone();
        Box::new(move |target| {
            let first = target.peer().port == 1;
            let found = if first && down.load(Ordering::Relaxed) {
                Err(io::Error::other("no such name"))
            } else {
                Ok(vec![at(if first { 10 } else { 20 })])
            };
            Box::pin(async move { found })
        })
    };
    let places = Places::new(vec![target("http://one:1"), target("http://two:2")], resolve);
    assert_eq!(turns(&places).await, [Some(20), Some(20)]);
    down.store(false, Ordering::Relaxed);
    places.resolve().await.expect("a resolution");
    down.store(true, Ordering::Relaxed);
    places.resolve().await.expect("a resolution");
    let mut both = turns::<2>(&places).await;
    both.sort();
    assert_eq!(both, [Some(10), Some(20)]);
}

#[tokio::test]
async fn an_address_is_no_name() {
    let resolve: Resolve = Box::new(|_| Box::pin(async { Err(io::Error::other("not to be asked")) }));
    let places = Places::new(vec![target("http://127.0.0.1:1"), target("http://[::1]:2")], resolve);
    assert_eq!(turns(&places).await, [Some(1), Some(2), Some(1)]);
}

/// As gRPC has it: UNAVAILABLE, and where.
#[tokio::test]
async fn whoever_is_not_there_is_named() {
    let said = async |address: &str, resolve: Resolve| {
        let error = Places::new(vec![target(address)], resolve).connected().await.err().expect("nobody");
        let status = Status::from_error(error);
        assert_eq!(status.code(), Code::Unavailable);
        status.message().to_owned()
    };
    let missing: Resolve = Box::new(|_| Box::pin(async { Err(io::Error::other("no such name")) }));
    assert_eq!(said("http://nosuch:1", missing).await, "nosuch:1 cannot be resolved: no such name");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let none: Resolve = Box::new(|_| Box::pin(async { Ok(Vec::new()) }));
    let refused = said(&format!("http://{free}"), none).await;
    assert!(refused.starts_with(&format!("{free} cannot be reached: Connection refused")), "{refused}");
}
