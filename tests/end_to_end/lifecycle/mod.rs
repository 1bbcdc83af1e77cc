//! A company's life after it has come to be.

mod away;
mod fleet;
mod purge;
mod shut;
mod table;
mod updates;

use tenantry_api::catalog::v1::{
    Company, DeleteCompanyRequest, EnterMaintenanceRequest, GetCompanyRequest, LeaveMaintenanceRequest,
    PurgeCompanyRequest, ResumeCompanyRequest, RetryProvisioningRequest, SignOutEveryoneRequest, SuspendCompanyRequest,
    UndeleteCompanyRequest,
};
use tenantry_testkit::actors::{Actor, Operator};
use tenantry_testkit::sandbox::{Clients, Sandbox};
use tonic::Status;

/// An operator at work on companies. A refusal stays a status.
pub(crate) struct Operations {
    pub(crate) at: Clients,
    pub(crate) operator: Operator,
}

/// One call of an operator's.
macro_rules! call {
    ($self:ident.$rpc:ident($body:expr)) => {{
        let mut companies = $self.at.companies().expect("a client");
        Ok(companies.$rpc($self.operator.request($body)).await?.into_inner())
    }};
}

impl Operations {
    pub(crate) async fn of(sandbox: &Sandbox) -> anyhow::Result<Self> {
        Ok(Self { at: sandbox.clients(), operator: Operator::of(sandbox).await? })
    }

    pub(crate) async fn sign_out_everyone(&self, id: &str) -> Result<Company, Status> {
        call!(self.sign_out_everyone(SignOutEveryoneRequest { id: id.into() }))
    }

    pub(crate) async fn get(&self, id: &str) -> Result<Company, Status> {
        call!(self.get_company(GetCompanyRequest { id: id.into(), ..Default::default() }))
    }

    pub(crate) async fn suspend(&self, id: &str) -> Result<Company, Status> {
        call!(self.suspend_company(SuspendCompanyRequest { id: id.into(), reason: "unpaid".into() }))
    }

    pub(crate) async fn resume(&self, id: &str) -> Result<Company, Status> {
        call!(self.resume_company(ResumeCompanyRequest { id: id.into(), reason: "paid".into() }))
    }

    pub(crate) async fn enter_maintenance(&self, id: &str, retry_seconds: i32) -> Result<Company, Status> {
        let reason = "a move".to_owned();
        call!(self.enter_maintenance(EnterMaintenanceRequest { id: id.into(), reason, retry_seconds }))
    }

    pub(crate) async fn leave_maintenance(&self, id: &str) -> Result<Company, Status> {
        call!(self.leave_maintenance(LeaveMaintenanceRequest { id: id.into() }))
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<Company, Status> {
        call!(self.delete_company(DeleteCompanyRequest { id: id.into(), ..Default::default() }))
    }

    pub(crate) async fn undelete(&self, id: &str) -> Result<Company, Status> {
        call!(self.undelete_company(UndeleteCompanyRequest { id: id.into() }))
    }

    async fn purge(&self, request: PurgeCompanyRequest) -> Result<Company, Status> {
        call!(self.purge_company(request))
    }

    pub(crate) async fn purge_by_force(&self, id: &str) -> Result<Company, Status> {
        self.purge(PurgeCompanyRequest { id: id.into(), force: true, ..Default::default() }).await
    }

    pub(crate) async fn retry_provisioning(&self, id: &str, no_wait: bool) -> Result<Company, Status> {
        call!(self.retry_provisioning(RetryProvisioningRequest { id: id.into(), no_wait }))
    }
}
