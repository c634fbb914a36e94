//! Settings of the contexts: one struct of flags for each, every flag with an environment variable and a safe default.

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    sync::Arc,
};

use clap::{ArgMatches, Args, Command};

type Read = (TypeId, Arc<dyn Any + Send + Sync>);

/// The type of one context's settings: adds their flags to a command line and reads them.
#[derive(Clone, Copy, Debug)]
pub struct SettingsType {
    augment: fn(Command) -> Command,
    read: fn(&ArgMatches) -> Result<Read, clap::Error>,
}

impl SettingsType {
    /// The settings of a type.
    pub fn of<S: Args + Send + Sync + 'static>() -> Self {
        Self {
            augment: S::augment_args,
            read: |matches| {
                let settings = S::from_arg_matches(matches)?;
                Ok((TypeId::of::<S>(), Arc::new(settings)))
            },
        }
    }

    /// Adds the flags to a command line. A flag that exists already is shared: for example, the issuer of tokens and their
    /// verifiers need the same issuer name.
    pub fn augment(self, command: Command) -> Command {
        let own = (self.augment)(Command::new("own"));
        let existing: Vec<_> = command
            .get_arguments()
            .map(|flag| flag.get_id().clone())
            .collect();
        let new = own
            .get_arguments()
            .filter(|flag| !existing.contains(flag.get_id()))
            .zip(existing.len()..)
            .map(|(flag, position)| flag.clone().display_order(position));
        let new: Vec<_> = new.collect();
        command.args(new)
    }
}

/// The settings of all contexts of a process.
#[derive(Clone, Debug, Default)]
pub struct Settings(BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Settings {
    /// Reads the settings of some types from a command line with the flags of [`SettingsType::augment`].
    pub fn read(types: &[SettingsType], matches: &ArgMatches) -> Result<Self, clap::Error> {
        let read = types.iter().map(|settings| (settings.read)(matches));
        Ok(Self(read.collect::<Result<_, _>>()?))
    }

    /// The defaults of some types, without environment variables. For tests.
    pub fn defaults(types: &[SettingsType]) -> Result<Self, clap::Error> {
        let command = types
            .iter()
            .fold(Command::new("defaults"), |command, settings| {
                settings.augment(command)
            });
        let command = command.mut_args(|arg| arg.env(None::<&str>));
        Self::read(types, &command.try_get_matches_from(["defaults"])?)
    }

    /// Replaces the settings of a type.
    #[must_use]
    pub fn with<S: Send + Sync + 'static>(mut self, settings: S) -> Self {
        self.0.insert(TypeId::of::<S>(), Arc::new(settings));
        self
    }

    /// The settings of a type, if they were read.
    pub fn get<S: Send + Sync + 'static>(&self) -> Option<Arc<S>> {
        self.0
            .get(&TypeId::of::<S>())
            .cloned()
            .and_then(|settings| settings.downcast().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    mod one {
        #[derive(clap::Args)]
        pub(super) struct Settings {
            #[arg(long, default_value = "berth")]
            pub(super) issuer: String,
        }
    }

    mod other {
        #[derive(clap::Args)]
        pub(super) struct Settings {
            #[arg(long, default_value = "berth")]
            pub(super) issuer: String,
            #[arg(long, default_value_t = 3)]
            pub(super) tries: u8,
        }
    }

    #[test]
    fn contexts_share_a_flag_that_both_need() {
        let types = [
            SettingsType::of::<one::Settings>(),
            SettingsType::of::<other::Settings>(),
        ];
        let command = types.iter().fold(Command::new("x"), |command, settings| {
            settings.augment(command)
        });
        let matches = command.get_matches_from(["x", "--issuer", "me", "--tries", "7"]);
        let read = Settings::read(&types, &matches).unwrap();
        assert_eq!(read.get::<one::Settings>().unwrap().issuer, "me");
        let other = read.get::<other::Settings>().unwrap();
        assert_eq!((other.issuer.as_str(), other.tries), ("me", 7));
    }
}
