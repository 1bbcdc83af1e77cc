//! Changing what a company is called and how it is labelled.

use serde_json::json;
use tenantry_ids::CompanyId;
use tenantry_rpc::{Context, Error};

use super::App;
use super::attempt::{Attempt, repeat};
use super::companies::{CompanyView, not_found, slug_taken, some, with_steps};
use super::lifecycle::{expect_revision, refused, save, standing};
use crate::domain::{Action, CompanyName, Labels, Limits, Slug, transition};
use crate::store::entities::company;
use crate::store::{changes, companies};

/// The new values; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    pub(crate) name: Option<CompanyName>,
    pub(crate) slug: Option<Slug>,
    pub(crate) labels: Option<Labels>,
    /// Empty takes it away.
    pub(crate) plan: Option<String>,
    /// Empty takes it away.
    pub(crate) region: Option<String>,
    pub(crate) limits: Option<Limits>,
}

/// Changes a company that still has this revision, if one is given.
pub(crate) async fn update(
    app: &App,
    context: &Context,
    id: CompanyId,
    revision: Option<i64>,
    changes: &Changes,
) -> Result<CompanyView, Error> {
    let actor = context.caller().subject();
    let company = repeat(|| attempt(app, &actor, id, revision, changes)).await?;
    app.changes.wake();
    with_steps(app, company).await
}

async fn attempt(
    app: &App,
    actor: &str,
    id: CompanyId,
    revision: Option<i64>,
    changes: &Changes,
) -> Result<company::Model, Attempt> {
    let tx = app.db.begin().await?;
    let before = companies::find(&tx, id).await?.ok_or_else(not_found)?;
    expect_revision(&before, revision)?;
    transition(Action::Update, standing(&before)).map_err(refused)?;
    let after = changes.applied_to(&before);
    if after == before {
        return Ok(before);
    }
    if after.slug != before.slug && companies::find_by_slug(&tx, &after.slug).await?.is_some() {
        return Err(slug_taken().into());
    }
    let payload = json!({ "before": described(&before), "after": described(&after) });
    let limits_may_differ = (before.own_limits(), &before.plan) != (after.own_limits(), &after.plan);
    let saved = save(app, &tx, (&before, after), (Action::Update, payload), actor).await?;
    if limits_may_differ {
        changes::append(&tx, [id], app.now()).await?;
    }
    tx.commit().await?;
    Ok(saved)
}

impl Changes {
    fn applied_to(&self, before: &company::Model) -> company::Model {
        let text = |new: &Option<String>, old: &Option<String>| match new {
            Some(new) => some(new),
            None => old.clone(),
        };
        let limits = self.limits.unwrap_or_else(|| before.own_limits());
        company::Model {
            name: self.name.as_ref().map_or_else(|| before.name.clone(), |name| name.as_str().to_owned()),
            slug: self.slug.as_ref().map_or_else(|| before.slug.clone(), |slug| slug.as_str().to_owned()),
            labels: self.labels.as_ref().map_or_else(|| before.labels.clone(), Labels::to_json),
            plan: text(&self.plan, &before.plan),
            region: text(&self.region, &before.region),
            own_requests_per_second: limits.requests_per_second,
            own_concurrent_requests: limits.concurrent_requests,
            own_connections: limits.connections,
            ..before.clone()
        }
    }
}

fn described(company: &company::Model) -> serde_json::Value {
    json!({
        "name": company.name, "slug": company.slug, "labels": company.labels, "plan": company.plan,
        "region": company.region, "limits": company.own_limits().to_json(),
    })
}
