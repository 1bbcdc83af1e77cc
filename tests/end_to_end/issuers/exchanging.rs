//! What an issuer's token is exchanged for, and for which reason it is not.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tenantry_api::catalog::v1::{
    DeleteIssuerCompanyRequest, DeleteIssuerUserRequest, ExchangeExternalTokenRequest, ExchangeTokenRequest,
    ListEventsRequest, RemoveMemberRequest, SignOutEverywhereRequest, UpdateIssuerRequest,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Bearer, Member, Owner, fresh_email};
use tonic::Status;

use super::issuer::{Key, now, with};
use super::{CLIENT, JWT, Registered, World, with_issuer};
use crate::cut_off::until;
use crate::lifecycle::Operations;
use crate::support::{fields, reason};

with_issuer!(
    a_token_of_an_issuer_is_exchanged_for_ours,
    what_came_of_it_ends_as_any_other,
    each_way_of_being_wrong_has_its_reason,
    nobody_gets_further_than_operators_have_said,
    a_verified_address_links_a_member_once,
);

fn said(token: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap_or_default())?)?)
}

fn owners() -> Value {
    json!({ "org_id": "org_1", "sub": "owner" })
}

async fn a_token_of_an_issuer_is_exchanged_for_ours(world: &World) -> anyhow::Result<()> {
    let (owner, _) = world.with_company("Federated").await?;
    let (rs, ed) = (Key::rs(), Key::ed());
    world.issuer.publish(&[world.issuer.key.jwk("k"), rs.jwk("rs"), ed.jwk("ed")]);
    let claims = world.issuer.claims(with(&owners(), json!({ "aud": ["x", CLIENT], "nbf": now() })));
    let mut tokens = vec![world.issuer.token(owners())];
    for (key, kid) in [(rs, "rs"), (ed, "ed")] {
        tokens.push(key.sign(&json!({ "alg": key.alg(), "kid": kid }), &claims));
    }
    let user = world.user_of(&owner).await?;
    for token in &tokens {
        let answer = world.exchange(token).await?;
        let ours = said(&answer.access_token)?;
        assert_eq!((&answer.company_id, &ours["tenant"]), (&owner.company.id, &json!(owner.company.id)));
        assert_eq!((&ours["sub"], &ours["roles"]), (&json!(format!("user:{user}")), &json!(["owner"])));
        assert!(ours["sid"].is_null() && ours["exp"].as_i64() <= Some(now() + 630), "{ours}");
        let ours = Bearer(answer.access_token);
        until(world.sandbox.clients(), &ours, None).await?;
        // It stays in the one company: whoever vouches for somebody here does not for what else they belong to.
        let request = ExchangeTokenRequest { company_id: owner.company.id.clone(), ..Default::default() };
        let refused = world.sandbox.tokens()?.exchange_token(ours.request(request)).await;
        assert_eq!(reason(refused), Some(Reason::ScopeMissing));
        let request = ours.request(SignOutEverywhereRequest::default());
        let refused = world.sandbox.tokens()?.sign_out_everywhere(request).await;
        assert_eq!(reason(refused), Some(Reason::ScopeMissing));
    }
    // The company's own people see who came in by whom.
    let request = ListEventsRequest { company_id: owner.company.id.clone(), ..Default::default() };
    let events = world.sandbox.clients().events()?.list_events(owner.request(request)).await?.into_inner().events;
    let methods: Vec<_> = events.iter().filter(|event| event.kind == "user.signed_in").collect();
    assert_eq!(methods.len(), 1 + tokens.len());
    let shown = format!("{:?}", methods[0]);
    assert!(shown.contains(&world.issuer.url) && methods[0].actor == format!("user:{user}"), "{shown}");
    let kept = world.sandbox.ask_central("SELECT CAST(payload AS CHAR(4000)) FROM events").await?;
    assert!(!kept.iter().any(|payload| payload.contains("eyJ")), "no token is kept");
    Ok(())
}

async fn what_came_of_it_ends_as_any_other(world: &World) -> anyhow::Result<()> {
    let (owner, issuer) = world.with_company("Ending").await?;
    let member = Member::invited_by(&world.sandbox, &owner, "viewer").await?;
    world.link(&issuer, "viewer'; --", &member.user_id).await?;
    let theirs = || world.issuer.token(json!({ "org_id": "org_1", "sub": "viewer'; --" }));
    // It ends with the issuer's, at the latest.
    let short = world.issuer.token(json!({ "org_id": "org_1", "sub": "viewer'; --", "exp": now() + 60 }));
    let ours = world.exchange(&short).await?;
    assert!(said(&ours.access_token)?["exp"].as_i64() <= Some(now() + 90));
    assert!(!ours.scopes.contains(&"crm.people.write".to_owned()), "a viewer's");

    let ours = Bearer(world.exchange(&theirs()).await?.access_token);
    until(world.sandbox.clients(), &ours, None).await?;
    let request = SignOutEverywhereRequest { user_id: member.user_id.clone() };
    world.sandbox.tokens()?.sign_out_everywhere(world.operator.request(request)).await?;
    until(world.sandbox.clients(), &ours, Some(Reason::TokenRevoked)).await?;

    let ours = Bearer(world.exchange(&theirs()).await?.access_token);
    until(world.sandbox.clients(), &ours, None).await?;
    let request = RemoveMemberRequest { company_id: owner.company.id.clone(), user_id: member.user_id.clone() };
    world.sandbox.memberships()?.remove_member(owner.request(request)).await?;
    assert_eq!(reason(world.exchange(&theirs()).await), Some(Reason::NoMembership));
    until(world.sandbox.clients(), &ours, Some(Reason::TokenRevoked)).await?;

    let operations = Operations::of(&world.sandbox).await?;
    let token = world.issuer.token(owners());
    operations.suspend(&owner.company.id).await?;
    assert_eq!(reason(world.exchange(&token).await), Some(Reason::TenantSuspended));
    operations.resume(&owner.company.id).await?;
    world.exchange(&token).await?;
    operations.delete(&owner.company.id).await?;
    assert_eq!(reason(world.exchange(&token).await), Some(Reason::TenantDeleted));
    operations.purge_by_force(&owner.company.id).await?;
    assert_eq!(reason(world.exchange(&token).await), Some(Reason::ExternalCompanyNotMapped));
    assert!(world.sandbox.ask_central("SELECT claim_value FROM issuer_companies").await?.is_empty());
    let refused = world.map(&issuer, "org_2", &owner.company.id).await;
    assert_eq!(reason(refused), Some(Reason::CompanyNotFound));
    Ok(())
}

/// Tokens of a good issuer with one thing wrong, and the reason.
fn broken(world: &World, other: &Key) -> Vec<(&'static str, String, Reason)> {
    let issuer = &world.issuer;
    let good = issuer.claims(owners());
    let of = |changes: Value| issuer.token(with(&owners(), changes));
    let headed = |changes: Value| issuer.key.sign(&with(&issuer.header(), changes), &good);
    let now = now();
    let token = issuer.token(owners());
    let (signed, signature) = token.rsplit_once('.').expect("parts");
    let (_, payload) = signed.split_once('.').expect("parts");
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    // With the public key as a shared secret, as those do who know it.
    let public = issuer.key.jwk("k").to_string();
    let mac = |text: &str| {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, public.as_bytes());
        URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, text.as_bytes()))
    };
    let hs = format!("{}.{payload}", part(json!({ "alg": "HS256", "kid": "k" })));
    let hs = format!("{hs}.{}", mac(&hs));
    let none = format!("{}.{payload}.", part(json!({ "alg": "none" })));
    vec![
        ("unknown issuer", of(json!({ "iss": "https://localhost" })), Reason::IssuerUnknown),
        ("a slash more", of(json!({ "iss": format!("{}/", issuer.url) })), Reason::IssuerUnknown),
        ("a space more", of(json!({ "iss": format!("{} ", issuer.url) })), Reason::IssuerUnknown),
        ("NUL", of(json!({ "iss": "https://\u{0}" })), Reason::IssuerUnknown),
        ("no issuer", of(json!({ "iss": null })), Reason::ExternalTokenInvalid),
        ("another audience", of(json!({ "aud": "https://api.example" })), Reason::ExternalTokenAudience),
        ("no audience", of(json!({ "aud": null })), Reason::ExternalTokenAudience),
        ("expired", of(json!({ "iat": now - 700, "exp": now - 31 })), Reason::ExternalTokenExpired),
        ("nbf", of(json!({ "nbf": now + 100 })), Reason::ExternalTokenNotYetValid),
        ("iat", of(json!({ "iat": now + 100 })), Reason::ExternalTokenNotYetValid),
        ("too old", of(json!({ "iat": now - 3_700 })), Reason::ExternalTokenTooOld),
        ("no end", of(json!({ "exp": null })), Reason::ExternalTokenInvalid),
        ("alg none", none, Reason::ExternalTokenAlgorithm),
        ("HS256 with the public key", hs, Reason::ExternalTokenAlgorithm),
        ("RS256 of an ES256 key", headed(json!({ "alg": "RS256" })), Reason::ExternalTokenAlgorithm),
        ("unknown kid", headed(json!({ "kid": "other" })), Reason::ExternalTokenKeyUnknown),
        ("no kid", headed(json!({ "kid": null })), Reason::ExternalTokenKeyUnknown),
        (
            "jwk",
            other.sign(&with(&issuer.header(), json!({ "jwk": other.jwk("k") })), &good),
            Reason::ExternalTokenEmbeddedKey,
        ),
        ("jku", headed(json!({ "jku": "https://localhost/keys" })), Reason::ExternalTokenEmbeddedKey),
        ("x5c", headed(json!({ "x5c": ["MII"] })), Reason::ExternalTokenEmbeddedKey),
        ("x5u", headed(json!({ "x5u": "https://localhost/" })), Reason::ExternalTokenEmbeddedKey),
        ("crit", headed(json!({ "crit": ["exp"] })), Reason::ExternalTokenCritical),
        ("another's key", other.sign(&issuer.header(), &good), Reason::ExternalTokenInvalid),
        (
            "other claims",
            format!("{}.{}.{signature}", part(issuer.header()), part(with(&good, json!({ "sub": "x" })))),
            Reason::ExternalTokenInvalid,
        ),
        ("no signature", format!("{signed}."), Reason::ExternalTokenInvalid),
        ("no token", "eyJ".to_owned(), Reason::ExternalTokenInvalid),
        ("too long", of(json!({ "x": "x".repeat(16_384) })), Reason::ExternalTokenInvalid),
        ("no company", of(json!({ "org_id": null })), Reason::ExternalCompanyNotMapped),
        ("another company", of(json!({ "org_id": "ORG_1" })), Reason::ExternalCompanyNotMapped),
        ("a company and a space", of(json!({ "org_id": "org_1 " })), Reason::ExternalCompanyNotMapped),
        ("two companies", of(json!({ "org_id": ["org_1"] })), Reason::ExternalCompanyNotMapped),
        ("a company with NUL", of(json!({ "org_id": "org_1\u{0}" })), Reason::ExternalCompanyNotMapped),
        ("no user", of(json!({ "sub": "" })), Reason::ExternalUserNotLinked),
        ("another user", of(json!({ "sub": "Owner" })), Reason::ExternalUserNotLinked),
        ("a user and a space", of(json!({ "sub": "owner " })), Reason::ExternalUserNotLinked),
        (
            "a user by e-mail",
            of(json!({ "sub": "x", "email": "a@b.c", "email_verified": true })),
            Reason::ExternalUserNotLinked,
        ),
    ]
}

async fn each_way_of_being_wrong_has_its_reason(world: &World) -> anyhow::Result<()> {
    let (_, issuer) = world.with_company("Careful").await?;
    let other = Key::es();
    for (what, token, expected) in broken(world, &other) {
        let refused = world.exchange(&token).await.expect_err(what);
        assert_eq!(tenantry_rpc::reason_of(&refused), Some(expected), "{what}: {refused:?}");
        assert!(!refused.message().contains(&token), "{what} was told its own token");
    }
    let ask = async |token: &str, kind: &str, audiences: &[&str]| {
        let request = ExchangeExternalTokenRequest {
            subject_token: token.into(),
            subject_token_type: kind.into(),
            audiences: audiences.iter().map(|name| (*name).to_owned()).collect(),
        };
        world.sandbox.tokens().expect("a client").exchange_external_token(request).await
    };
    let good = world.issuer.token(owners());
    assert_eq!(fields(ask("", "jwt", &["migrator"]).await), ["subject_token", "subject_token_type", "audiences"]);
    let access = "urn:ietf:params:oauth:token-type:access_token";
    assert_eq!(fields(ask(&good, access, &[]).await), ["subject_token_type"]);
    let id_token = "urn:ietf:params:oauth:token-type:id_token";
    let ours = ask(&format!(" {good}\n"), id_token, &["crm"]).await?.into_inner().access_token;
    assert_eq!(said(&ours)?["aud"], json!(["crm"]));
    // Ours are not exchanged, and theirs open nothing.
    assert_eq!(reason(ask(&ours, JWT, &[]).await), Some(Reason::IssuerUnknown));
    until(world.sandbox.clients(), &Bearer(good.clone()), Some(Reason::TokenInvalid)).await?;

    let disable = async |disabled: bool| {
        let changed = Registered { id: issuer.clone(), disabled, ..Default::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["disabled".into()] });
        let request = UpdateIssuerRequest { issuer: Some(changed), update_mask };
        world.issuers().update_issuer(world.operator.request(request)).await
    };
    disable(true).await?;
    assert_eq!(reason(world.exchange(&good).await), Some(Reason::IssuerDisabled));
    disable(false).await?;
    world.exchange(&good).await?;
    Ok(())
}

async fn nobody_gets_further_than_operators_have_said(world: &World) -> anyhow::Result<()> {
    let (owner, issuer) = world.with_company("One").await?;
    let other = Owner::of_new_company(&world.sandbox, "Other").await?;
    world.map(&issuer, "org_2", &other.company.id).await?;
    // Mapped, and the user is somebody, and not there.
    let there = world.issuer.token(json!({ "org_id": "org_2", "sub": "owner" }));
    assert_eq!(reason(world.exchange(&there).await), Some(Reason::NoMembership));
    // Another issuer with the same words is another issuer.
    let second = super::Issuer::start(None).await?;
    let registered = Registered { issuer_url: second.url.clone(), ..world.registration() };
    let registered = world.register(registered).await?.id;
    let theirs = second.token(owners());
    assert_eq!(reason(world.exchange(&theirs).await), Some(Reason::ExternalCompanyNotMapped));
    world.map(&registered, "org_1", &owner.company.id).await?;
    assert_eq!(reason(world.exchange(&theirs).await), Some(Reason::ExternalUserNotLinked));
    // One that signs in the first one's name is not heard.
    let forged = second.key.sign(&second.header(), &world.issuer.claims(owners()));
    assert_eq!(reason(world.exchange(&forged).await), Some(Reason::ExternalTokenInvalid));

    let request = DeleteIssuerUserRequest { issuer_id: issuer.clone(), subject: "owner".into() };
    world.issuers().delete_issuer_user(world.operator.request(request)).await?;
    let token = world.issuer.token(owners());
    assert_eq!(reason(world.exchange(&token).await), Some(Reason::ExternalUserNotLinked));
    let request = DeleteIssuerCompanyRequest { issuer_id: issuer, claim_value: "org_1".into() };
    world.issuers().delete_issuer_company(world.operator.request(request)).await?;
    assert_eq!(reason(world.exchange(&token).await), Some(Reason::ExternalCompanyNotMapped));
    Ok(())
}

async fn a_verified_address_links_a_member_once(world: &World) -> anyhow::Result<()> {
    let owner = Owner::of_new_company(&world.sandbox, "Addressed").await?;
    let outsider = Owner::of_new_company(&world.sandbox, "Outside").await?;
    let issuer = world.register(Registered { link_by_verified_email: true, ..world.registration() }).await?.id;
    world.map(&issuer, "org_1", &owner.company.id).await?;
    let with_email = |subject: &str, email: &str, verified: Value| {
        let claims = json!({ "org_id": "org_1", "sub": subject, "email": email, "email_verified": verified });
        world.issuer.token(claims)
    };
    let refusals = [
        with_email("u1", &owner.email, json!(false)),
        with_email("u1", &owner.email, json!("true")),
        with_email("u1", &owner.email, json!(null)),
        with_email("u1", &outsider.email, json!(true)),
        with_email("u1", &fresh_email(), json!(true)),
        with_email("u1", "no address", json!(true)),
    ];
    for token in &refusals {
        assert_eq!(reason(world.exchange(token).await), Some(Reason::ExternalUserNotLinked));
    }
    assert_eq!(world.events("issuer.user_linked").await?, 0);
    // Several at once make one link.
    let token = with_email("u1", &owner.email.to_uppercase(), json!(true));
    let all: [Result<_, Status>; 4] =
        tokio::join!(world.exchange(&token), world.exchange(&token), world.exchange(&token), world.exchange(&token))
            .into();
    for answer in all {
        assert_eq!(answer?.company_id, owner.company.id);
    }
    assert_eq!(world.events("issuer.user_linked").await?, 1);
    // Whoever gets the address next is somebody else; who was linked goes on, whatever their address is.
    let next = with_email("u2", &owner.email, json!(true));
    assert_eq!(reason(world.exchange(&next).await), Some(Reason::ExternalUserNotLinked));
    world.exchange(&with_email("u1", "new@example.com", json!(false))).await?;
    // Nor by an address into a company that the issuer is not for.
    let elsewhere = json!({ "org_id": "org_9", "sub": "u3", "email": outsider.email, "email_verified": true });
    let refused = world.exchange(&world.issuer.token(elsewhere)).await;
    assert_eq!(reason(refused), Some(Reason::ExternalCompanyNotMapped));
    Ok(())
}
