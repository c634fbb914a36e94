//! The platform on one machine as in a cluster: PostgreSQL, NATS, a process for each replica of each context, and a balancer
//! in front of them. Every process can be killed, paused and restarted, and ends with the process that started it.
//!
//! ```no_run
//! # async fn story() -> anyhow::Result<()> {
//! let mut mesh = mesh::Mesh::start(mesh::MeshOptions::default()).await?;
//! let channel = mesh.channel()?; // for generated clients
//! mesh.replica("room-0")?.kill()?;
//! mesh.replica("room-0")?.start().await?;
//! mesh.ready().await?;
//! mesh.stop().await?;
//! # Ok(()) }
//! ```

pub mod balancer;
mod binary;
mod mesh;
pub mod process;

pub use servers::{Nats, NatsOptions, Postgres, PostgresOptions, Snapshot};

pub use self::{
    binary::{binary, build},
    mesh::{Mesh, MeshOptions, contexts},
    process::{Env, Process},
};
