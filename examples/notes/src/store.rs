//! The table of the plugin's set. Both functions ask for a [`TenantConnection`], so neither can be pointed at another
//! company's database.

use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{Condition, IntoActiveModel, QueryOrder, QuerySelect};
use tenantry_tenancy::{SchemaRange, TenancyError, TenantConnection};

/// The versions of the plugin's set that this service works with.
pub const SCHEMA: SchemaRange = SchemaRange { oldest: "m20261101_000100_notes", newest: "m20261101_000100_notes" };

#[allow(unreachable_pub)] // The derive wants its model public.
pub(crate) mod note {
    use chrono::{DateTime, Utc};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "notes")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub text: String,
        pub author_id: Uuid,
        pub written_at: DateTime<Utc>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn put(db: &impl TenantConnection, note: note::Model) -> Result<(), TenancyError> {
    let columns = [note::Column::Text, note::Column::AuthorId, note::Column::WrittenAt];
    let replace = OnConflict::column(note::Column::Id).update_columns(columns).to_owned();
    note::Entity::insert(note.into_active_model()).on_conflict(replace).exec_without_returning(db).await?;
    Ok(())
}

/// At most `limit` after this id.
pub(crate) async fn list(
    db: &impl TenantConnection,
    after: Option<Uuid>,
    limit: u64,
) -> Result<Vec<note::Model>, TenancyError> {
    let filter = Condition::all().add_option(after.map(|after| note::Column::Id.gt(after)));
    let query = note::Entity::find().filter(filter).order_by_asc(note::Column::Id).limit(limit);
    Ok(query.all(db).await?)
}
