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

    /// Adds the flags to a command line.
    pub fn augment(self, command: Command) -> Command {
        (self.augment)(command)
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
