//! Settings of the contexts: a struct of flags each, every flag with an environment variable and a safe default.

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    sync::Arc,
};

use clap::{ArgMatches, Args, Command};

type Read = (TypeId, Arc<dyn Any + Send + Sync>);

/// How one context's settings are added to the command line and read from it.
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

    /// Adds the flags to a command line. A flag that is there already is shared: who issues tokens, for example, is one
    /// fact, and both who issues and who believes them must know it.
    pub fn augment(self, command: Command) -> Command {
        let own = (self.augment)(Command::new("own"));
        let known: Vec<_> = command
            .get_arguments()
            .map(|flag| flag.get_id().clone())
            .collect();
        let new = own
            .get_arguments()
            .filter(|flag| !known.contains(flag.get_id()))
            .zip(known.len()..)
            .map(|(flag, place)| flag.clone().display_order(place));
        let new: Vec<_> = new.collect();
        command.args(new)
    }
}

/// The settings of all contexts of a process.
#[derive(Clone, Debug, Default)]
pub struct Settings(BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl Settings {
    /// Reads the settings of some types from a command line that was made with [`SettingsType::augment`].
    pub fn read(types: &[SettingsType], matches: &ArgMatches) -> Result<Self, clap::Error> {
        let read = types.iter().map(|settings| (settings.read)(matches));
        Ok(Self(read.collect::<Result<_, _>>()?))
    }

    /// The defaults of some types, environment variables not read. For tests.
    pub fn defaults(types: &[SettingsType]) -> Result<Self, clap::Error> {
        let command = types
            .iter()
            .fold(Command::new("defaults"), |command, settings| {
                settings.augment(command)
            });
        let command = command.mut_args(|arg| arg.env(None::<&str>));
        Self::read(types, &command.try_get_matches_from(["defaults"])?)
    }

    /// The same settings with one type's replaced.
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
