//! A tenant's database during a stream, which may last much longer than what was known when it began.

use std::sync::Arc;

use http::Extensions;
use tenantry_rpc::{Context, Error};

use crate::TenantDb;
use crate::handle::TenantAccess;
use crate::layer::{Road, UnderWay};

/// The right to reach one tenant's database while a call answers a stream.
///
/// Only the tenant layer makes one, for a call whose answer is a stream. It counts as a request under way until it is
/// dropped. Between two pieces of work a stream [`renew`](Self::renew)s it: the company may have been suspended, moved or
/// migrated meanwhile, everybody signed out, or the caller's token revoked. It holds no connection by itself.
pub struct TenantStream {
    access: TenantAccess,
    right: StreamRight,
}

/// What the layer leaves in the extensions of a call that answers a stream.
#[derive(Clone)]
pub(crate) struct StreamRight(Arc<Right>);

struct Right {
    road: Arc<Road>,
    context: Context,
    access: TenantAccess,
    _until_ended: UnderWay,
}

impl StreamRight {
    pub(crate) fn new(road: Arc<Road>, context: &Context, access: TenantAccess, until_ended: UnderWay) -> Self {
        Self(Arc::new(Right { road, context: context.clone(), access, _until_ended: until_ended }))
    }
}

impl TenantStream {
    pub(crate) fn from_extensions(extensions: &Extensions) -> Option<Self> {
        let right = extensions.get::<StreamRight>()?.clone();
        Some(Self { access: right.0.access.clone(), right })
    }

    /// The tenant's database, where it was when the right was last renewed.
    pub fn db(&self) -> TenantDb<'_> {
        TenantDb::of(&self.access)
    }

    /// Looks at everything anew that let the call in, and at where the database is now.
    pub async fn renew(&mut self) -> Result<(), Error> {
        let right = self.right.clone();
        self.renew_at(right.0.context.plugin()).await
    }

    /// The same, and what would let a call of this plugin's in: that the company has it, at a version that the service
    /// works with.
    pub async fn renew_with(&mut self, plugin: &str) -> Result<(), Error> {
        self.renew_at(Some(plugin)).await
    }

    async fn renew_at(&mut self, plugin: Option<&str>) -> Result<(), Error> {
        let right = &self.right.0;
        let placement = right.road.admit(right.context.user()?, plugin).await?;
        self.access =
            self.access.at(placement).ok_or_else(|| Error::internal("the directory answered another tenant"))?;
        Ok(())
    }

    /// The same for work that goes on where it began.
    pub async fn check(&self) -> Result<(), Error> {
        let right = &self.right.0;
        right.road.admit(right.context.user()?, right.context.plugin()).await.map(drop)
    }
}
