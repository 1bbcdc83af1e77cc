//! `<service> health`, which is all that an image has to ask its service with.

mod sqlite {
    use std::process::Command;

    use tenantry_rpc::server::PROCESS;
    use tenantry_tenancy::CONTROL_PLANE;
    use tenantry_testkit::process::{program, run};
    use tenantry_testkit::servers::free_in_a_row;

    use crate::processes::{Deployment, Standalone, eventually, serve};

    fn asks(service: &str, address: &str, about: &str) -> anyhow::Result<Command> {
        let mut command = program(service)?;
        command.args(["health", "--address", address, "--service", about]);
        Ok(command)
    }

    async fn is_healthy(command: Command) -> anyhow::Result<bool> {
        Ok(run(command).await?.status.success())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_running_instance_is_healthy_until_it_is_gone() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let port = free_in_a_row(3)?;
        let standalone = Standalone::started(Standalone::command(folder.path(), port)?).await?;
        let at = standalone.addresses;
        let whole = || {
            let mut command = Standalone::command(folder.path(), port)?;
            command.arg("health");
            anyhow::Ok(command)
        };
        eventually("the whole", async || Ok(is_healthy(whole()?).await?.then_some(()))).await?;
        for (service, address) in [("catalog", at.catalog), ("migrator", at.migrator), ("crm", at.crm)] {
            run(asks(service, &address.to_string(), "")?).await?.success()?;
            let everywhere = asks(service, &format!("0.0.0.0:{}", address.port()), PROCESS)?;
            run(everywhere).await?.success()?;
            let unknown = run(asks(service, &address.to_string(), "nobody")?).await?.refusal()?;
            assert!(unknown.contains("knows no health of \"nobody\""), "{unknown}");
        }
        standalone.process.stop("TERM").await?;
        let gone = run(asks("catalog", &at.catalog.to_string(), "")?).await?.refusal()?;
        assert!(gone.contains("cannot be asked: Unavailable"), "{gone}");
        assert!(!is_healthy(whole()?).await?);
        Ok(())
    }

    /// A crm that waits for the catalog takes no calls, and nothing is wrong with its process.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn who_waits_is_not_ready_and_alive() -> anyhow::Result<()> {
        let deployment = Deployment::on_files()?;
        deployment.prepare().await?;
        let crm = serve(deployment.crm()?).await?;
        let address = deployment.addresses.crm.to_string();
        for about in ["", CONTROL_PLANE] {
            let refusal = run(asks("crm", &address, about)?).await?.refusal()?;
            assert!(refusal.contains("is NOT_SERVING"), "{about}: {refusal}");
        }
        run(asks("crm", &address, PROCESS)?).await?.success()?;
        crm.stop("TERM").await.map(drop)
    }

    #[tokio::test]
    async fn an_answer_is_waited_for_only_so_long() -> anyhow::Result<()> {
        // Somebody who listens and says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
        let mut asked = asks("crm", &silent.local_addr()?.to_string(), "")?;
        asked.args(["--timeout-ms", "100"]);
        let refusal = run(asked).await?.refusal()?;
        assert!(refusal.contains("does not answer within 100 ms"), "{refusal}");
        Ok(())
    }
}
