//! What operators say of issuers.

use tenantry_api::catalog::v1::{
    CreateIssuerCompanyRequest, CreateIssuerRequest, DeleteIssuerCompanyRequest, DeleteIssuerRequest,
    DeleteIssuerUserRequest, GetIssuerRequest, Issuer as Registered, IssuerAlgorithm, ListIssuerCompaniesRequest,
    ListIssuerUsersRequest, ListIssuersRequest, UpdateIssuerRequest,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Owner};
use tonic::Status;

use super::{World, with_issuer};
use crate::support::{fields, reason};

with_issuer!(
    an_issuer_is_registered_once_changed_and_removed,
    what_cannot_be_an_issuer_is_refused_field_by_field,
    values_and_subjects_are_mapped_page_by_page,
);

async fn create(world: &World, issuer: Registered, request_id: &str) -> Result<Registered, Status> {
    let request = CreateIssuerRequest { issuer: Some(issuer), request_id: request_id.to_owned() };
    Ok(world.issuers().create_issuer(world.operator.request(request)).await?.into_inner())
}

async fn update(world: &World, issuer: Registered, paths: &[&str]) -> Result<Registered, Status> {
    let paths: Vec<_> = paths.iter().map(|path| (*path).to_owned()).collect();
    let update_mask = (!paths.is_empty()).then_some(prost_types::FieldMask { paths });
    let request = UpdateIssuerRequest { issuer: Some(issuer), update_mask };
    Ok(world.issuers().update_issuer(world.operator.request(request)).await?.into_inner())
}

async fn delete(world: &World, id: &str, etag: &str) -> Result<(), Status> {
    let request = DeleteIssuerRequest { id: id.into(), etag: etag.into() };
    world.issuers().delete_issuer(world.operator.request(request)).await.map(drop)
}

async fn an_issuer_is_registered_once_changed_and_removed(world: &World) -> anyhow::Result<()> {
    let minimal = |url: &str| Registered {
        issuer_url: url.into(),
        audiences: vec!["b".into(), "a".into(), "b".into()],
        company_claim: "https://claims.example/org \"é\" 🏢".into(),
        ..Default::default()
    };
    // Five at once with one request id are one.
    let request_id = uuid::Uuid::now_v7().to_string();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let issuer = Some(minimal("https://id.example/"));
        let request = world.operator.request(CreateIssuerRequest { issuer, request_id: request_id.clone() });
        let mut issuers = world.issuers();
        calls.spawn(async move { issuers.create_issuer(request).await });
    }
    let mut made = Vec::new();
    while let Some(call) = calls.join_next().await {
        made.push(call??.into_inner());
    }
    assert!(made.windows(2).all(|two| two[0] == two[1]), "{made:?}");
    let issuer = made.remove(0);
    assert_eq!(world.events("issuer.registered").await?, 1);
    assert_eq!(
        (issuer.audiences.as_slice(), issuer.user_claim.as_str()),
        (&["a".to_owned(), "b".to_owned()][..], "sub")
    );
    assert_eq!(issuer.algorithms, [IssuerAlgorithm::Es256, IssuerAlgorithm::Rs256].map(i32::from));
    assert_eq!((issuer.max_token_age_seconds, issuer.disabled, issuer.etag.as_str()), (3_600, false, "1"));
    let other = create(world, minimal("https://else.example"), &request_id).await;
    assert_eq!(reason(other), Some(Reason::RequestIdReused));
    assert_eq!(reason(create(world, minimal("https://id.example/"), "").await), Some(Reason::IssuerExists));
    // Another text is another issuer: tokens are compared with it as it is.
    let second = create(world, minimal("https://id.example"), "").await?;

    let page = async |token: &str| {
        let request = ListIssuersRequest { page_size: 1, page_token: token.into() };
        world.issuers().list_issuers(world.operator.request(request)).await
    };
    let first = page("").await?.into_inner();
    let rest = page(&first.next_page_token).await?.into_inner();
    assert_eq!((&first.issuers[0].id, &rest.issuers[0].id), (&issuer.id, &second.id));
    assert_eq!(rest.next_page_token, "");
    assert_eq!(fields(page("x").await), ["page_token"]);

    // Only what is named changes, and only of the one that was read.
    let changed =
        Registered { audiences: vec!["c".into()], key_hosts: vec!["keys.example:8443".into()], ..issuer.clone() };
    let changed = update(world, changed, &["key_hosts"]).await?;
    assert_eq!((changed.audiences.len(), changed.key_hosts.len(), changed.etag.as_str()), (2, 1, "2"));
    let stale = Registered { disabled: true, ..issuer.clone() };
    assert_eq!(reason(update(world, stale, &["disabled"]).await), Some(Reason::EtagMismatch));
    let same = update(world, changed.clone(), &["*"]).await?;
    assert_eq!((&same, world.events("issuer.updated").await?), (&changed, 1));
    let set = Registered { id: issuer.id.clone(), max_token_age_seconds: 60, ..Default::default() };
    assert_eq!(update(world, set, &[]).await?.max_token_age_seconds, 60);
    let refused =
        update(world, Registered { user_claim: String::new(), ..changed.clone() }, &["user_claim", "issuer_url"]);
    assert_eq!(fields(refused.await), ["update_mask", "issuer.user_claim"]);

    assert_eq!(reason(delete(world, &issuer.id, "2").await), Some(Reason::EtagMismatch));
    delete(world, &issuer.id, "3").await?;
    assert_eq!(reason(delete(world, &issuer.id, "").await), Some(Reason::IssuerNotFound));
    let request = GetIssuerRequest { id: issuer.id.clone() };
    let gone = world.issuers().get_issuer(world.operator.request(request)).await;
    assert_eq!(reason(gone), Some(Reason::IssuerNotFound));
    assert_eq!(reason(update(world, changed, &["*"]).await), Some(Reason::IssuerNotFound));
    assert_eq!(world.events("issuer.removed").await?, 1);
    Ok(())
}

async fn what_cannot_be_an_issuer_is_refused_field_by_field(world: &World) -> anyhow::Result<()> {
    let good = world.registration();
    let refused = create(world, Registered::default(), "x").await;
    let all = ["request_id", "issuer.issuer_url", "issuer.issuer_url", "issuer.audiences", "issuer.company_claim"];
    assert_eq!(fields(refused), all);
    for url in
        ["http://id.example", "http://10.0.0.1/", "https://u:p@id.example", "https://id.example?q", "ftp://a", "x"]
    {
        let refused = create(world, Registered { issuer_url: url.into(), ..good.clone() }, "").await;
        assert_eq!(fields(refused), ["issuer.issuer_url"], "{url}");
    }
    let long = |characters: usize| format!("https://id.example/{}", "a".repeat(characters - 19));
    assert_eq!(
        fields(create(world, Registered { issuer_url: long(513), ..good.clone() }, "").await),
        ["issuer.issuer_url"]
    );
    create(world, Registered { issuer_url: long(512), ..good.clone() }, "").await?;
    let listed = |many: usize| (0..many).map(|at| format!("a{at}")).collect::<Vec<_>>();
    let bad = [
        (Registered { audiences: listed(11), ..good.clone() }, "issuer.audiences"),
        (Registered { audiences: vec!["a".repeat(256)], ..good.clone() }, "issuer.audiences"),
        (Registered { algorithms: vec![1, 9], ..good.clone() }, "issuer.algorithms"),
        (Registered { company_claim: " org".into(), ..good.clone() }, "issuer.company_claim"),
        (Registered { user_claim: "a".repeat(256), ..good.clone() }, "issuer.user_claim"),
        (Registered { key_hosts: listed(11), ..good.clone() }, "issuer.key_hosts"),
        (Registered { key_hosts: vec!["https://keys.example".into()], ..good.clone() }, "issuer.key_hosts"),
        (Registered { max_token_age_seconds: 59, ..good.clone() }, "issuer.max_token_age_seconds"),
        (Registered { max_token_age_seconds: 86_401, ..good.clone() }, "issuer.max_token_age_seconds"),
    ];
    for (issuer, field) in bad {
        assert_eq!(fields(create(world, issuer, "").await), [field]);
    }
    let most = Registered {
        audiences: listed(10),
        key_hosts: listed(10),
        max_token_age_seconds: 86_400,
        user_claim: "a".repeat(255),
        ..good
    };
    create(world, most, "").await?;
    Ok(())
}

async fn values_and_subjects_are_mapped_page_by_page(world: &World) -> anyhow::Result<()> {
    let (owner, issuer) = world.with_company("Mapped").await?;
    let other = Owner::of_new_company(&world.sandbox, "Other").await?;
    let (company, nobody) = (owner.company.id.as_str(), uuid::Uuid::now_v7().to_string());
    let odd = "Ø'\"; DROP TABLE issuers; -- 🏭";
    world.map(&issuer, odd, company).await?;
    world.map(&issuer, odd, company).await?;
    assert_eq!(world.events("issuer.company_mapped").await?, 2, "org_1 and the odd one, once each");
    let refused = world.map(&issuer, odd, &other.company.id).await;
    assert_eq!(reason(refused), Some(Reason::IssuerCompanyExists));
    assert_eq!(reason(world.map(&issuer, "x", &nobody).await), Some(Reason::CompanyNotFound));
    assert_eq!(reason(world.map(&nobody, "x", company).await), Some(Reason::IssuerNotFound));
    assert_eq!(fields(world.map(&issuer, &"a".repeat(256), company).await), ["claim_value"]);
    assert_eq!(fields(world.map(&issuer, " a", company).await), ["claim_value"]);
    world.map(&issuer, &"a".repeat(255), company).await?;

    let page = async |token: &str| {
        let request = ListIssuerCompaniesRequest { issuer_id: issuer.clone(), page_size: 2, page_token: token.into() };
        world.issuers().list_issuer_companies(world.operator.request(request)).await
    };
    let first = page("").await?.into_inner();
    let rest = page(&first.next_page_token).await?.into_inner();
    let values: Vec<_> =
        first.issuer_companies.iter().chain(&rest.issuer_companies).map(|row| &*row.claim_value).collect();
    assert_eq!(values, ["org_1", odd, &"a".repeat(255)]);

    let user = world.user_of(&owner).await?;
    let theirs = world.user_of(&other).await?;
    world.link(&issuer, "owner", &user).await?;
    for (subject, user) in [("owner", &theirs), ("again", &user)] {
        assert_eq!(reason(world.link(&issuer, subject, user).await), Some(Reason::IssuerUserExists));
    }
    assert_eq!(reason(world.link(&issuer, "x", &nobody).await), Some(Reason::UserNotFound));
    assert_eq!(reason(world.link(&nobody, "x", &theirs).await), Some(Reason::IssuerNotFound));
    // Of two who link the same at once to different users, one does.
    let (one, two) = tokio::join!(world.link(&issuer, odd, &theirs), world.link(&issuer, "second", &theirs));
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let request = ListIssuerUsersRequest { issuer_id: issuer.clone(), ..Default::default() };
    let users = world.issuers().list_issuer_users(world.operator.request(request)).await?.into_inner().issuer_users;
    assert_eq!((users.len(), &users[0].user_id, &users[1].user_id), (2, &user, &theirs));

    let unmap = async || {
        let request = DeleteIssuerCompanyRequest { issuer_id: issuer.clone(), claim_value: odd.into() };
        world.issuers().delete_issuer_company(world.operator.request(request)).await
    };
    unmap().await?;
    assert_eq!(reason(unmap().await), Some(Reason::IssuerCompanyNotFound));
    let request = DeleteIssuerUserRequest { issuer_id: issuer.clone(), subject: "nobody".into() };
    let refused = world.issuers().delete_issuer_user(world.operator.request(request)).await;
    assert_eq!(reason(refused), Some(Reason::IssuerUserNotFound));
    // Removed with everything under it; what companies' people may do does not change.
    delete(world, &issuer, "").await?;
    for table in ["issuer_companies", "issuer_users"] {
        assert!(world.sandbox.ask_central(&format!("SELECT issuer_id FROM {table}")).await?.is_empty(), "{table}");
    }
    let request = CreateIssuerCompanyRequest { issuer_id: issuer, claim_value: "x".into(), company_id: company.into() };
    let refused = world.issuers().create_issuer_company(owner.request(request)).await;
    assert_eq!(reason(refused), Some(Reason::CallerNotAllowed));
    Ok(())
}
