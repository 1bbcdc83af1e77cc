//! Plugins: in the databases of those who want them, and in nobody else's.

use tenantry_api::catalog::v1::{
    CompanyPlugin, DeleteCompanyRequest, InstallPluginRequest, InstalledTenantPlugin, ListInstalledPluginsRequest,
    ListPluginsRequest, PluginState, ResolveTenantRequest, UninstallPluginRequest,
};
use tenantry_api::migrator::v1::database_target::Database;
use tenantry_api::migrator::v1::{
    CheckDriftRequest, CreateRolloutRequest, DatabaseTarget, FreshRequest, GetMigrationStatusRequest, MigrationStatus,
    RollbackRequest, Rollout, RolloutPolicy, RolloutState, WatchRolloutRequest,
};
use tenantry_rpc::Reason;
use tenantry_testkit::actors::{Actor, Bearer, Operator, Owner};
use tenantry_testkit::sandbox::Sandbox;
use tokio::task::JoinSet;
use tonic::Status;

use crate::lifecycle::Operations;
use crate::migrations::database_of;
use crate::support::{fields, per_engine, reason};

per_engine!(
    one_has_it_and_the_other_has_not,
    what_is_uninstalled_is_kept_until_it_is_dropped,
    many_calls_at_once_install_it_once,
    a_rollout_changes_one_plugin_where_it_is,
    a_database_made_afresh_has_its_plugins_again,
    each_refusal_says_what_to_do; postgres_18
);

const SMS: &str = "sms";
const FIRST: &str = "m20260101_000100_templates";
const SECOND: &str = "m20260101_000200_outbox";
const NEWEST: &str = "m20260101_000300_delivery";

/// A company, and an operator who gives it plugins.
struct Setup<'s> {
    sandbox: &'s Sandbox,
    operator: Operator,
    owner: Owner,
}

impl<'s> Setup<'s> {
    async fn of(sandbox: &'s Sandbox) -> anyhow::Result<Self> {
        registered(sandbox).await?;
        let (operator, owner) = (Operator::of(sandbox).await?, Owner::of_new_company(sandbox, "Plugged").await?);
        Ok(Self { sandbox, operator, owner })
    }

    fn id(&self) -> &str {
        &self.owner.company.id
    }

    async fn install(&self, by: &impl Actor, settings: &str) -> Result<CompanyPlugin, Status> {
        install(self.sandbox, by, self.id(), SMS, settings).await
    }

    async fn uninstall(&self, drop_data: bool) -> Result<Option<CompanyPlugin>, Status> {
        let request = UninstallPluginRequest { company_id: self.id().into(), plugin: SMS.into(), drop_data };
        let mut plugins = self.sandbox.clients().plugins().expect("a client");
        Ok(plugins.uninstall_plugin(self.owner.request(request)).await?.into_inner().left)
    }

    async fn installed(&self, owner: &Owner) -> anyhow::Result<Vec<CompanyPlugin>> {
        let request = ListInstalledPluginsRequest { company_id: owner.company.id.clone() };
        let listed = self.sandbox.clients().plugins()?.list_installed_plugins(owner.request(request)).await?;
        Ok(listed.into_inner().plugins)
    }

    /// As the data plane is told.
    async fn served(&self) -> anyhow::Result<Vec<InstalledTenantPlugin>> {
        let crm = Bearer(self.sandbox.service_token("crm", "catalog")?);
        let request = crm.request(ResolveTenantRequest { company_id: self.id().into() });
        Ok(self.sandbox.clients().directory()?.resolve_tenant(request).await?.into_inner().plugins)
    }

    fn target(&self, plugin: &str) -> Option<DatabaseTarget> {
        Some(DatabaseTarget { database: Some(Database::CompanyId(self.id().into())), plugin: plugin.into() })
    }

    async fn status(&self) -> anyhow::Result<MigrationStatus> {
        let request = GetMigrationStatusRequest { target: self.target(SMS) };
        let answer = self.sandbox.migrations()?.get_migration_status(self.operator.request(request)).await?;
        Ok(answer.into_inner())
    }

    async fn in_sync(&self) -> anyhow::Result<bool> {
        let request = self.operator.request(CheckDriftRequest { company_id: self.id().into() });
        let report = self.sandbox.clients().drift()?.check_drift(request).await?.into_inner();
        anyhow::ensure!(report.in_sync == report.findings.is_empty(), "{report:?}");
        Ok(report.in_sync)
    }

    async fn templates(&self, sql: &str) -> anyhow::Result<()> {
        let name = database_of(self.sandbox, &self.operator, self.id()).await?;
        self.sandbox.run_in(&name, sql).await
    }

    /// A rollout of the plugin, to its end.
    async fn roll(&self, version: &str) -> anyhow::Result<Rollout> {
        let request = CreateRolloutRequest {
            plugin: SMS.into(),
            version: version.into(),
            allow_rollback: true,
            policy: Some(RolloutPolicy::default()),
            ..CreateRolloutRequest::default()
        };
        let mut rollouts = self.sandbox.rollouts()?;
        let created = rollouts.create_rollout(self.operator.request(request)).await?.into_inner();
        let id = created.rollout.unwrap_or_default().id;
        let mut seen = rollouts.watch_rollout(self.operator.request(WatchRolloutRequest { id })).await?.into_inner();
        let mut last = None;
        while let Some(glance) = seen.message().await? {
            last = glance.rollout;
        }
        last.ok_or_else(|| anyhow::anyhow!("a watch without a word"))
    }
}

/// Waits until the migrator has told the catalog which plugins there are.
pub(crate) async fn registered(sandbox: &Sandbox) -> anyhow::Result<()> {
    let operator = Operator::of(sandbox).await?;
    crate::processes::eventually("the registry", async || {
        let listed = sandbox.clients().plugins()?.list_plugins(operator.request(ListPluginsRequest {})).await?;
        Ok((!listed.into_inner().plugins.is_empty()).then_some(()))
    })
    .await
}

/// Installs a plugin.
pub(crate) async fn with_plugin(sandbox: &Sandbox, owner: &Owner, plugin: &str) -> anyhow::Result<()> {
    registered(sandbox).await?;
    let made = install(sandbox, owner, &owner.company.id, plugin, "").await?;
    anyhow::ensure!(made.state() == PluginState::Installed, "{made:?}");
    Ok(())
}

pub(crate) async fn uninstall(sandbox: &Sandbox, owner: &Owner, plugin: &str) -> anyhow::Result<()> {
    let company_id = owner.company.id.clone();
    let request = UninstallPluginRequest { company_id, plugin: plugin.into(), drop_data: false };
    sandbox.clients().plugins()?.uninstall_plugin(owner.request(request)).await?;
    Ok(())
}

async fn install(
    sandbox: &Sandbox,
    by: &impl Actor,
    company: &str,
    plugin: &str,
    settings: &str,
) -> Result<CompanyPlugin, Status> {
    let request = InstallPluginRequest { company_id: company.into(), plugin: plugin.into(), settings: settings.into() };
    let mut plugins = sandbox.clients().plugins().expect("a client");
    Ok(plugins.install_plugin(by.request(request)).await?.into_inner())
}

async fn one_has_it_and_the_other_has_not(sandbox: &Sandbox) -> anyhow::Result<()> {
    let setup = Setup::of(sandbox).await?;
    let other = Owner::of_new_company(sandbox, "Without").await?;
    let listed = sandbox.clients().plugins()?.list_plugins(other.request(ListPluginsRequest {})).await?.into_inner();
    let sms = listed.plugins.into_iter().find(|plugin| plugin.name == SMS).expect("the plugin");
    assert_eq!((sms.version.as_str(), sms.description.is_empty()), (NEWEST, false));

    let made = setup.install(&setup.owner, "").await?;
    assert_eq!((made.state(), made.schema_version.as_str()), (PluginState::Installed, NEWEST));
    let defaults: serde_json::Value = serde_json::from_str(&made.settings)?;
    assert_eq!(defaults["max_attempts"], 5);
    assert_eq!(setup.installed(&setup.owner).await?.as_slice(), std::slice::from_ref(&made));
    assert_eq!(setup.served().await?, [InstalledTenantPlugin { name: SMS.into(), schema_version: NEWEST.into() }]);
    setup.templates("SELECT count(*) FROM sms_templates").await?;
    assert!(setup.in_sync().await?, "its tables are no drift");
    assert!(setup.status().await?.current);

    // Again, by an operator, with other settings.
    let again = setup.install(&setup.operator, r#"{"sender":"Sun \"☀\""}"#).await?;
    assert_eq!((again.state(), again.create_time), (PluginState::Installed, made.create_time));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&again.settings)?["sender"], "Sun \"☀\"");
    assert_eq!(setup.install(&setup.owner, "").await?.settings, again.settings, "they stay");

    assert!(setup.installed(&other).await?.is_empty());
    let database = database_of(sandbox, &setup.operator, &other.company.id).await?;
    assert!(sandbox.run_in(&database, "SELECT count(*) FROM sms_templates").await.is_err(), "no such table there");
    Ok(())
}

async fn what_is_uninstalled_is_kept_until_it_is_dropped(sandbox: &Sandbox) -> anyhow::Result<()> {
    let setup = Setup::of(sandbox).await?;
    setup.install(&setup.owner, r#"{"sender":"Sun"}"#).await?;
    let left = setup.uninstall(false).await?.expect("its tables");
    assert_eq!(left.state(), PluginState::Uninstalled);
    assert!(setup.served().await?.is_empty());
    setup.templates("SELECT count(*) FROM sms_templates").await?;
    assert_eq!(setup.uninstall(false).await?.map(|left| left.state()), Some(PluginState::Uninstalled), "twice");

    let again = setup.install(&setup.owner, "").await?;
    assert_eq!((again.state(), again.settings), (PluginState::Installed, left.settings));
    assert_eq!(setup.served().await?.len(), 1);

    assert_eq!(setup.uninstall(true).await?, None);
    assert!(setup.templates("SELECT count(*) FROM sms_templates").await.is_err(), "the tables are gone");
    assert!(setup.served().await?.is_empty() && setup.installed(&setup.owner).await?.is_empty());
    assert_eq!(reason(setup.uninstall(true).await), Some(Reason::PluginNotInstalled));
    assert!(setup.in_sync().await?);
    assert_eq!(setup.install(&setup.owner, "").await?.state(), PluginState::Installed, "and from the beginning");
    Ok(())
}

async fn many_calls_at_once_install_it_once(sandbox: &Sandbox) -> anyhow::Result<()> {
    let setup = Setup::of(sandbox).await?;
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let request = InstallPluginRequest { company_id: setup.id().into(), plugin: SMS.into(), ..Default::default() };
        let (mut plugins, request) = (sandbox.clients().plugins()?, setup.owner.request(request));
        calls.spawn(async move { plugins.install_plugin(request).await });
    }
    for call in calls.join_all().await {
        assert_eq!(call?.into_inner().state(), PluginState::Installed);
    }
    let id = setup.id();
    let kinds = sandbox.ask_central("SELECT kind FROM events WHERE kind LIKE 'plugin.%' ORDER BY sequence").await?;
    assert_eq!(kinds, ["plugin.installation_begun", "plugin.installed"], "{id}");
    Ok(())
}

async fn a_rollout_changes_one_plugin_where_it_is(sandbox: &Sandbox) -> anyhow::Result<()> {
    let setup = Setup::of(sandbox).await?;
    Owner::of_new_company(sandbox, "Without").await?;
    setup.install(&setup.owner, "").await?;
    let back = setup.roll(FIRST).await?;
    let counts = back.counts.unwrap_or_default();
    assert_eq!((back.state(), back.plugin.as_str(), counts.succeeded), (RolloutState::Succeeded, SMS, 1), "{back:?}");
    assert_eq!(setup.status().await?.version, FIRST);
    assert!(setup.in_sync().await?, "compared at its own version");
    // The catalog hears of it.
    crate::processes::eventually("the version", async || {
        Ok((setup.served().await?[0].schema_version == FIRST).then_some(()))
    })
    .await?;
    let forth = setup.roll("").await?;
    assert_eq!((forth.state(), forth.target_version.as_str()), (RolloutState::Succeeded, NEWEST));
    assert!(setup.status().await?.current);
    Ok(())
}

async fn a_database_made_afresh_has_its_plugins_again(sandbox: &Sandbox) -> anyhow::Result<()> {
    let setup = Setup::of(sandbox).await?;
    setup.install(&setup.owner, "").await?;
    Operations::of(sandbox).await?.enter_maintenance(setup.id(), 1).await?;
    let fresh = FreshRequest { target: setup.target(""), force: true, seed: true };
    sandbox.migrations()?.fresh(setup.operator.request(fresh)).await?;
    assert!(setup.status().await?.current);
    setup.templates("SELECT count(*) FROM sms_templates").await?;
    assert!(setup.in_sync().await?);

    // The plugin alone, a step back.
    let scope = tenantry_api::migrator::v1::RollbackScope {
        scope: Some(tenantry_api::migrator::v1::rollback_scope::Scope::Steps(1)),
    };
    let back = RollbackRequest { target: setup.target(SMS), scope: Some(scope), force: true };
    let back = sandbox.migrations()?.rollback(setup.operator.request(back)).await?.into_inner();
    assert_eq!((back.set.as_str(), back.to_version.as_str()), ("plugin_sms", SECOND));
    Ok(())
}

async fn each_refusal_says_what_to_do(sandbox: &Sandbox) -> anyhow::Result<()> {
    let setup = Setup::of(sandbox).await?;
    let operator = &setup.operator;
    let nothing = install(sandbox, operator, setup.id(), "no_such", "").await;
    assert_eq!(reason(nothing), Some(Reason::PluginNotFound));
    let nobody = install(sandbox, operator, &uuid::Uuid::now_v7().to_string(), SMS, "").await;
    assert_eq!(reason(nobody), Some(Reason::CompanyNotFound));
    assert_eq!(reason(setup.uninstall(false).await), Some(Reason::PluginNotInstalled));
    for settings in ["[]", "{", "1", "nothing"] {
        assert_eq!(fields(setup.install(&setup.owner, settings).await), ["settings"], "{settings}");
    }
    let fresh = FreshRequest { target: setup.target(SMS), force: true, seed: false };
    assert_eq!(fields(sandbox.migrations()?.fresh(operator.request(fresh)).await), ["target.plugin"]);
    let status = GetMigrationStatusRequest { target: setup.target("no_such") };
    let status = sandbox.migrations()?.get_migration_status(operator.request(status)).await;
    assert_eq!(reason(status), Some(Reason::PluginNotFound));
    let nowhere = CreateRolloutRequest { plugin: SMS.into(), ..CreateRolloutRequest::default() };
    let nowhere = sandbox.rollouts()?.create_rollout(operator.request(nowhere)).await;
    assert_eq!(reason(nowhere), Some(Reason::NoTargets), "nobody has it");

    let delete = DeleteCompanyRequest { id: setup.id().into(), ..DeleteCompanyRequest::default() };
    sandbox.companies()?.delete_company(operator.request(delete)).await?;
    let gone = install(sandbox, operator, setup.id(), SMS, "").await;
    assert_eq!(reason(gone), Some(Reason::CompanyState));
    Ok(())
}
