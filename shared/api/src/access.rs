//! The access rules, read from the descriptors.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, ReflectMessage, Value};

use crate::options::v1::CallerKind;

/// The option's name in `proto/tenantry/options/v1/access.proto`.
const ACCESS_OPTION: &str = "tenantry.options.v1.access";

/// The descriptor pool of everything this crate generates. It takes some megabytes, and stays.
pub fn descriptor_pool() -> Result<&'static DescriptorPool, AccessError> {
    static POOL: OnceLock<Result<DescriptorPool, String>> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(crate::DESCRIPTORS).map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|message| AccessError::Descriptors(message.clone()))
}

/// Who may call one RPC, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// The kinds of caller that are let in; never empty.
    pub callers: Vec<CallerKind>,
    /// The scope that users and operators need.
    pub scope: Option<String>,
    /// The numbers of the fields that lead to the one that must equal a user's
    /// tenant, outermost first.
    pub tenant_field: Option<TenantField>,
    /// The names of the services that are let in.
    pub services: Vec<String>,
    /// Whether the tenant-aware services beside ours are let in, too.
    pub tenant_services: bool,
    /// The plugin that a user's company must have installed.
    pub plugin: Option<Arc<str>>,
    /// Whether the answer is a stream.
    pub streams: bool,
}

/// The request field that must equal the tenant of a user's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantField {
    /// As the proto names it, such as `company_id`.
    pub path: String,
    /// The field numbers along that path.
    pub numbers: Vec<u32>,
}

impl AccessRule {
    /// Whether this kind of caller is let in at all.
    pub fn admits(&self, kind: CallerKind) -> bool {
        self.callers.contains(&kind)
    }
}

/// A contract that cannot be enforced; the service must not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// The descriptor set does not decode.
    #[error("the descriptor set does not decode: {0}")]
    Descriptors(String),
    /// There is no such service in the descriptors.
    #[error("no service {0} in the descriptors")]
    UnknownService(String),
    /// An RPC without a rule, or with one that lets nobody in or contradicts itself.
    #[error("{method}: {problem}")]
    Rule {
        /// The RPC's full name.
        method: String,
        /// What is wrong with its rule.
        problem: String,
    },
}

/// The rule of every RPC of some services, by its HTTP/2 path
/// (`/tenantry.catalog.v1.CompanyService/GetCompany`).
#[derive(Debug, Clone, Default)]
pub struct AccessRules(HashMap<String, AccessRule>);

impl AccessRules {
    /// The rules of these services of ours, by full name.
    pub fn of_services<'a>(services: impl IntoIterator<Item = &'a str>) -> Result<Self, AccessError> {
        Self::of_services_in(crate::BARE_DESCRIPTORS, services)
    }

    /// The rules of these services, of a contract of one's own: its descriptors, encoded.
    pub fn of_services_in<'a>(
        descriptors: &[u8],
        services: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, AccessError> {
        let pool = DescriptorPool::decode(descriptors).map_err(|error| AccessError::Descriptors(error.to_string()))?;
        let mut rules = HashMap::new();
        for name in services {
            let service = pool.get_service_by_name(name).ok_or_else(|| AccessError::UnknownService(name.to_owned()))?;
            for method in service.methods() {
                rules.insert(format!("/{name}/{}", method.name()), rule_of(&pool, &method)?);
            }
        }
        Ok(Self(rules))
    }

    /// Lets these services in wherever the proto lets in the tenant-aware ones beside ours.
    pub fn let_in(&mut self, tenant_services: &[String]) {
        for rule in self.0.values_mut().filter(|rule| rule.tenant_services) {
            rule.services.extend_from_slice(tenant_services);
        }
    }

    /// The rule of the RPC at this path.
    pub fn get(&self, path: &str) -> Option<&AccessRule> {
        self.0.get(path)
    }

    /// Every path with its rule.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &AccessRule)> {
        self.0.iter().map(|(path, rule)| (path.as_str(), rule))
    }
}

fn rule_of(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<AccessRule, AccessError> {
    let refuse =
        |problem: &str| AccessError::Rule { method: method.full_name().to_owned(), problem: problem.to_owned() };
    let extension = pool
        .get_extension_by_name(ACCESS_OPTION)
        .ok_or_else(|| refuse("the access option is not in the descriptors"))?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return Err(refuse("has no access rule"));
    }
    let value = options.get_extension(&extension);
    let option = value.as_message().ok_or_else(|| refuse("its access rule is no message"))?;

    let callers = callers_of(option);
    if callers.is_empty() || callers.contains(&CallerKind::Unspecified) {
        return Err(refuse("its access rule names no kind of caller, or an unknown one"));
    }
    let scope = Some(text(option, "scope")).filter(|scope| !scope.is_empty());
    let signed_in = callers.contains(&CallerKind::User) || callers.contains(&CallerKind::Operator);
    if signed_in && scope.is_none() {
        return Err(refuse("lets users or operators in without a scope"));
    }
    let services = texts(option, "services");
    if callers.contains(&CallerKind::Service) == services.is_empty() {
        return Err(refuse("must name services exactly where it lets services in"));
    }
    let tenant_services =
        option.get_field_by_name("tenant_services").and_then(|value| value.as_bool()).unwrap_or_default();
    if tenant_services && services.is_empty() {
        return Err(refuse("lets tenant-aware services in where it lets no services in"));
    }
    let path = text(option, "tenant_field");
    let tenant_field = match path.as_str() {
        "" => None,
        path => {
            Some(tenant_field(method, path).ok_or_else(|| refuse("its tenant field is no text field of the request"))?)
        }
    };
    let plugin = Some(text(option, "plugin")).filter(|plugin| !plugin.is_empty()).map(Arc::from);
    let streams = method.is_server_streaming();
    Ok(AccessRule { callers, scope, tenant_field, services, tenant_services, plugin, streams })
}

fn tenant_field(method: &MethodDescriptor, path: &str) -> Option<TenantField> {
    let mut message = Some(method.input());
    let mut numbers = Vec::new();
    let mut is_text = false;
    for name in path.split('.') {
        let field = message?.get_field_by_name(name)?;
        numbers.push(field.number());
        is_text = field.kind() == prost_reflect::Kind::String && !field.is_list();
        message = field.kind().as_message().cloned();
    }
    is_text.then(|| TenantField { path: path.to_owned(), numbers })
}

fn callers_of(option: &DynamicMessage) -> Vec<CallerKind> {
    list(option, "callers")
        .iter()
        .filter_map(Value::as_enum_number)
        .map(|number| CallerKind::try_from(number).unwrap_or(CallerKind::Unspecified))
        .collect()
}

fn text(option: &DynamicMessage, field: &str) -> String {
    option.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn texts(option: &DynamicMessage, field: &str) -> Vec<String> {
    list(option, field).iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

fn list(option: &DynamicMessage, field: &str) -> Vec<Value> {
    debug_assert!(option.descriptor().get_field_by_name(field).is_some());
    option.get_field_by_name(field).and_then(|value| value.as_list().map(<[Value]>::to_vec)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_with_every_part() {
        let rules = AccessRules::of_services(["tenantry.catalog.v1.CompanyService"]).expect("rules");
        let rule = rules.get("/tenantry.catalog.v1.CompanyService/GetCompany").expect("a rule");
        assert_eq!(rule.callers, [CallerKind::User, CallerKind::Operator]);
        assert_eq!(rule.scope.as_deref(), Some("catalog.companies.read"));
        assert_eq!(rule.tenant_field, Some(TenantField { path: "id".into(), numbers: vec![1] }));
    }

    #[test]
    fn services_beside_ours_are_let_in_where_the_proto_says_so_and_nowhere_else() {
        let directory = "tenantry.catalog.v1.TenantDirectoryService";
        let mut rules = AccessRules::of_services([directory]).expect("rules");
        rules.let_in(&["notes".to_owned()]);
        let lets_in: Vec<_> = rules.iter().filter(|(_, rule)| rule.services.contains(&"notes".to_owned())).collect();
        let mut paths: Vec<_> = lets_in.iter().map(|(path, _)| path.rsplit('/').next().unwrap_or_default()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["ResolveTenant", "WatchTenants"]);
    }

    #[test]
    fn a_service_that_is_not_ours_has_no_rules() {
        let error = AccessRules::of_services(["grpc.health.v1.Health"]).expect_err("no rules");
        assert_eq!(error, AccessError::UnknownService("grpc.health.v1.Health".into()));
    }
}
