//! TLS as an operator sets it up: services that prove themselves by certificates, certificates that are replaced while
//! they are at work, and what is refused.

mod hook;
mod identities;
mod pki;
mod refusals;
mod secured;

mod postgres {
    use tenantry_api::crm::v1::ListPeopleRequest;
    use tenantry_api::crm::v1::person_service_client::PersonServiceClient;
    use tenantry_rpc::{Reason, client};
    use tenantry_testkit::process::{program, run};
    use tenantry_testkit::sandbox::Engine;
    use tonic::Code;

    use super::secured::{SERVICES, Secured};
    use crate::clients::tour;
    use crate::support::reason;

    /// Not one service key, and nothing in plaintext.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn three_processes_know_each_other_by_certificates_alone() -> anyhow::Result<()> {
        let secured = Secured::on(Engine::Postgres).await?;
        let processes = secured.serve().await?;
        let outside = secured.outside(secured.authorities(), None)?;
        let (company, owner) = outside.company("Sunrise Energy").await?;
        outside.person(&owner).await?;

        // A user is a user whoever's certificate the call comes over, and a service's certificate is no user's token.
        let stranger = secured.authority.issue(&secured.folder(), "stranger")?;
        let another = secured.authority.issue_with(&secured.folder(), "another-catalog", |params| {
            params.subject_alt_names =
                vec![rcgen::SanType::URI(super::pki::spiffe("catalog").try_into().expect("a URI"))];
        })?;
        for pair in [stranger, another] {
            let shown = secured.outside(secured.authorities(), Some(pair.clone()))?;
            shown.person(&owner).await?;
            let listed =
                PersonServiceClient::new(shown.channel("crm")?).list_people(ListPeopleRequest::default()).await;
            let code = listed.as_ref().expect_err("a refusal").code();
            let wanted = if pair.cert.ends_with("another-catalog.crt") {
                (Code::PermissionDenied, Some(Reason::CallerNotAllowed))
            } else {
                (Code::Unauthenticated, Some(Reason::CertificateUnknown))
            };
            assert_eq!((code, reason(listed)), wanted);
        }

        // In plaintext nobody is there, on this machine either.
        for (service, port) in SERVICES.into_iter().zip(secured.ports()) {
            let plain = client::open(&format!("http://127.0.0.1:{port}"), service, None)?;
            let asked = PersonServiceClient::new(plain).list_people(ListPeopleRequest::default()).await;
            assert_eq!(tenantry_rpc::reason_of(&asked.expect_err("a refusal")), None);
        }

        // A service asks itself with what it serves with; who does not speak TLS is told nothing.
        for (service, port) in SERVICES.into_iter().zip(secured.ports()) {
            run(secured.health(service, port)?).await?.success()?;
            let mut plain = program(service)?;
            plain.args(["health", "--address", &format!("127.0.0.1:{port}")]);
            run(plain).await?.refusal()?;
        }

        // The operator's command over https, to both.
        let shown = secured.operate(&["status", &company.slug, "--json"]).await?;
        assert!(shown.contains(crate::migrations::HEAD), "{shown}");
        secured.end(processes).await
    }

    /// Python's grpcio, which verifies the host's name and shows a certificate of its own.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn python_takes_the_tour_over_mutual_tls() -> anyhow::Result<()> {
        let secured = Secured::on(Engine::Postgres).await?;
        let processes = secured.serve().await?;
        let shown = secured.authority.issue(&secured.folder(), "python")?;
        let [catalog, _, crm] = secured.ports().map(|port| format!("localhost:{port}"));
        let mut tour = tour()?;
        tour.args(["tour", &catalog, &crm]).arg(secured.authorities()).arg(shown.cert).arg(shown.key);
        let said = run(tour).await?.success()?;
        assert!(said.ends_with("the tour is over\n"), "{said}");
        secured.end(processes).await
    }
}
