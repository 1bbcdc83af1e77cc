//! `deploy/kubernetes` says of our programs what they say of themselves. That its objects are what Kubernetes takes is
//! looked at by `cargo xtask lint`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tenantry_api::access::descriptor_pool;
use tenantry_rpc::server::PROCESS;

use crate::compose::variables;

const SERVICES: [&str; 3] = ["catalog", "migrator", "crm"];

/// Every file with its documents.
fn files() -> anyhow::Result<Vec<(PathBuf, Vec<Value>)>> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path)?;
                let documents = serde_saphyr::from_multiple(&text).with_context(|| path.display().to_string())?;
                found.push((path, documents));
            }
        }
    }
    Ok(found)
}

/// Every object that has `key`, however deep, in a document and in the patches that it has as text.
fn each(value: &Value, key: &str, see: &mut impl FnMut(&Value)) {
    match value {
        Value::Object(object) => {
            if object.contains_key(key) {
                see(value);
            }
            object.values().for_each(|inner| each(inner, key, see));
            if let Some(Value::String(patch)) = object.get("patch") {
                let patches: Vec<Value> = serde_saphyr::from_multiple(patch).expect("a patch");
                patches.iter().for_each(|patch| each(patch, key, see));
            }
        }
        Value::Array(all) => all.iter().for_each(|inner| each(inner, key, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn documents() -> anyhow::Result<Vec<Value>> {
    Ok(files()?.into_iter().flat_map(|(_, documents)| documents).collect())
}

fn of_kind(kind: &str) -> anyhow::Result<Vec<Value>> {
    let all = documents()?;
    let found: Vec<_> = all.into_iter().filter(|document| document["kind"] == kind).collect();
    ensure!(!found.is_empty(), "there is no {kind}");
    Ok(found)
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

#[tokio::test]
async fn every_variable_of_ours_is_a_flag_of_its_program() -> anyhow::Result<()> {
    let mut anybodys = BTreeSet::new();
    for service in SERVICES {
        anybodys.extend(variables(service, &["serve".to_owned()]).await?);
    }
    let mut containers = Vec::new();
    let mut shared = BTreeSet::new();
    for document in documents()? {
        each(&document, "env", &mut |container| containers.push(container.clone()));
        for settings in document["configMapGenerator"].as_array().into_iter().flatten() {
            shared.extend(
                texts(&settings["literals"]).iter().filter_map(|text| Some(text.split_once('=')?.0.to_owned())),
            );
        }
    }
    for container in containers {
        let names = container["env"].as_array().context("a list")?.iter().filter_map(|one| one["name"].as_str());
        // A patch for all of them has no image.
        let known = match container["image"].as_str().and_then(|image| image.strip_prefix("tenantry/")) {
            Some(image) => variables(image, &texts(&container["args"]).into_iter().collect::<Vec<_>>()).await?,
            None => anybodys.clone(),
        };
        for name in names {
            ensure!(known.contains(name), "{}: {name} is nothing that it knows", container["image"]);
        }
    }
    ensure!(shared.contains("TENANTRY_MESH") && shared.is_subset(&anybodys), "{shared:?}");
    Ok(())
}

/// A process that waits for another is not ended for it, and one that has lost the catalog stays in rotation.
#[test]
fn probes_ask_for_what_they_are_to_act_on() -> anyhow::Result<()> {
    let mut asked = Vec::new();
    for document in of_kind("Deployment")? {
        each(&document, "livenessProbe", &mut |container| {
            for (probe, about) in [("startupProbe", PROCESS), ("livenessProbe", PROCESS), ("readinessProbe", "")] {
                let port = container["ports"][0]["containerPort"].clone();
                let grpc = &container[probe]["grpc"];
                asked.push((grpc["port"] == port, grpc["service"].as_str().unwrap_or_default().to_owned(), about));
            }
        });
    }
    assert_eq!(asked.len(), 3 * SERVICES.len());
    for (is_port, service, about) in asked {
        assert!(is_port);
        assert_eq!(service, about);
    }
    Ok(())
}

/// What a sidecar asks again after an answer has no effect, and is over with its answer.
#[test]
fn only_reads_are_repeated_after_an_answer() -> anyhow::Result<()> {
    let pool = descriptor_pool()?;
    let mut services = BTreeSet::new();
    for document in of_kind("VirtualService")? {
        let name = document["metadata"]["name"].as_str().context("a name")?.to_owned();
        let mut after_answers = Vec::new();
        for route in document["spec"]["http"].as_array().context("routes")? {
            let on: BTreeSet<_> = route["retries"]["retryOn"].as_str().context("no rule")?.split(',').collect();
            let never_begun = BTreeSet::from(["connect-failure", "refused-stream"]);
            if !on.is_subset(&never_begun) {
                let regex = route["match"][0]["uri"]["regex"].as_str().context("everything")?;
                after_answers.push(regex.to_owned());
            }
        }
        let [regex] = &after_answers[..] else { anyhow::bail!("{name}: {after_answers:?}") };
        let verbs = regex.strip_prefix(&format!("/tenantry\\.{name}\\.v1\\.[A-Za-z]+/(")).context("another form")?;
        let verbs: Vec<_> = verbs.strip_suffix(")[A-Za-z]*").context("another form")?.split('|').collect();
        let package = format!("tenantry.{name}.v1");
        let methods = pool.services().filter(|service| service.package_name() == package);
        let methods: Vec<_> = methods.flat_map(|service| service.methods().collect::<Vec<_>>()).collect();
        let repeated = methods.iter().filter(|method| verbs.iter().any(|verb| method.name().starts_with(verb)));
        let mut count = 0;
        for method in repeated {
            // Whatever has an effect takes a request_id.
            let has_effect = method.input().get_field_by_name("request_id").is_some();
            ensure!(!has_effect && !method.is_server_streaming(), "{} is no read", method.full_name());
            count += 1;
        }
        ensure!(count > 0 && count < methods.len(), "{name}: {count} of {} are repeated", methods.len());
        services.insert(name);
    }
    assert_eq!(services, SERVICES.map(str::to_owned).into());
    Ok(())
}

/// The mesh takes the tokens that the services take, and knows the contract's names.
#[test]
fn the_mesh_and_the_services_are_told_the_same() -> anyhow::Result<()> {
    let issuer = documents()?.into_iter().find_map(|document| {
        let literals = texts(&document["configMapGenerator"][0]["literals"]);
        literals.into_iter().find_map(|text| Some(text.strip_prefix("TENANTRY_ISSUER=")?.to_owned()))
    });
    for rules in of_kind("RequestAuthentication")? {
        let rule = &rules["spec"]["jwtRules"][0];
        assert_eq!(rule["issuer"].as_str(), issuer.as_deref());
        assert_eq!(rule["audiences"][0], rules["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"]);
    }
    let mut paths = BTreeSet::new();
    for policy in of_kind("AuthorizationPolicy")? {
        each(&policy, "notPaths", &mut |operation| paths.extend(texts(&operation["notPaths"])));
    }
    assert!(!paths.is_empty());
    for path in paths {
        let service = path.strip_prefix('/').and_then(|path| path.strip_suffix("/*")).context("a service's")?;
        ensure!(descriptor_pool()?.get_service_by_name(service).is_some(), "there is no {service}");
    }
    Ok(())
}
