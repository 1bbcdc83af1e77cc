//! What is to be seen of the catalog, as a tenant-aware service knows it.

use std::sync::{Arc, Weak};

use tenantry_rpc::server::Contact;
use tenantry_telemetry::metrics::{KeyValue, meter};
use tokio::sync::watch;

use crate::follower::LastHeard;
use crate::{CachedDirectory, Directory};

/// Has the figures of a directory's cache read, for as long as it is there.
pub(crate) fn observe_cache<D: Directory + 'static>(directory: &Arc<CachedDirectory<D>>) {
    observe_lookups(Arc::downgrade(directory));
    let directory = Arc::downgrade(directory);
    meter()
        .u64_observable_gauge("tenantry.placement.cache.entries")
        .with_unit("{placement}")
        .with_description("Placements that are known")
        .with_callback(move |observer| {
            if let Some(directory) = directory.upgrade() {
                observer.observe(directory.entries(), &[]);
            }
        })
        .build();
}

fn observe_lookups<D: Directory + 'static>(directory: Weak<CachedDirectory<D>>) {
    let [hit, miss] = ["hit", "miss"].map(|result| [KeyValue::new("tenantry.cache.result", result)]);
    meter()
        .u64_observable_counter("tenantry.placement.cache.lookups")
        .with_unit("{lookup}")
        .with_description("Placements that were looked up among those that are known")
        .with_callback(move |observer| {
            if let Some((hits, misses)) = directory.upgrade().map(|directory| directory.lookups()) {
                observer.observe(hits, &hit);
                observer.observe(misses, &miss);
            }
        })
        .build();
}

/// Has it read how long nobody has told of changes. A stream that is well is never silent for longer than a heartbeat.
pub(crate) fn observe_follower(heard: &Arc<LastHeard>) {
    let heard = Arc::downgrade(heard);
    meter()
        .f64_observable_gauge("tenantry.watch.lag")
        .with_unit("s")
        .with_description("How long ago the stream of tenants' changes was last heard")
        .with_callback(move |observer| {
            if let Some(age) = heard.upgrade().and_then(|heard| heard.age()) {
                observer.observe(age.as_secs_f64(), &[]);
            }
        })
        .build();
}

/// Has it read whether the catalog is heard.
pub(crate) fn observe_contact(contact: watch::Receiver<Contact>) {
    meter()
        .u64_observable_gauge("tenantry.control_plane.heard")
        .with_unit("{service}")
        .with_description("1 while the control plane is heard, and 0 while it is not")
        .with_callback(move |observer| {
            // Its sender is gone with the service.
            if contact.has_changed().is_ok() {
                observer.observe(u64::from(matches!(*contact.borrow(), Contact::Kept)), &[]);
            }
        })
        .build();
}
