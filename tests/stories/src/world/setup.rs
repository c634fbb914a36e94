//! How the processes of a world are set up.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

use chassis::{config::Addresses, platform::Options, settings::Settings};

use super::{ADMIN, Process};
use crate::{mode::Mode, people::PASSWORD};

/// By it the processes of the mesh know each other: 32 bytes in base64.
const SERVICE_KEY: &str = "QSBrZXkgdGhhdCBpcyBvbmx5IHVzZWQgaW4gc3Rvcmk=";

/// The settings of every context, by flags that each of them may know.
pub(super) fn settings(flags: &[&str]) -> Settings {
    let contexts = all::contexts();
    let types = contexts.iter().flat_map(|context| context.settings.clone());
    let types: Vec<_> = types.collect();
    let command = types
        .iter()
        .fold(clap::Command::new("world"), |command, settings| {
            settings.augment(command)
        });
    let operator = ["--admin-email", ADMIN, "--admin-password", PASSWORD];
    let words = ["world"].iter().chain(&operator).chain(flags);
    let matches = command.try_get_matches_from(words).expect("flags");
    Settings::read(&types, &matches).expect("settings")
}

/// The processes of a mode, none of which runs yet.
pub(super) fn processes(mode: Mode, dir: &Path, base: &Options) -> Vec<Process> {
    let names = all::contexts().into_iter().map(|context| context.name);
    match mode {
        Mode::One => vec![Process::of(names.collect(), base.clone())],
        Mode::Mesh => {
            let key = dir.join("service.key");
            fs::write(&key, SERVICE_KEY).expect("writes");
            let alone = names.map(|context| {
                let mut options = base.clone();
                context.clone_into(&mut options.process);
                options.config.data_dir = dir.join(context);
                options.config.trust.service_key_file = Some(key.clone());
                Process::of(vec![context], options)
            });
            introduce(alone.collect())
        }
    }
}

/// Tells every process where the others are.
fn introduce(mut processes: Vec<Process>) -> Vec<Process> {
    let addresses = |of: fn(&Process) -> SocketAddr| {
        let named = processes.iter().flat_map(move |process| {
            let names = process.contexts().iter();
            names.map(move |name| ((*name).to_owned(), format!("http://{}", of(process))))
        });
        named.collect::<BTreeMap<_, _>>()
    };
    let (peers, logs) = (addresses(Process::public), addresses(Process::admin));
    for process in &mut processes {
        let own = process.contexts().to_vec();
        let others = |all: &BTreeMap<String, String>| {
            let others = all.iter().filter(|(name, _)| !own.contains(&name.as_str()));
            Addresses(
                others
                    .map(|(name, at)| (name.clone(), at.clone()))
                    .collect(),
            )
        };
        let (peers, logs) = (others(&peers), others(&logs));
        process.options().peers = peers;
        process.options().logs = logs;
    }
    processes
}
