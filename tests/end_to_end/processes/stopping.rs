//! Going down while somebody listens: first nothing new, then nothing at all.

mod sqlite {
    use tenantry_rpc::client;
    use tenantry_testkit::actors::LONGEST_CALL;
    use tokio_stream::StreamExt;
    use tonic::{Request, Streaming};
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::HealthCheckResponse;
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_client::HealthClient;

    use crate::processes::Standalone;

    async fn watch(standalone: &Standalone) -> anyhow::Result<Streaming<HealthCheckResponse>> {
        let crm = client::open(&format!("http://{}", standalone.addresses.crm), "crm", None)?;
        let mut question = Request::new(HealthCheckRequest { service: "tenantry.crm.v1.PersonService".to_owned() });
        question.set_timeout(LONGEST_CALL);
        let mut watch = HealthClient::new(crm).watch(question).await?.into_inner();
        // The crm is ready when it has heard the catalog, a moment after it listens.
        while let Some(news) = watch.message().await? {
            if news.status() == ServingStatus::Serving {
                return Ok(watch);
            }
        }
        anyhow::bail!("the stream ended before the crm was ready")
    }

    async fn started(drain_grace_ms: &str) -> anyhow::Result<(tempfile::TempDir, Standalone)> {
        let folder = tempfile::tempdir()?;
        let mut command = Standalone::command(folder.path(), 0)?;
        command.args(["--drain-grace-ms", drain_grace_ms]);
        Ok((folder, Standalone::started(command).await?))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_open_stream_is_told_and_does_not_block_the_exit() -> anyhow::Result<()> {
        let (_folder, standalone) = started("500").await?;
        let mut watch = watch(&standalone).await?;
        standalone.process.stop("TERM").await?;
        // Told softly, while the connection was still there; then cut off.
        assert_eq!(watch.message().await?.map(|news| news.status()), Some(ServingStatus::NotServing));
        assert!(watch.next().await.is_none_or(|end| end.is_err()));
        Ok(())
    }

    /// The grace is so long that only the second signal can end it before the test gives up.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_second_signal_ends_the_grace() -> anyhow::Result<()> {
        let (_folder, standalone) = started("3600000").await?;
        let mut watch = watch(&standalone).await?;
        standalone.process.signal("INT")?;
        assert_eq!(watch.message().await?.map(|news| news.status()), Some(ServingStatus::NotServing));
        standalone.process.stop("INT").await.map(drop)
    }
}
