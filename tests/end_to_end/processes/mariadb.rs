//! Three processes on MariaDB.

use tenantry_testkit::sandbox::Engine;

use super::{Deployment, postgres};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_processes_do_the_whole_tour() -> anyhow::Result<()> {
    postgres::whole_tour(Deployment::on(Engine::MariaDb)?).await
}
