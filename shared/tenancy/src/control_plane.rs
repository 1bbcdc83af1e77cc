//! Whether the catalog is heard, told to probes and to the log.

use std::time::Duration;

use tenantry_rpc::Shutdown;
use tenantry_rpc::server::Contact;
use tokio::sync::watch;

/// The health service that tells whether the catalog is heard. The service itself stays in rotation without it.
pub const CONTROL_PLANE: &str = "tenantry.control-plane";

/// What has to work for the catalog to be heard.
pub(crate) struct Signals {
    /// The keys of tokens could be fetched.
    pub(crate) keys: watch::Receiver<bool>,
    /// Changes of tenants are told, where there is somebody to tell them.
    pub(crate) changes: Option<watch::Receiver<bool>>,
}

impl Signals {
    fn all(&mut self) -> bool {
        let changes = self.changes.as_mut().is_none_or(|changes| *changes.borrow_and_update());
        *self.keys.borrow_and_update() && changes
    }

    /// Returns when one may have changed, and never once nobody changes any.
    async fn changed(&mut self) {
        let Self { keys, changes } = self;
        let changes = async {
            match changes {
                Some(changes) => changes.changed().await.is_ok(),
                None => false,
            }
        };
        let changed = tokio::select! {
            changed = keys.changed() => changed.is_ok(),
            true = changes => true,
        };
        if !changed {
            std::future::pending::<()>().await;
        }
    }
}

/// Tells of every change, until the shutdown begins. `staleness` is how long companies are served without the catalog.
pub(crate) async fn tell(
    mut signals: Signals,
    contact: watch::Sender<Contact>,
    staleness: Duration,
    shutdown: Shutdown,
) {
    loop {
        let before = *contact.borrow();
        let now = match (before, signals.all()) {
            (_, true) => Contact::Kept,
            (Contact::Never, false) => Contact::Never,
            (Contact::Kept | Contact::Lost, false) => Contact::Lost,
        };
        if now != before {
            match now {
                Contact::Never => {}
                Contact::Kept => tracing::info!("the control plane is heard"),
                Contact::Lost => tracing::warn!(
                    served_for = ?staleness,
                    "the control plane is not heard; companies that are known are served on, for so long since they were last confirmed"
                ),
            }
            contact.send_replace(now);
        }
        tokio::select! {
            () = signals.changed() => {}
            () = shutdown.begun() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Told {
        contact: watch::Receiver<Contact>,
        task: tokio::task::JoinHandle<()>,
        shutdown: Shutdown,
    }

    impl Told {
        fn of(keys: watch::Receiver<bool>, changes: Option<watch::Receiver<bool>>) -> Self {
            let (sender, contact) = watch::channel(Contact::Never);
            let shutdown = Shutdown::new();
            let signals = Signals { keys, changes };
            let task = tokio::spawn(super::tell(signals, sender, Duration::from_secs(1), shutdown.clone()));
            Self { contact, task, shutdown }
        }

        /// After everybody has had a turn.
        async fn now(&self) -> Contact {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            *self.contact.borrow()
        }
    }

    #[tokio::test]
    async fn both_have_to_work_and_what_was_heard_once_is_lost() {
        let ((keys, keys_seen), (changes, changes_seen)) = (watch::channel(false), watch::channel(false));
        let told = Told::of(keys_seen, Some(changes_seen));
        assert_eq!(told.now().await, Contact::Never);
        keys.send_replace(true);
        assert_eq!(told.now().await, Contact::Never);
        keys.send_replace(false);
        changes.send_replace(true);
        assert_eq!(told.now().await, Contact::Never);
        keys.send_replace(true);
        assert_eq!(told.now().await, Contact::Kept);
        changes.send_replace(false);
        assert_eq!(told.now().await, Contact::Lost);
        changes.send_replace(true);
        assert_eq!(told.now().await, Contact::Kept);
        drop(changes);
        keys.send_replace(false);
        assert_eq!(told.now().await, Contact::Lost);
        drop(keys);
        assert_eq!(told.now().await, Contact::Lost);
        told.shutdown.begin();
        told.task.await.unwrap();
    }

    #[tokio::test]
    async fn where_nobody_tells_of_changes_the_keys_are_enough() {
        let (keys, seen) = watch::channel(true);
        let told = Told::of(seen, None);
        assert_eq!(told.now().await, Contact::Kept);
        keys.send_replace(false);
        assert_eq!(told.now().await, Contact::Lost);
        keys.send_replace(true);
        assert_eq!(told.now().await, Contact::Kept);
    }
}
