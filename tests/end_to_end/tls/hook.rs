//! A lifecycle hook over https.

mod postgres {
    use tenantry_testkit::sandbox::Engine;

    use super::super::identities::Place;
    use super::super::secured::Secured;
    use crate::processes::serve;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_hook_is_called_by_the_catalogs_certificate() -> anyhow::Result<()> {
        let secured = Secured::on(Engine::Postgres).await?;
        secured.authority.issue(&secured.folder(), "storage")?;
        let place = Place::start(secured.folder(), |_| {}).await?;
        let mut catalog = secured.catalog()?;
        catalog.env("CATALOG_LIFECYCLE_HOOKS", format!("storage={}", place.address));
        let processes = vec![serve(catalog).await?, serve(secured.migrator()?).await?];
        secured.outside(secured.authorities(), None)?.company("Sunrise Energy").await?;
        assert_eq!(place.hook.callers(), ["service:catalog"]);
        place.stop().await?;
        secured.end(processes).await
    }
}
