use std::sync::Mutex;

use super::super::SigningKey;
use super::*;

/// A catalog whose keys a test sets.
#[derive(Default)]
struct Shelf {
    keys: Mutex<Vec<JwkMembers>>,
    is_away: Mutex<bool>,
    fetches: AtomicU64,
}

#[async_trait]
impl KeyFetch for Shelf {
    async fn fetch(&self) -> Result<Vec<JwkMembers>, KeyError> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
        if *self.is_away.lock().unwrap() { Err(KeyError("away".into())) } else { Ok(self.keys.lock().unwrap().clone()) }
    }
}

impl Shelf {
    fn put(&self, kids: &[&str]) {
        let jwk = |kid: &&str| SigningKey::from_pkcs8(*kid, &SigningKey::generate().unwrap()).unwrap().public().clone();
        let mut keys = self.keys.lock().unwrap();
        keys.retain(|jwk| kids.contains(&jwk.kid.as_str()));
        let new: Vec<_> = kids.iter().filter(|kid| !keys.iter().any(|jwk| jwk.kid == **kid)).map(jwk).collect();
        keys.extend(new);
    }

    fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }
}

fn cache() -> (Arc<Shelf>, Arc<KeyCache>) {
    let shelf = Arc::new(Shelf::default());
    (shelf.clone(), Arc::new(KeyCache::new(shelf, KeyCacheConfig::default())))
}

async fn has(cache: &KeyCache, kid: &str) -> bool {
    cache.key(kid).await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_who_need_the_same_new_key_make_one_fetch() {
    let (shelf, cache) = cache();
    shelf.put(&["one"]);
    let asking: Vec<_> = (0..60)
        .map(|_| {
            tokio::spawn({
                let cache = cache.clone();
                async move { has(&cache, "one").await }
            })
        })
        .collect();
    for asked in asking {
        assert!(asked.await.unwrap());
    }
    assert_eq!(shelf.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn made_up_ids_fetch_no_more_often_than_the_limit() {
    let (shelf, cache) = cache();
    shelf.put(&["one"]);
    assert!(has(&cache, "one").await);
    let begun = Instant::now();
    let mut asking = Vec::new();
    for number in 0..10_000 {
        let cache = cache.clone();
        asking.push(tokio::spawn(async move { has(&cache, &format!("made-up-{number}")).await }));
        tokio::time::sleep(Duration::from_millis(1)).await;
        // Nobody else waits for it.
        assert!(cache_knows(&asking, number));
    }
    for asked in asking {
        assert!(!asked.await.unwrap());
    }
    let most = begun.elapsed().as_millis() as u64 / 250 + 2;
    assert!(shelf.fetches() <= most, "{} fetches, and not {most}", shelf.fetches());
    assert!(has(&cache, "one").await);
}

/// At most [`WAITING`] are kept waiting, whatever comes.
fn cache_knows(asking: &[tokio::task::JoinHandle<bool>], number: usize) -> bool {
    number % 100 != 99 || asking.iter().filter(|asked| !asked.is_finished()).count() <= WAITING + 2
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_remembered_for_a_moment_and_old_keys_stay() {
    let (shelf, cache) = cache();
    shelf.put(&["one"]);
    assert!(has(&cache, "one").await);
    *shelf.is_away.lock().unwrap() = true;
    for _ in 0..50 {
        assert!(cache.key("two").await.is_err());
        assert!(has(&cache, "one").await, "what is known needs nobody");
    }
    assert_eq!(shelf.fetches(), 2);
    *shelf.is_away.lock().unwrap() = false;
    shelf.put(&["one", "two"]);
    tokio::time::advance(Duration::from_millis(500)).await;
    assert!(has(&cache, "two").await);
}

#[tokio::test(start_paused = true)]
async fn before_the_first_set_has_come_nobody_is_told_that_there_is_no_such_key() {
    let (shelf, cache) = cache();
    shelf.put(&["one"]);
    *shelf.is_away.lock().unwrap() = true;
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..3 * WAITING {
        let cache = cache.clone();
        asking.spawn(async move { cache.key(&format!("key-{number}")).await.is_err() });
    }
    while let Some(told) = asking.join_next().await {
        assert!(told.unwrap());
    }
    assert_eq!(shelf.fetches(), 1, "one found out for all");
    *shelf.is_away.lock().unwrap() = false;
    tokio::time::advance(Duration::from_millis(500)).await;
    assert!(has(&cache, "one").await);
    assert!(!has(&cache, "two").await);
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_ahead_and_a_key_that_goes_moves_the_generation() {
    let (shelf, cache) = cache();
    shelf.put(&["one"]);
    let shutdown = Shutdown::new();
    let running = tokio::spawn({
        let (cache, shutdown) = (cache.clone(), shutdown.clone());
        async move { cache.run(shutdown).await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    shelf.put(&["one", "two"]);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let fetches = shelf.fetches();
    assert!(has(&cache, "two").await);
    assert_eq!((shelf.fetches(), cache.generation()), (fetches, 0), "it was there before anybody needed it");
    shelf.put(&["two"]);
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    assert_eq!(cache.generation(), 1);
    assert!(!has(&cache, "one").await);
    shutdown.begin();
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_key_of_the_same_id_that_changed_is_another_key() {
    let (shelf, cache) = cache();
    shelf.put(&["one"]);
    cache.refresh().await.unwrap();
    cache.refresh().await.unwrap();
    assert_eq!(cache.generation(), 0);
    shelf.put(&[]);
    shelf.put(&["one"]);
    cache.refresh().await.unwrap();
    assert_eq!(cache.generation(), 1);
}
