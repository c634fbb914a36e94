//! Where the binaries of the servers are.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The oldest PostgreSQL that will do.
const OLDEST: u32 = 14;

/// Where `cargo xtask tools` puts what it installs.
pub fn tools() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).unwrap_or(here);
    root.join("target/tools")
}

/// The binary of NATS: the one that `BERTH_TEST_NATS_SERVER` names, the one that was installed, or the one on the path.
pub fn nats_server() -> Option<PathBuf> {
    if let Some(named) = env::var_os("BERTH_TEST_NATS_SERVER") {
        return Some(named.into());
    }
    let on_path = path().into_iter().map(|dir| dir.join("nats-server"));
    [tools().join("nats/bin/nats-server")]
        .into_iter()
        .chain(on_path)
        .find(|binary| binary.is_file())
}

/// The folder with the binaries of PostgreSQL (`initdb`, `postgres`): the one that `BERTH_TEST_POSTGRES_BIN` names, the one
/// on the path, or the newest of those that a package installed, here or below [`tools`].
pub fn postgres_bin() -> Option<PathBuf> {
    if let Some(named) = env::var_os("BERTH_TEST_POSTGRES_BIN") {
        return Some(named.into());
    }
    let packages = ["/".into(), tools().join("postgres")].map(|root: PathBuf| {
        let mut versions = entries(&root.join("usr/lib/postgresql"));
        versions.sort_by_key(|version| std::cmp::Reverse(number(version.file_name())));
        versions.into_iter().map(|version| version.join("bin"))
    });
    path()
        .into_iter()
        // A link on the path leads to all the others.
        .filter_map(|dir| Some(dir.join("initdb").canonicalize().ok()?.parent()?.to_owned()))
        .chain(packages.into_iter().flatten())
        .find(|bin| bin.join("initdb").is_file() && is_new_enough(bin))
}

/// The folder with PgBouncer: on the path, or where the package has it, here or below [`tools`].
pub fn pgbouncer_bin() -> Option<PathBuf> {
    let packages =
        ["/".into(), tools().join("pgbouncer")].map(|root: PathBuf| root.join("usr/sbin"));
    let mut places = path().into_iter().chain(packages);
    places.find(|bin| bin.join("pgbouncer").is_file())
}

/// Where the package was unpacked that has this `usr/lib/postgresql/15/bin` or `usr/sbin`.
pub(crate) fn unpacked(bin: &Path) -> Option<&Path> {
    let usr = bin.ancestors().find(|dir| dir.ends_with("usr"))?;
    usr.parent()
}

/// The libraries that were unpacked along with it.
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
    let told = with_libraries(&mut command, bin).arg("--version").output();
    told.is_ok_and(|told| {
        let text = String::from_utf8_lossy(&told.stdout).into_owned();
        let version = text.split_whitespace().nth(2).unwrap_or_default();
        let major: String = version.chars().take_while(char::is_ascii_digit).collect();
        major.parse::<u32>().is_ok_and(|major| major >= OLDEST)
    })
}

/// Lets a binary find the libraries that were unpacked along with it.
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
