//! What probes are told. All of it is set in one place, so that nothing is healthy again once the shutdown has begun.

use tokio::sync::watch;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health as HealthService, HealthServer};
use tonic_health::server::HealthReporter;

use crate::Shutdown;

/// The health service that is healthy for as long as the process answers, whoever it waits for and while it drains: what
/// a process is not ended for.
pub const PROCESS: &str = "tenantry.process";

/// What there is of another process, without which a service goes on, and cannot begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contact {
    /// Nothing yet.
    Never,
    /// It answers.
    Kept,
    /// It answered once.
    Lost,
}

/// The process that a service begins with, and its health service's name.
pub(super) struct Dependency {
    pub(super) name: &'static str,
    pub(super) contact: watch::Receiver<Contact>,
}

/// The whole server's health, by the name of nothing, and each of its services'.
pub(super) struct Health {
    reporter: HealthReporter,
    services: Vec<&'static str>,
    dependency: Option<Dependency>,
}

impl Health {
    pub(super) async fn begin(
        services: Vec<&'static str>,
        dependency: Option<Dependency>,
    ) -> (Self, HealthServer<impl HealthService>) {
        let (reporter, service) = tonic_health::server::health_reporter();
        let health = Self { reporter, services, dependency };
        health.set_one(PROCESS, true).await;
        health.show().await;
        (health, service)
    }

    /// Tells until the shutdown begins, and that it has.
    pub(super) async fn tell(mut self, shutdown: &Shutdown) {
        while !shutdown.has_begun() {
            self.show().await;
            let changed = async {
                let changes = match &mut self.dependency {
                    Some(dependency) => dependency.contact.changed().await.is_ok(),
                    None => false,
                };
                if !changes {
                    // Nobody is left to change it.
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                () = changed => {}
                () = shutdown.begun() => {}
            }
        }
        self.set(false).await;
        if let Some(dependency) = &self.dependency {
            self.set_one(dependency.name, false).await;
        }
    }

    async fn show(&self) {
        let Some(dependency) = &self.dependency else { return self.set(true).await };
        let contact = *dependency.contact.borrow();
        self.set(contact != Contact::Never).await;
        self.set_one(dependency.name, contact == Contact::Kept).await;
    }

    async fn set(&self, serving: bool) {
        for name in self.services.iter().copied().chain([""]) {
            self.set_one(name, serving).await;
        }
    }

    async fn set_one(&self, name: &str, serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        self.reporter.set_service_status(name, status).await;
    }
}
