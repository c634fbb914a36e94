//! The contracts of Berth, generated from `proto/` at build time: one module for each package, with its messages,
//! clients and servers. [`DESCRIPTORS`] is the same as a `google.protobuf.FileDescriptorSet`, options included.

#[allow(missing_docs, clippy::all, rustdoc::all, reason = "generated code")]
mod contracts {
    include!(concat!(env!("OUT_DIR"), "/contracts.rs"));
}
pub use contracts::{berth::*, google};

/// Every contract with its comments and options: what reflection, the JSON mapping and the contract tests read.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
