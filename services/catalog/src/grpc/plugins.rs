use std::sync::Arc;

use serde_json::Value;
use tenantry_api::catalog::v1::plugin_service_server::PluginService;
use tenantry_api::catalog::v1::{
    CompanyPlugin, InstallPluginRequest, ListInstalledPluginsRequest, ListInstalledPluginsResponse, ListPluginsRequest,
    ListPluginsResponse, Plugin, PluginReport, PluginState, UninstallPluginRequest, UninstallPluginResponse,
};
use tenantry_ids::CompanyId;
use tenantry_rpc::{Call, Error, Violations, parse_field};
use tonic::{Request, Response, Status};

use super::convert::timestamp;
use crate::app::App;
use crate::app::plugins::{self, Named};
use crate::store::entities::company_plugin::{Model, State};
use crate::store::entities::plugin;

const MAX_NAME_CHARS: usize = 63;
const MAX_DESCRIPTION_CHARS: usize = 500;
const MAX_VERSION_CHARS: usize = 100;
const MAX_SETTINGS_BYTES: usize = 16_384;
const MAX_PLUGINS: usize = 1_000;

pub(crate) struct PluginGrpc(pub(crate) Arc<App>);

#[tonic::async_trait]
impl PluginService for PluginGrpc {
    async fn list_plugins(
        &self,
        request: Request<ListPluginsRequest>,
    ) -> Result<Response<ListPluginsResponse>, Status> {
        Call::open(request)?;
        let plugins = plugins::registry(&self.0).await?.into_iter().map(convert_known).collect();
        Ok(Response::new(ListPluginsResponse { plugins }))
    }

    async fn install_plugin(&self, request: Request<InstallPluginRequest>) -> Result<Response<CompanyPlugin>, Status> {
        let call = Call::open(request)?;
        let (company, plugin, settings) = parse_installation(call.body)?;
        let named = Named { company, plugin: &plugin };
        let installed = plugins::install(&self.0, &call.context, named, settings.as_ref()).await?;
        Ok(Response::new(convert(installed)))
    }

    async fn uninstall_plugin(
        &self,
        request: Request<UninstallPluginRequest>,
    ) -> Result<Response<UninstallPluginResponse>, Status> {
        let call = Call::open(request)?;
        let UninstallPluginRequest { company_id, plugin, drop_data } = call.body;
        let mut violations = Violations::new();
        let company = violations.parse("company_id", &company_id);
        let plugin = violations.text("plugin", &plugin, MAX_NAME_CHARS);
        let named = Named { company: violations.finish(company)?, plugin: &plugin };
        let left = plugins::uninstall(&self.0, &call.context, named, drop_data).await?;
        Ok(Response::new(UninstallPluginResponse { left: left.map(convert) }))
    }

    async fn list_installed_plugins(
        &self,
        request: Request<ListInstalledPluginsRequest>,
    ) -> Result<Response<ListInstalledPluginsResponse>, Status> {
        let company = parse_field("company_id", &Call::open(request)?.body.company_id)?;
        let plugins = plugins::of_company(&self.0, company).await?.into_iter().map(convert).collect();
        Ok(Response::new(ListInstalledPluginsResponse { plugins }))
    }
}

fn parse_installation(body: InstallPluginRequest) -> Result<(CompanyId, String, Option<Value>), Error> {
    let mut violations = Violations::new();
    let company = violations.parse("company_id", &body.company_id);
    let plugin = violations.text("plugin", &body.plugin, MAX_NAME_CHARS);
    let settings = match body.settings.as_str() {
        "" => None,
        text => parse_settings(&mut violations, "settings", text),
    };
    Ok((violations.finish(company)?, plugin, settings))
}

fn parse_settings(violations: &mut Violations, field: &str, text: &str) -> Option<Value> {
    let parsed = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    let parsed = parsed.filter(|_| text.len() <= MAX_SETTINGS_BYTES);
    violations.check(parsed.is_some(), field, "must be a JSON object of at most 16 KiB");
    parsed
}

/// What a migrator tells of itself.
pub(super) fn parse_report(app: &App, reported: Vec<PluginReport>) -> Result<Vec<plugin::Model>, Error> {
    let mut violations = Violations::new();
    violations.check(reported.len() <= MAX_PLUGINS, "plugins", "must be at most 1,000");
    let now = app.now();
    let parsed = reported.into_iter().take(MAX_PLUGINS).enumerate().filter_map(|(at, plugin)| {
        let field = |name: &str| format!("plugins[{at}].{name}");
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let is_name = plugin.name.len() <= MAX_NAME_CHARS
            && plugin.name.starts_with(|first: char| first.is_ascii_lowercase())
            && plugin.name.bytes().all(plain);
        let description = "must be 1 to 63 of a-z, 0-9 and _, starting with a letter";
        violations.check(is_name, &field("name"), description);
        Some(plugin::Model {
            description: violations.optional_text(&field("description"), &plugin.description, MAX_DESCRIPTION_CHARS),
            version: violations.text(&field("version"), &plugin.version, MAX_VERSION_CHARS),
            default_settings: parse_settings(&mut violations, &field("default_settings"), &plugin.default_settings)?,
            name: plugin.name,
            created_at: now,
            updated_at: now,
        })
    });
    let parsed = parsed.collect();
    violations.finish(Some(parsed))
}

fn convert_known(row: plugin::Model) -> Plugin {
    Plugin {
        name: row.name,
        description: row.description,
        version: row.version,
        default_settings: row.default_settings.to_string(),
    }
}

fn convert(row: Model) -> CompanyPlugin {
    let state = match row.state {
        State::Installing => PluginState::Installing,
        State::Installed => PluginState::Installed,
        State::Uninstalled => PluginState::Uninstalled,
        State::Dropping => PluginState::Dropping,
    };
    CompanyPlugin {
        company_id: row.company_id.to_string(),
        plugin: row.plugin,
        state: state.into(),
        settings: row.settings.to_string(),
        schema_version: row.schema_version.unwrap_or_default(),
        last_error: row.last_error.unwrap_or_default(),
        create_time: Some(timestamp(row.created_at)),
        update_time: Some(timestamp(row.updated_at)),
    }
}
