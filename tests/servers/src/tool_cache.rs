//! The user's cache of installed tools: one directory for each tool and version, outside of any checkout.
//!
//! `$BERTH_CACHE/tools/<name>-<version>`, or below `$XDG_CACHE_HOME/berth` or `~/.cache/berth`. A tool counts as installed
//! when its directory holds a stamp with the expected content. The stamp is written last, so an interrupted installation
//! is never used.

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Result};

/// The stamp of a finished installation, in the directory of the tool.
const STAMP: &str = ".installed";

/// A tool in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// For example `nats-server`.
    pub name: &'static str,
    /// For example `2.15.1`.
    pub version: String,
    /// What exactly is installed, for example the list of packages. The tool is installed again when it changes.
    pub contents: String,
}

/// How a tool becomes visible in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// Into a temporary directory that is renamed at the end.
    Renamed,
    /// Into the final directory: Python environments contain their own path and cannot be moved.
    InPlace,
}

/// A directory of installed tools.
#[derive(Clone, Debug)]
pub struct ToolCache {
    root: PathBuf,
}

impl Tool {
    /// A tool whose version says exactly what is installed.
    pub fn new(name: &'static str, version: impl Into<String>) -> Self {
        let version = version.into();
        Self {
            name,
            contents: version.clone(),
            version,
        }
    }

    fn dir_name(&self) -> String {
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
        let version = self.version.chars();
        let version: String = version.map(|c| if safe(c) { c } else { '_' }).collect();
        format!("{}-{version}", self.name)
    }
}

impl ToolCache {
    /// The cache of the user who runs this.
    pub fn of_user() -> Self {
        Self {
            root: root(|name| env::var_os(name), env::home_dir()),
        }
    }

    /// A cache in a given directory.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory of a tool, if the tool is installed.
    pub fn find(&self, tool: &Tool) -> Option<PathBuf> {
        let dir = self.dir(tool);
        is_complete(&dir, &tool.contents).then_some(dir)
    }

    /// The directories of all installed versions of a tool, the highest version first.
    pub fn versions(&self, name: &str) -> Vec<PathBuf> {
        let version = |dir: &Path| {
            let dir_name = dir.file_name()?.to_str()?;
            let rest = dir_name.strip_prefix(name)?.strip_prefix('-')?;
            // `postgresql-client-15` is another tool than `postgresql`.
            rest.starts_with(|c: char| c.is_ascii_digit())
                .then(|| numbers(rest))
        };
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|dir| dir.join(STAMP).is_file())
            .filter_map(|dir| Some((version(&dir)?, dir)))
            .collect();
        found.sort();
        found.into_iter().rev().map(|(_, dir)| dir).collect()
    }

    /// Installs a tool unless it is installed, and returns its directory. `install` gets the directory to fill. Other
    /// processes that need the same tool wait for a file lock.
    pub fn install(
        &self,
        tool: &Tool,
        how: Install,
        install: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        if let Some(dir) = self.find(tool) {
            return Ok(dir);
        }
        let name = tool.dir_name();
        fs::create_dir_all(&self.root)
            .with_context(|| format!("cannot create {}", self.root.display()))?;
        let lock = File::create(self.root.join(format!(".{name}.lock")))?;
        lock.lock()
            .with_context(|| format!("cannot lock the installation of {name}"))?;
        // Another process may have installed it in the meantime.
        if let Some(dir) = self.find(tool) {
            return Ok(dir);
        }
        let dir = self.dir(tool);
        remove(&dir)?;
        let target = match how {
            Install::InPlace => dir.clone(),
            Install::Renamed => self.root.join(format!(".{name}.{}", process::id())),
        };
        remove(&target)?;
        fs::create_dir_all(&target)?;
        let installed = install(&target).with_context(|| format!("cannot install {name}"));
        if installed.is_err() {
            // The error of the installation says more than one of the clean-up.
            let _ = remove(&target);
        }
        installed?;
        fs::write(target.join(STAMP), &tool.contents)?;
        if target != dir {
            fs::rename(&target, &dir)?;
        }
        Ok(dir)
    }

    fn dir(&self, tool: &Tool) -> PathBuf {
        self.root.join(tool.dir_name())
    }
}

/// The root of the cache, from environment variables and the home directory.
fn root(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> PathBuf {
    // The XDG specification says that relative paths are ignored.
    let absolute = |name: &str| {
        let path = PathBuf::from(variable(name)?);
        path.is_absolute().then_some(path)
    };
    let berth = absolute("BERTH_CACHE")
        .or_else(|| Some(absolute("XDG_CACHE_HOME")?.join("berth")))
        .or_else(|| Some(home?.join(".cache/berth")))
        // A user without a home directory has a cache for each checkout.
        .unwrap_or_else(|| {
            let here = Path::new(env!("CARGO_MANIFEST_DIR"));
            let checkout = here.ancestors().nth(2).unwrap_or(here);
            checkout.join("target")
        });
    berth.join("tools")
}

fn is_complete(dir: &Path, contents: &str) -> bool {
    fs::read_to_string(dir.join(STAMP)).is_ok_and(|stamp| stamp == contents)
}

fn remove(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}

/// The numbers of a version, for comparison: `15.14-0+deb12u1` is `[15, 14, 0, 12, 1]`.
fn numbers(version: &str) -> Vec<u64> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        thread,
    };

    use anyhow::bail;

    use super::*;

    fn cache() -> (tempfile::TempDir, ToolCache) {
        let dir = tempfile::tempdir().unwrap();
        let cache = ToolCache::at(dir.path().join("tools"));
        (dir, cache)
    }

    fn root_with(variables: &[(&str, &str)], home: Option<&str>) -> PathBuf {
        let variable = |name: &str| {
            let mut given = variables.iter().filter(|(given, _)| *given == name);
            given.next().map(|(_, value)| value.into())
        };
        root(variable, home.map(PathBuf::from))
    }

    #[test]
    fn the_root_is_named_by_berth_cache_then_xdg_then_home() {
        let (berth, xdg) = (("BERTH_CACHE", "/b"), ("XDG_CACHE_HOME", "/x"));
        let home = Some("/home/me");
        assert_eq!(root_with(&[berth, xdg], home), Path::new("/b/tools"));
        assert_eq!(root_with(&[xdg], home), Path::new("/x/berth/tools"));
        let in_home = Path::new("/home/me/.cache/berth/tools");
        assert_eq!(root_with(&[], home), in_home);
        for relative in ["", "cache"] {
            assert_eq!(root_with(&[("XDG_CACHE_HOME", relative)], home), in_home);
        }
        assert!(root_with(&[], None).ends_with("target/tools"));
    }

    #[test]
    fn versions_live_side_by_side() {
        let (_dir, cache) = cache();
        let install = |version: &str| {
            let tool = Tool::new("postgresql", version);
            let fill = |dir: &Path| Ok(fs::write(dir.join("version"), version)?);
            cache.install(&tool, Install::Renamed, fill).unwrap()
        };
        let dirs = ["15.14-0+deb12u1", "9.6", "15.2"].map(install);
        let other = Tool::new("postgresql-client", "99");
        cache.install(&other, Install::Renamed, |_| Ok(())).unwrap();
        let [newest, oldest, middle] = &dirs;
        assert_eq!(
            cache.versions("postgresql"),
            [newest, middle, oldest].map(Clone::clone)
        );
        let kept = fs::read_to_string(oldest.join("version")).unwrap();
        assert_eq!(kept, "9.6");
        assert!(newest.ends_with("postgresql-15.14-0+deb12u1"));
    }

    #[test]
    fn a_version_cannot_leave_the_cache() {
        let dir = ToolCache::at("/tools").dir(&Tool::new("pgbouncer", "1:1.18/../x"));
        assert_eq!(dir, Path::new("/tools/pgbouncer-1_1.18_.._x"));
    }

    #[test]
    fn an_interrupted_installation_is_not_found_and_is_done_again() {
        for how in [Install::Renamed, Install::InPlace] {
            let (_dir, cache) = cache();
            let tool = Tool::new("buf", "1.75.0");
            let half = cache.install(&tool, how, |dir| {
                fs::write(dir.join("half"), "")?;
                bail!("the network is down")
            });
            assert!(format!("{:#}", half.unwrap_err()).contains("the network is down"));
            assert_eq!(cache.find(&tool), None);
            // A killed installation leaves its directory without a stamp.
            fs::create_dir_all(cache.dir(&tool)).unwrap();
            fs::write(cache.dir(&tool).join("half"), "").unwrap();
            assert_eq!((cache.find(&tool), cache.versions("buf")), (None, vec![]));

            let fill = |dir: &Path| Ok(fs::write(dir.join("buf"), "")?);
            let dir = cache.install(&tool, how, fill).unwrap();
            assert!(dir.join("buf").is_file() && !dir.join("half").exists());
            assert_eq!(cache.find(&tool), Some(dir));
        }
    }

    #[test]
    fn other_contents_of_the_same_version_are_installed_again() {
        let (_dir, cache) = cache();
        let mut tool = Tool::new("python-clients", "1");
        let installs = AtomicU32::new(0);
        for (contents, count) in [("grpcio==1", 1), ("grpcio==1", 1), ("grpcio==2", 2)] {
            contents.clone_into(&mut tool.contents);
            let fill = |_: &Path| {
                installs.fetch_add(1, Ordering::SeqCst);
                Ok(())
            };
            cache.install(&tool, Install::InPlace, fill).unwrap();
            assert_eq!(installs.load(Ordering::SeqCst), count);
        }
    }

    #[test]
    fn two_runs_install_a_tool_once() {
        let (_dir, cache) = cache();
        let tool = Tool::new("cargo-deny", "0.20.2");
        let installs = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let fill = |_: &Path| {
                        installs.fetch_add(1, Ordering::SeqCst);
                        Ok(())
                    };
                    cache.install(&tool, Install::Renamed, fill).unwrap();
                });
            }
        });
        assert_eq!(installs.load(Ordering::SeqCst), 1);
    }
}
