//! The standard use cases: add, read, list, change, remove (AIP-131 to 135). They are written once; what a table adds
//! to them is in its [`Standard`].

use sea_orm::Condition;
use tenantry_rpc::paging::Page;
use tenantry_rpc::{Context, Error, FieldViolation};
use tenantry_tenancy::{TenantConnection, TenantDb};
use uuid::Uuid;

use super::act::{ATTEMPTS, Act, Replay};
use super::{App, CrmError};
use crate::domain::{Content, Mask, Writable};
use crate::store::table::{self, Of, Table};

/// A change of the fields in `mask` of what has this id and, if one is given, this revision.
#[derive(Debug, Clone)]
pub(crate) struct Change<T: Content> {
    pub(crate) id: T::Id,
    pub(crate) revision: Option<i64>,
    pub(crate) content: T,
    pub(crate) mask: Mask,
}

/// A table with the standard use cases, and its own rules. Each function runs in the use case's transaction; what it
/// changes it changes with [`Act`], so that it is in the audit trail.
pub(crate) trait Standard: Table<Content: Writable> {
    /// What a list is about.
    type Filter: Into<Condition> + Clone + Send + Sync;

    /// Locks what a new thing hangs on, before anything is read: what is read then is the newest.
    fn prepare(
        tx: &impl TenantConnection,
        content: &Self::Content,
    ) -> impl Future<Output = Result<(), CrmError>> + Send {
        let _ = (tx, content);
        async { Ok(()) }
    }

    /// Finds what will be changed, so that nobody else changes it meanwhile.
    fn lock(tx: &impl TenantConnection, id: Uuid) -> impl Future<Output = Result<Option<Of<Self>>, CrmError>> + Send {
        async move { Ok(table::lock::<Self>(tx, id).await?) }
    }

    /// Reads what is in other tables.
    fn complete(
        db: &impl TenantConnection,
        rows: &mut [Of<Self>],
    ) -> impl Future<Output = Result<(), CrmError>> + Send {
        let _ = (db, rows);
        async { Ok(()) }
    }

    /// Refuses what cannot stand so. `before` is what it was; a new thing was nothing.
    fn check(
        act: &Act<'_>,
        tx: &impl TenantConnection,
        content: &Self::Content,
        before: Option<&Of<Self>>,
    ) -> impl Future<Output = Result<(), CrmError>> + Send;

    fn add(
        act: &Act<'_>,
        tx: &impl TenantConnection,
        content: Self::Content,
    ) -> impl Future<Output = Result<Of<Self>, CrmError>> + Send {
        act.insert::<Self>(tx, content)
    }

    fn change(
        act: &Act<'_>,
        tx: &impl TenantConnection,
        before: &Of<Self>,
        content: Self::Content,
    ) -> impl Future<Output = Result<Of<Self>, CrmError>> + Send {
        act.update::<Self>(tx, before, content)
    }

    fn remove(
        act: &Act<'_>,
        tx: &impl TenantConnection,
        before: &Of<Self>,
    ) -> impl Future<Output = Result<(), CrmError>> + Send;
}

/// Adds a thing, once for each request id.
pub(crate) async fn create<T: Standard>(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    content: &T::Content,
    replay: &Replay,
) -> Result<Of<T>, CrmError> {
    db.transaction_with(ATTEMPTS, |tx| async move {
        let act = Act::begin(app, db, context)?;
        let prepared = T::prepare(&tx, content).await;
        if let Some(id) = act.earlier(&tx, replay).await? {
            return complete::<T>(&tx, table::find::<T>(&tx, id).await?).await;
        }
        prepared?;
        T::check(&act, &tx, content, None).await?;
        let made = T::add(&act, &tx, content.clone()).await?;
        act.remember(&tx, replay, made.uuid()).await?;
        Ok(made)
    })
    .await
}

/// One thing.
pub(crate) async fn get<T: Standard>(db: &TenantDb<'_>, id: impl Into<Uuid>) -> Result<Of<T>, CrmError> {
    let connection = db.read().await?;
    complete::<T>(&connection, table::find::<T>(&connection, id).await?).await
}

/// A page and one more, oldest entry first.
pub(crate) async fn list<T: Standard>(
    db: &TenantDb<'_>,
    filter: T::Filter,
    page: &Page,
) -> Result<Vec<Of<T>>, CrmError> {
    let connection = db.read().await?;
    let mut rows = table::page::<T>(&connection, filter.into(), page.after, page.size + 1).await?;
    T::complete(&connection, &mut rows).await?;
    Ok(rows)
}

/// Changes the named fields of what still has this revision, if one is given.
pub(crate) async fn update<T: Standard>(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    change: &Change<T::Content>,
) -> Result<Of<T>, CrmError> {
    db.transaction_with(ATTEMPTS, |tx| async move {
        let act = Act::begin(app, db, context)?;
        let before = expect::<T>(&tx, change.id.into(), change.revision).await?;
        let content = before.content.clone().with(&change.content, &change.mask);
        T::check(&act, &tx, &content, Some(&before)).await?;
        T::change(&act, &tx, &before, content).await
    })
    .await
}

/// Removes what still has this revision, if one is given.
pub(crate) async fn delete<T: Standard>(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    id: <T::Content as Content>::Id,
    revision: Option<i64>,
) -> Result<(), CrmError> {
    db.transaction_with(ATTEMPTS, |tx| async move {
        let act = Act::begin(app, db, context)?;
        let before = expect::<T>(&tx, id.into(), revision).await?;
        T::remove(&act, &tx, &before).await
    })
    .await
}

/// What will be changed by this transaction, of this revision, if one is given.
pub(super) async fn expect<T: Standard>(
    tx: &impl TenantConnection,
    id: Uuid,
    revision: Option<i64>,
) -> Result<Of<T>, CrmError> {
    let stored = complete::<T>(tx, T::lock(tx, id).await?).await?;
    if revision.is_some_and(|revision| revision != stored.revision) {
        return Err(CrmError::EtagMismatch(T::Content::THING));
    }
    Ok(stored)
}

async fn complete<T: Standard>(db: &impl TenantConnection, found: Option<Of<T>>) -> Result<Of<T>, CrmError> {
    let mut found = found.ok_or(CrmError::NotFound(T::Content::THING))?;
    T::complete(db, std::slice::from_mut(&mut found)).await?;
    Ok(found)
}

/// That a thing of this id is there, where one is named.
pub(super) async fn exists<T: Table>(
    db: &impl TenantConnection,
    id: Option<<T::Content as Content>::Id>,
) -> Result<(), CrmError> {
    match id {
        Some(id) => table::find::<T>(db, id).await?.map(drop).ok_or(CrmError::NotFound(T::Content::THING)),
        None => Ok(()),
    }
}

/// The error for a field that only the database can judge.
pub(super) fn misfit(field: &str, description: impl Into<String>) -> CrmError {
    Error::fields(vec![FieldViolation { field: field.to_owned(), description: description.into() }]).into()
}
