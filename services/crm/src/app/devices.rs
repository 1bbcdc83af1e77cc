//! Devices, and whose they are. Who changes that locks the device first, so its history has no gap and no overlap.

use tenantry_ids::{DeviceId, PersonId};
use tenantry_rpc::Context;
use tenantry_rpc::paging::Page;
use tenantry_tenancy::{TenantConnection, TenantDb};

use super::act::ATTEMPTS;
use super::standard::{exists, expect, misfit};
use super::{Act, App, CrmError, Standard};
use crate::domain::{Details, Device, Stored};
use crate::store::assignments::{self, Assignment};
use crate::store::device_details;
use crate::store::devices::{self, DeviceFilter, Devices};
use crate::store::manufacturers::Manufacturers;
use crate::store::people::People;
use crate::store::places::Places;
use crate::store::tariffs::Tariffs;

impl Standard for Devices {
    type Filter = DeviceFilter;

    async fn complete(db: &impl TenantConnection, rows: &mut [Stored<Device>]) -> Result<(), CrmError> {
        Ok(device_details::fill(db, rows).await?)
    }

    async fn check(
        _: &Act<'_>,
        tx: &impl TenantConnection,
        device: &Device,
        before: Option<&Stored<Device>>,
    ) -> Result<(), CrmError> {
        if before.is_some_and(|before| before.content.details.kind() != device.details.kind()) {
            return Err(misfit("device.details", "must be of the kind that the device is"));
        }
        exists::<Manufacturers>(tx, Some(device.manufacturer_id)).await?;
        exists::<Places>(tx, device.place_id).await?;
        if let Details::Meter(meter) = &device.details {
            exists::<Tariffs>(tx, meter.tariff_id).await?;
        }
        match devices::is_taken(tx, device, before.map(|before| before.id)).await? {
            true => Err(CrmError::SerialTaken),
            false => Ok(()),
        }
    }

    async fn add(act: &Act<'_>, tx: &impl TenantConnection, device: Device) -> Result<Stored<Device>, CrmError> {
        exists::<People>(tx, device.person_id).await?;
        let device = act.insert::<Devices>(tx, device).await?;
        device_details::insert(tx, &device).await?;
        if let Some(person) = device.content.person_id {
            assignments::insert(tx, act.new_id(), (device.id, person), act.now).await?;
        }
        Ok(device)
    }

    async fn change(
        act: &Act<'_>,
        tx: &impl TenantConnection,
        before: &Stored<Device>,
        device: Device,
    ) -> Result<Stored<Device>, CrmError> {
        let device = act.update::<Devices>(tx, before, device).await?;
        device_details::replace(tx, &device).await?;
        Ok(device)
    }

    async fn remove(act: &Act<'_>, tx: &impl TenantConnection, before: &Stored<Device>) -> Result<(), CrmError> {
        act.delete::<Devices>(tx, before).await
    }
}

/// Gives a device that still has this revision, if one is given, to a person or to nobody.
pub(crate) async fn assign(
    app: &App,
    db: &TenantDb<'_>,
    context: &Context,
    (id, revision): (DeviceId, Option<i64>),
    person: Option<PersonId>,
) -> Result<Stored<Device>, CrmError> {
    db.transaction_with(ATTEMPTS, |tx| async move {
        let act = Act::begin(app, db, context)?;
        let before = expect::<Devices>(&tx, id.into(), revision).await?;
        exists::<People>(&tx, person).await?;
        if before.content.person_id == person {
            return Ok(before);
        }
        assignments::end(&tx, id, act.now).await?;
        if let Some(person) = person {
            assignments::insert(&tx, act.new_id(), (id, person), act.now).await?;
        }
        act.update::<Devices>(&tx, &before, Device { person_id: person, ..before.content.clone() }).await
    })
    .await
}

/// A page of assignments and one more, oldest entry first; of a device and of a person, where these are named.
pub(crate) async fn assignments(
    db: &TenantDb<'_>,
    of: (Option<DeviceId>, Option<PersonId>),
    page: &Page,
) -> Result<Vec<Assignment>, CrmError> {
    Ok(assignments::page(&db.read().await?, of, page.after, page.size + 1).await?)
}
