//! Where the binaries of the servers are: named by the environment, installed on this machine, or in the tool cache.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::tool_cache::{Tool, ToolCache};

/// The oldest supported major version of PostgreSQL.
const OLDEST: u32 = 14;
/// The version of `nats-server` that `cargo xtask tools` installs.
pub const NATS_VERSION: &str = "2.15.1";
/// The name of PostgreSQL in the tool cache.
pub const POSTGRES: &str = "postgresql";
/// The name of PgBouncer in the tool cache.
pub const PGBOUNCER: &str = "pgbouncer";

/// `nats-server` in the tool cache: a Python environment whose `bin` has the program.
pub fn nats_tool() -> Tool {
    Tool::new("nats-server", NATS_VERSION)
}

/// The binary of NATS: named by `BERTH_TEST_NATS_SERVER`, in the tool cache, or on the path.
pub fn nats_server() -> Option<PathBuf> {
    if let Some(named) = env::var_os("BERTH_TEST_NATS_SERVER") {
        return Some(named.into());
    }
    let cached = ToolCache::of_user().find(&nats_tool());
    let cached = cached.map(|dir| dir.join("bin/nats-server"));
    let on_path = path().into_iter().map(|dir| dir.join("nats-server"));
    cached
        .into_iter()
        .chain(on_path)
        .find(|binary| binary.is_file())
}

/// The directory with the binaries of PostgreSQL (`initdb`, `postgres`): named by `BERTH_TEST_POSTGRES_BIN`, on the path,
/// or the newest that a package has installed on the machine or in the tool cache.
pub fn postgres_bin() -> Option<PathBuf> {
    if let Some(named) = env::var_os("BERTH_TEST_POSTGRES_BIN") {
        return Some(named.into());
    }
    let packages = package_roots(POSTGRES).into_iter().flat_map(|root| {
        let mut versions = entries(&root.join("usr/lib/postgresql"));
        versions.sort_by_key(|version| std::cmp::Reverse(number(version.file_name())));
        versions.into_iter().map(|version| version.join("bin"))
    });
    path()
        .into_iter()
        // On the path is usually a symbolic link; the other programs are beside its target.
        .filter_map(|dir| Some(dir.join("initdb").canonicalize().ok()?.parent()?.to_owned()))
        .chain(packages)
        .find(|bin| bin.join("initdb").is_file() && is_new_enough(bin))
}

/// The directory with PgBouncer: on the path, or where a package has it on the machine or in the tool cache.
pub fn pgbouncer_bin() -> Option<PathBuf> {
    let packages = package_roots(PGBOUNCER).into_iter();
    let packages = packages.map(|root| root.join("usr/sbin"));
    let mut candidates = path().into_iter().chain(packages);
    candidates.find(|bin| bin.join("pgbouncer").is_file())
}

/// The directories that may have `usr/…` of a Debian package: the machine's root, then the tool cache.
fn package_roots(tool: &str) -> Vec<PathBuf> {
    let mut roots = vec![PathBuf::from("/")];
    roots.extend(ToolCache::of_user().versions(tool));
    roots
}

/// The directory into which the package with this `usr/lib/postgresql/15/bin` or `usr/sbin` was unpacked.
pub(crate) fn unpacked(bin: &Path) -> Option<&Path> {
    let usr = bin.ancestors().find(|dir| dir.ends_with("usr"))?;
    usr.parent()
}

/// The directories of the libraries that were unpacked with the binaries.
fn libraries(bin: &Path) -> Vec<PathBuf> {
    let has_name = |dir: &PathBuf| dir.display().to_string().ends_with("-linux-gnu");
    let root = unpacked(bin).into_iter();
    root.flat_map(|root| ["usr/lib", "lib"].map(|lib| root.join(lib)))
        .flat_map(|lib| entries(&lib))
        .filter(has_name)
        .collect()
}

fn is_new_enough(bin: &Path) -> bool {
    // postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)
    let mut command = Command::new(bin.join("postgres"));
    let output = with_libraries(&mut command, bin).arg("--version").output();
    output.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = text.split_whitespace().nth(2).unwrap_or_default();
        let major: String = version.chars().take_while(char::is_ascii_digit).collect();
        major.parse::<u32>().is_ok_and(|major| major >= OLDEST)
    })
}

/// Sets the library path of a binary to the libraries that were unpacked with it.
pub(crate) fn with_libraries<'a>(command: &'a mut Command, bin: &Path) -> &'a mut Command {
    match env::join_paths(libraries(bin)) {
        Ok(paths) if !paths.is_empty() => command.env("LD_LIBRARY_PATH", paths),
        _ => command,
    }
}

fn number(name: Option<&OsStr>) -> u32 {
    let name = name.unwrap_or_default().to_string_lossy();
    name.parse().unwrap_or_default()
}

fn path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).collect()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).collect()
}
