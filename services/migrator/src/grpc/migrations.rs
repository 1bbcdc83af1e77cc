use std::sync::Arc;

use tenantry_api::migrator::v1::database_target::Database;
use tenantry_api::migrator::v1::migration_service_server::MigrationService;
use tenantry_api::migrator::v1::rollback_scope::Scope;
use tenantry_api::migrator::v1::{
    AppliedMigration, DatabaseTarget, FreshRequest, GetMigrationStatusRequest, MigrateRequest, MigrationChange,
    MigrationPlan, MigrationReport, MigrationRun, MigrationStatus, PartialMigration, PlanMigrationRequest,
    RefreshRequest, ResetRequest, RollbackRequest, RollbackScope, SeedRequest,
};
use tenantry_migration::{Entry, Partial};
use tenantry_rpc::{Call, Context, Error, Violations};
use tonic::{Request, Response, Status};

use super::convert::{direction, milliseconds, planned, timestamp};
use crate::app::App;
use crate::app::commands::{self, Back, Command, Look, Order, PlanWish, Planned, Report, Target};
use crate::store::runs::RunRow;

pub(crate) struct MigrationGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl MigrationService for MigrationGrpc {
    async fn migrate(&self, request: Request<MigrateRequest>) -> Result<Response<MigrationReport>, Status> {
        let call = Call::open(request)?;
        let command = Command::Migrate { version: Some(call.body.version).filter(|version| !version.is_empty()) };
        self.carry_out(&call.context, call.body.target, command, false).await
    }

    async fn rollback(&self, request: Request<RollbackRequest>) -> Result<Response<MigrationReport>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let target = parse_target(&mut violations, call.body.target);
        let back = parse_scope(&mut violations, "scope", call.body.scope);
        let (target, back) = violations.finish(target.zip(back))?;
        self.order(&call.context, Order { target, command: Command::Rollback { back }, force: call.body.force }).await
    }

    async fn reset(&self, request: Request<ResetRequest>) -> Result<Response<MigrationReport>, Status> {
        let call = Call::open(request)?;
        self.carry_out(&call.context, call.body.target, Command::Reset, call.body.force).await
    }

    async fn refresh(&self, request: Request<RefreshRequest>) -> Result<Response<MigrationReport>, Status> {
        let call = Call::open(request)?;
        let command = Command::Refresh { seed: call.body.seed };
        self.carry_out(&call.context, call.body.target, command, call.body.force).await
    }

    async fn fresh(&self, request: Request<FreshRequest>) -> Result<Response<MigrationReport>, Status> {
        let call = Call::open(request)?;
        let command = Command::Fresh { seed: call.body.seed };
        refuse_plugin(call.body.target.as_ref())?;
        self.carry_out(&call.context, call.body.target, command, call.body.force).await
    }

    async fn seed(&self, request: Request<SeedRequest>) -> Result<Response<MigrationReport>, Status> {
        let call = Call::open(request)?;
        self.carry_out(&call.context, call.body.target, Command::Seed, false).await
    }

    async fn get_migration_status(
        &self,
        request: Request<GetMigrationStatusRequest>,
    ) -> Result<Response<MigrationStatus>, Status> {
        let call = Call::open(request)?;
        let mut violations = Violations::new();
        let target = parse_target(&mut violations, call.body.target);
        let look = commands::look(&self.0, &violations.finish(target)?).await?;
        Ok(Response::new(status_message(look)))
    }

    async fn plan_migration(&self, request: Request<PlanMigrationRequest>) -> Result<Response<MigrationPlan>, Status> {
        let call = Call::open(request)?;
        let wish = parse_wish(call.body)?;
        let dry_run = wish.dry_run;
        let plan = commands::plan(&self.0, &call.context, wish).await?;
        Ok(Response::new(plan_message(plan, dry_run)))
    }
}

impl MigrationGrpc {
    async fn carry_out(
        &self,
        context: &Context,
        target: Option<DatabaseTarget>,
        command: Command,
        force: bool,
    ) -> Result<Response<MigrationReport>, Status> {
        let mut violations = Violations::new();
        let target = parse_target(&mut violations, target);
        let target = violations.finish(target)?;
        self.order(context, Order { target, command, force }).await
    }

    async fn order(&self, context: &Context, order: Order) -> Result<Response<MigrationReport>, Status> {
        Ok(Response::new(report_message(commands::carry_out(&self.0, context, order).await?)))
    }
}

fn parse_target(violations: &mut Violations, target: Option<DatabaseTarget>) -> Option<Target> {
    let DatabaseTarget { database, plugin } = target.unwrap_or_default();
    match database {
        Some(Database::CompanyId(id)) if plugin.is_empty() => {
            violations.parse("target.company_id", &id).map(Target::Company)
        }
        Some(Database::CompanyId(id)) => {
            violations.parse("target.company_id", &id).map(|company| Target::Plugin(company, plugin))
        }
        Some(Database::Central(true)) => {
            violations.check(plugin.is_empty(), "target.plugin", "must be empty: the central database has no plugins");
            Some(Target::Central)
        }
        Some(Database::Central(false)) | None => {
            violations.add("target", "must name a company, or say central");
            None
        }
    }
}

fn refuse_plugin(target: Option<&DatabaseTarget>) -> Result<(), Error> {
    let mut violations = Violations::new();
    let whole = target.is_none_or(|target| target.plugin.is_empty());
    violations.check(whole, "target.plugin", "must be empty: a whole database is made afresh; refresh the plugin");
    violations.finish(Some(()))
}

fn parse_scope(violations: &mut Violations, field: &str, scope: Option<RollbackScope>) -> Option<Back> {
    match scope.and_then(|scope| scope.scope) {
        None => Some(Back::LastRun),
        Some(Scope::ToVersion(version)) => Some(Back::To(version)),
        Some(Scope::Steps(steps)) => {
            let steps = usize::try_from(steps).ok().filter(|steps| *steps > 0);
            violations.check(steps.is_some(), &format!("{field}.steps"), "must be at least 1");
            steps.map(Back::Steps)
        }
    }
}

fn parse_wish(body: PlanMigrationRequest) -> Result<PlanWish, Error> {
    let mut violations = Violations::new();
    let target = parse_target(&mut violations, body.target);
    let version = Some(body.version).filter(|version| !version.is_empty());
    let back = match body.rollback {
        None => None,
        scope => parse_scope(&mut violations, "rollback", scope),
    };
    violations.check(version.is_none() || back.is_none(), "version", "must be empty in the plan of a rollback");
    let target = violations.finish(target)?;
    Ok(PlanWish { target, version, back, dry_run: body.dry_run })
}

fn report_message(report: Report) -> MigrationReport {
    let change = |(version, way)| MigrationChange { version, direction: direction(way) };
    MigrationReport {
        run_id: report.run,
        database: report.database,
        set: report.set.to_owned(),
        from_version: report.from.unwrap_or_default(),
        to_version: report.to.unwrap_or_default(),
        changes: report.changes.into_iter().map(change).collect(),
    }
}

fn status_message(look: Look) -> MigrationStatus {
    let status = look.status;
    MigrationStatus {
        database: look.database,
        set: status.set.to_owned(),
        version: status.version().unwrap_or_default().to_owned(),
        current: status.is_current(),
        applied: status.applied.into_iter().map(applied).collect(),
        pending: status.pending,
        mismatched: status.mismatched,
        unknown: status.unknown,
        partial: status.partial.map(partial),
        runs: look.runs.into_iter().map(run).collect(),
    }
}

fn applied(entry: Entry) -> AppliedMigration {
    AppliedMigration {
        version: entry.version,
        checksum: entry.checksum,
        apply_time: Some(timestamp(entry.applied_at)),
        duration: Some(milliseconds(entry.duration_ms)),
        run_id: entry.run.to_string(),
    }
}

fn partial(partial: Partial) -> PartialMigration {
    PartialMigration {
        version: partial.version,
        direction: direction(partial.direction),
        statement: i32::try_from(partial.statement).unwrap_or(i32::MAX),
        refused: partial.refused,
    }
}

fn run(row: RunRow) -> MigrationRun {
    MigrationRun {
        id: row.id.to_string(),
        command: row.kind,
        caller: row.caller.unwrap_or_default(),
        from_version: row.from_version.unwrap_or_default(),
        to_version: row.to_version.unwrap_or_default(),
        state: row.state,
        error: row.error.unwrap_or_default(),
        start_time: Some(timestamp(row.started_at)),
        end_time: row.finished_at.map(timestamp),
    }
}

fn plan_message(made: Planned, dry_run: bool) -> MigrationPlan {
    let Planned { database, plan, tried } = made;
    let steps = plan.steps.into_iter().map(|step| {
        let was_tried = tried.contains(&step.version);
        planned(step, was_tried)
    });
    MigrationPlan { database, set: plan.set.to_owned(), steps: steps.collect(), dry_run }
}
