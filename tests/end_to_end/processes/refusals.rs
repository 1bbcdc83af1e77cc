//! What an operator is told who has forgotten a step, or wants what is not safe.

mod postgres {
    use tenantry_rpc::Reason;
    use tenantry_testkit::actors::{fresh_email, registration};
    use tenantry_testkit::process::run;
    use tenantry_testkit::sandbox::Engine;

    use crate::processes::{Deployment, serve};
    use crate::support::reason;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_unmigrated_central_database_is_refused_with_what_mends_it() -> anyhow::Result<()> {
        let deployment = Deployment::on(Engine::Postgres)?;
        for service in ["catalog", "migrator"] {
            run(deployment.generate_key(service)?).await?.success()?;
        }
        let mends = "run \"migrator migrate-central\" first";

        // There, and empty.
        let server = deployment.control().expect("a server");
        server.run(&format!("CREATE DATABASE {}", server.central())).await?;
        let refusal = run(deployment.catalog()?).await?.refusal()?;
        assert!(refusal.contains(mends), "{refusal}");
        let refusal = run(deployment.bootstrap(Some(&deployment.file("operator-credential")))?).await?.refusal()?;
        assert!(refusal.contains(mends), "{refusal}");
        assert!(!deployment.file("operator-credential").exists());

        server.run(&format!("CREATE DATABASE {}", server.migrators())).await?;
        let refusal = run(deployment.migrator()?).await?.refusal()?;
        assert!(refusal.contains(mends), "{refusal}");
        deployment.remove().await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn production_refuses_plaintext_for_the_network() -> anyhow::Result<()> {
        let deployment = Deployment::on(Engine::Postgres)?;
        for mut command in [deployment.catalog()?, deployment.migrator()?, deployment.crm_at("0.0.0.0:0")?] {
            command.args(["--mode", "production"]);
            command.env("TENANTRY_LISTEN", "0.0.0.0:0"); // The environment wins over the file.
            let refusal = run(command).await?.refusal()?;
            assert!(refusal.contains("production refuses plaintext on 0.0.0.0:0"), "{refusal}");
        }
        Ok(())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sign_up_is_closed_unless_it_is_opened() -> anyhow::Result<()> {
        let deployment = Deployment::on(Engine::Postgres)?.closed();
        deployment.prepare().await?;
        let catalog = serve(deployment.catalog()?).await?;
        let request = registration("Nobody's", &fresh_email());
        let refused = deployment.clients().companies()?.register_company(request).await;
        assert_eq!(reason(refused), Some(Reason::SignUpClosed));
        catalog.stop("TERM").await?;
        deployment.remove().await
    }
}
