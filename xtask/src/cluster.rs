//! `cargo xtask cluster`: builds and packs what the crate `cluster` needs, and runs it.
use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use servers::{Install, Tool};

use crate::{
    image::{self, Entry, Files, Image, Layer},
    run::{run, run_in},
    tools::{self, cache, cargo, root},
};

const KUBERNETES: &str = "1.34.4";
const ETCD: &str = "3.6.14";
const COREDNS: &str = "1.13.1";
const METRICS_SERVER: &str = "0.8.0";
/// The programs of Kubernetes.
const PROGRAMS: [&str; 6] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
];

/// What must be installed: programs, and the Debian packages that have them.
const NEEDED: [(&str, &str); 10] = [
    ("/usr/bin/containerd", "containerd"),
    ("/usr/bin/ctr", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/sbin/iptables", "iptables"),
    ("/usr/sbin/conntrack", "conntrack"),
    ("/bin/ip", "iproute2"),
    ("/usr/bin/openssl", "openssl"),
    ("/usr/bin/unshare", "util-linux"),
    ("/usr/bin/nsenter", "util-linux"),
];

/// Builds what is not built yet, and replaces this process by `cluster`.
pub(crate) fn cluster(arguments: &[String]) -> Result<()> {
    check_machine()?;
    let programs = programs()?;
    let helm = tools::helms()?.map(|[_, newest]| newest);
    let images = images(&programs)?;
    run(cargo().args(["build", "--package", "cluster"]))?;
    // `exec`, so that only `cluster` receives Ctrl-C.
    Err(Command::new(root().join("target/debug/cluster"))
        .args(arguments)
        .env("BERTH_CLUSTER_PROGRAMS", programs)
        .env("BERTH_CLUSTER_IMAGES", images)
        .env("BERTH_CLUSTER_HELM", helm.context("Helm needs Go")?)
        .env("BERTH_CLUSTER_REPOSITORY", root())
        .exec())
    .context("cannot start the cluster")
}

/// Says everything that is missing, and how to get it.
fn check_machine() -> Result<()> {
    let status = fs::read_to_string("/proc/self/status").context("this needs Linux")?;
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let user = user.and_then(|ids| ids.split_whitespace().nth(1));
    ensure!(
        user == Some("0"),
        "this needs root: it makes namespaces, mounts and cgroups"
    );
    let missing = NEEDED
        .iter()
        .filter(|(program, _)| !Path::new(program).exists());
    let mut packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    packages.dedup();
    ensure!(
        packages.is_empty(),
        "not installed; try: apt-get install --no-install-recommends {}",
        packages.join(" ")
    );
    ensure!(
        Command::new("go").arg("version").output().is_ok(),
        "Kubernetes is built from source, which needs Go (https://go.dev/dl)"
    );
    Ok(())
}

/// The directory with the programs of Kubernetes and everything else that is written in Go. The first build takes half an
/// hour of two cores.
fn programs() -> Result<PathBuf> {
    let modules = root().join("tests/cluster/go");
    let mut contents = String::new();
    for file in [
        "kubernetes/go.mod",
        "etcd/go.mod",
        "coredns/go.mod",
        "coredns/main.go",
        "pause/main.go",
    ] {
        contents += &fs::read_to_string(modules.join(file))?;
    }
    let tool = Tool {
        name: "kubernetes",
        version: KUBERNETES.to_owned(),
        contents: format!(
            "{contents}\netcd {ETCD}, CoreDNS {COREDNS}, metrics-server {METRICS_SERVER}"
        ),
    };
    cache().install(&tool, Install::Renamed, |dir| {
        let (major, minor) = KUBERNETES.split_once('.').context("no version")?;
        let minor = minor.split('.').next().unwrap_or_default();
        let version = "-X k8s.io/component-base/version";
        let flags = format!(
            "-s -w {version}.gitVersion=v{KUBERNETES} {version}.gitMajor={major} {version}.gitMinor={minor}"
        );
        let kubernetes = PROGRAMS.map(|name| format!("k8s.io/kubernetes/cmd/{name}"));
        go_build(&modules.join("kubernetes"), &flags, &kubernetes, dir)?;
        go_build(&modules.join("etcd"), "-s -w", &["go.etcd.io/etcd/server/v3".into()], &dir.join("etcd"))?;
        for name in ["coredns", "pause"] {
            go_build(&modules.join(name), "-s -w", &[".".into()], &dir.join(name))?;
        }
        run(go(Command::new("go")
            .args(["install", "-trimpath", "-ldflags=-s -w"])
            .arg(format!("sigs.k8s.io/metrics-server/cmd/metrics-server@v{METRICS_SERVER}"))
            .env("GOBIN", dir)))
    })
}

fn go_build(module: &Path, flags: &str, packages: &[String], to: &Path) -> Result<()> {
    eprintln!("=== build of {}", packages.join(", "));
    let mut build = Command::new("go");
    build
        .args(["build", "-trimpath", "-ldflags", flags, "-o"])
        .arg(to)
        .args(packages);
    run_in(module, go(&mut build))
}

/// The same result whatever the user's settings of Go are.
fn go(command: &mut Command) -> &mut Command {
    command.env("CGO_ENABLED", "0").env("GOFLAGS", "")
}

/// The images of the cluster, with names that its manifests have.
fn images(programs: &Path) -> Result<PathBuf> {
    let dir = root().join("target/cluster-images");
    fs::create_dir_all(&dir)?;
    let berth = image::build()?;
    pack(&dir, "berth:cluster", "/berth", &image::files(&berth)?)?;
    for name in ["pause", "coredns", "metrics-server"] {
        let path = format!("/{name}");
        let files = Files::from([
            (path.clone().into(), Entry::File(programs.join(name))),
            ("/tmp".into(), Entry::Directory),
        ]);
        pack(&dir, &format!("{name}:1"), &path, &files)?;
    }
    let nats = tools::nats()?.context("NATS needs python3")?;
    let nats = Files::from([("/nats-server".into(), Entry::File(nats))]);
    pack(&dir, "nats:1", "/nats-server", &nats)?;
    pack(&dir, "postgres:1", "/entrypoint", &postgres()?)?;
    Ok(dir)
}

/// Writes an image, unless nothing in it is newer than the image.
fn pack(dir: &Path, name: &str, entrypoint: &str, files: &Files) -> Result<()> {
    let to = dir.join(format!("{}.tar", name.replace(':', "-")));
    let sources = files.values().filter_map(|entry| match entry {
        Entry::File(source) => Some(source),
        _ => None,
    });
    let time = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    let newest = sources.map(|source| time(source)).max().flatten();
    if time(&to) > newest {
        return Ok(());
    }
    let image = Image {
        name: format!("localhost/{name}"),
        entrypoint: vec![entrypoint.to_owned()],
        labels: BTreeMap::new(),
    };
    image::write(&image, &Layer::of(files)?, &to)?;
    Ok(())
}

/// What `initdb`, and the chart's backups, need beside PostgreSQL.
const SHELL: [&str; 5] = ["sh", "date", "ls", "mv", "tail"];

/// PostgreSQL as Debian packs it.
fn postgres() -> Result<Files> {
    let bin = tools::postgres()?.context("PostgreSQL needs apt-get")?;
    let usr = bin.ancestors().find(|dir| dir.ends_with("usr"));
    let debian = usr.and_then(Path::parent).context("no directory usr")?;
    let version = bin
        .parent()
        .and_then(Path::file_name)
        .context("no version")?;
    let share = debian.join("usr/share/postgresql").join(version);
    let library = bin.with_file_name("lib");
    let mut files = Files::from([
        (
            "/entrypoint".into(),
            Entry::File(root().join("tests/cluster/node/postgres.sh")),
        ),
        ("/etc/passwd".into(), Entry::Text(image::PASSWD.to_owned())),
        ("/tmp".into(), Entry::Directory),
    ]);
    for program in SHELL {
        add_program(&mut files, Path::new("/"), &Path::new("/bin").join(program))?;
    }
    for program in fs::read_dir(&bin)? {
        let program = program?;
        add_program(&mut files, debian, &program.path())?;
        let inside = Path::new("/").join(program.path().strip_prefix(debian)?);
        files.insert(
            Path::new("/usr/bin").join(program.file_name()),
            Entry::Link(inside),
        );
    }
    add_directory(&mut files, debian, &share)?;
    add_directory(&mut files, debian, &library)?;
    // The compiler of expensive queries would need LLVM.
    files.retain(|path, _| !path.to_string_lossy().contains("llvmjit"));
    add_directory(&mut files, Path::new("/"), Path::new("/usr/share/zoneinfo"))?;
    Ok(files)
}

/// Adds a program and the shared libraries that it is linked with.
fn add_program(files: &mut Files, debian: &Path, program: &Path) -> Result<()> {
    let libraries =
        ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|dir| debian.join(dir));
    let output = Command::new("ldd")
        .arg(program)
        .env("LD_LIBRARY_PATH", env::join_paths(libraries)?)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // libpq.so.5 => /lib/x86_64-linux-gnu/libpq.so.5 (0x00007f…)
    let linked = text.split_whitespace().filter(|word| word.starts_with('/'));
    for file in linked.map(Path::new).chain([program]) {
        let inside = file
            .strip_prefix(debian)
            .or_else(|_| file.strip_prefix("/"))?;
        files.insert(Path::new("/").join(inside), Entry::File(file.to_owned()));
    }
    Ok(())
}

/// Adds the files of a directory, with what symbolic links in it lead to.
fn add_directory(files: &mut Files, debian: &Path, dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            add_directory(files, debian, &path)?;
        } else if path.is_file() {
            let inside = Path::new("/").join(path.strip_prefix(debian)?);
            files.insert(inside, Entry::File(path));
        }
    }
    Ok(())
}
