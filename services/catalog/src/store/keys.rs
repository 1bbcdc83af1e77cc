//! Signing keys, sealed.

use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, QueryOrder};

use super::entities::signing_key;
use super::{CentralConnection, StoreError};

/// Every key whose tokens may be about, oldest first.
pub(crate) async fn list(db: &impl CentralConnection) -> Result<Vec<signing_key::Model>, StoreError> {
    Ok(signing_key::Entity::find().order_by_asc(signing_key::Column::Id).all(db.raw()).await?)
}

pub(crate) async fn insert(db: &impl CentralConnection, row: signing_key::Model) -> Result<(), StoreError> {
    let row = row.into_active_model().reset_all();
    signing_key::Entity::insert(row).exec_without_returning(db.raw()).await?;
    Ok(())
}
