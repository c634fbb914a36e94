//! What every campaign begins with.

use std::sync::Arc;

use anyhow::Result;
use mesh::{Env, Mesh, MeshOptions, NatsOptions, PostgresOptions};
use stories::{people::PASSWORD, world::ADMIN};

use crate::{crowd::Crowd, evidence::Evidence};

/// A platform as separate processes, people who use it, and a view of what is recorded.
#[derive(Debug)]
pub struct Stage {
    /// The platform.
    pub mesh: Mesh,
    /// The people.
    pub crowd: Arc<Crowd>,
    /// What is recorded.
    pub evidence: Evidence,
}

impl Stage {
    /// Starts so many replicas of every context, and has people join, enough for so many bookings.
    pub async fn set(replicas: usize, bookings: usize) -> Result<Self> {
        let env = [
            ("BERTH_LOG", "info"),
            ("BERTH_ADMIN_EMAIL", ADMIN),
            ("BERTH_ADMIN_PASSWORD", PASSWORD),
            ("MAX_RESERVATION_PER_PERSON", "1000"),
            // Nobody signs in again while a campaign lasts.
            ("BERTH_ACCESS_TOKEN_SECONDS", "3600"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = MeshOptions {
            replicas,
            postgres: Some(PostgresOptions::default()),
            nats: Some(NatsOptions::default()),
            env: Env::from(env),
            ..MeshOptions::default()
        };
        let mesh = Mesh::start(options).await?;
        let crowd = Crowd::gather(&mesh, bookings).await?;
        let evidence = Evidence::of(&mesh).await?;
        Ok(Self {
            mesh,
            crowd: Arc::new(crowd),
            evidence,
        })
    }

    /// Comes to rest, checks every invariant, and stops everything in order.
    pub async fn close(mut self) -> Result<()> {
        self.evidence.quiet().await?;
        // Building the view anew from a long log takes longer than a request may.
        let processes = self.mesh.processes.iter_mut();
        for view in processes.filter(|one| one.context() == "view" && one.pid().is_some()) {
            view.set("BERTH_REQUEST_TIMEOUT", "1h");
            view.stop().await?;
            view.start().await?;
        }
        self.mesh.ready().await?;
        self.evidence.check(&self.crowd).await?;
        self.mesh.stop().await
    }
}
