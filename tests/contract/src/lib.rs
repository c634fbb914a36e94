//! Do the contracts and the sources keep the rules of the house?
//!
//! A rule is a function from what it judges to what is wrong with it. The tests hold every rule against the real thing,
//! where it must find nothing, and against a planted fault, where it must find that.
pub mod access;
pub mod answers;
mod code;
pub mod contracts;
pub mod documents;
pub mod events;
pub mod flags;
pub mod hostile;
pub mod house;
pub mod http;
pub mod imports;
pub mod knock;
pub mod layers;
pub mod listeners;
pub mod map;
pub mod names;
pub mod operating;
pub mod page;
pub mod panics;
pub mod requirements;
pub mod rows;
pub mod rpcs;
pub mod samples;
pub mod shape;
pub mod sources;
pub mod wire;
pub mod workspace;
pub mod world;

use clap::Command;
use house::House;
use prost_reflect::DescriptorPool;
use sources::Tree;

/// A rule by its name, and what it finds wrong.
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
    ("no panics", panics::none),
];

/// The rules for what contexts tell each other.
pub const EVENTS: &[Rule<House>] = &[
    ("own", events::own),
    ("published", events::published),
    ("heard", events::heard),
    ("slugs", events::slugs),
    ("peers", events::peers),
];

/// The rules for flags.
pub const FLAGS: &[Rule<Command>] = &[
    ("optional", flags::optional),
    ("told", flags::told),
    ("variables", flags::variables),
    ("unique", flags::unique),
    ("secret", flags::secret),
];
