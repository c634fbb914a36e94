//! Do the contracts and the sources keep the rules of the model?
//!
//! A rule is a function that returns a list of violations. The tests apply every rule to the real sources, where it must find
//! nothing, and to planted faults, all of which it must find.
pub mod access;
pub mod client;
mod code;
pub mod consumers;
pub mod contracts;
pub mod deploy;
pub mod documents;
pub mod events;
pub mod flags;
pub mod hostile;
pub mod http;
pub mod imports;
pub mod layers;
pub mod map;
pub mod model;
pub mod names;
pub mod operating;
pub mod outcomes;
pub mod page;
pub mod panics;
pub mod requests;
pub mod requirements;
pub mod rpcs;
pub mod samples;
pub mod shape;
pub mod sources;
pub mod wire;
pub mod workflows;
pub mod workspace;
pub mod world;

use clap::Command;
use model::Model;
use prost_reflect::DescriptorPool;
use sources::Tree;

/// The name of a rule, and the function that returns its violations.
pub type Rule<T> = (&'static str, fn(&T) -> Vec<String>);

/// The rules for contracts.
pub const STYLE: &[Rule<DescriptorPool>] = &[
    ("packages", names::packages),
    ("services", names::services),
    ("requests", names::requests),
    ("enums", names::enums),
    ("comments", names::comments),
    ("idempotency", rpcs::idempotency),
    ("pages", rpcs::pages),
    ("masks", rpcs::masks),
    ("ids", rpcs::ids),
    ("access", access::declared),
    ("owned", access::owned),
    ("owner_field", access::owner_field),
    ("resource_owners", access::resource_owners),
    ("exposed", http::exposed),
    ("paths", http::paths),
    ("routes", http::routes),
    ("get", http::get),
];

/// The rules for sources.
pub const SOURCES: &[Rule<Tree>] = &[
    ("pure domain", sources::pure_domain),
    ("sql", sources::sql),
    ("length", sources::length),
    ("finished", sources::finished),
    ("sleepless", sources::sleepless),
];

/// The rules for how the sources are arranged.
pub const STRUCTURE: &[Rule<Tree>] = &[
    ("layers", layers::down),
    ("circles", imports::circles),
    ("files of a context", shape::files),
    ("headers", shape::headers),
    ("recovery", shape::recovery),
    ("claims", shape::claims),
    ("no panics", panics::none),
];

/// The rules for events between contexts.
pub const EVENTS: &[Rule<Model>] = &[
    ("own", events::own),
    ("published", events::published),
    ("consumed", events::consumed),
    ("slugs", events::slugs),
    ("peers", events::peers),
];

/// The rules for flags.
pub const FLAGS: &[Rule<Command>] = &[
    ("optional", flags::optional),
    ("described", flags::described),
    ("variables", flags::variables),
    ("unique", flags::unique),
    ("secret", flags::secret),
];
