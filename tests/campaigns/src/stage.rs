//! The set-up of every campaign.

use std::sync::Arc;

use anyhow::Result;
use mesh::{Env, Mesh, MeshOptions, PostgresOptions};
use stories::{
    people::{Line, PASSWORD},
    world::ADMIN,
};

use crate::{crowd::Crowd, evidence::Evidence};

/// A platform as separate processes, its users, and its recorded events.
#[derive(Debug)]
pub struct Stage {
    /// The platform.
    pub mesh: Mesh,
    /// The users.
    pub crowd: Arc<Crowd>,
    /// The recorded events.
    pub evidence: Evidence,
}

impl Stage {
    /// Starts replicas of every context, and registers rooms and customers for a number of bookings.
    pub async fn set(replicas: usize, bookings: usize) -> Result<Self> {
        let env = [
            ("BERTH_LOG", "info"),
            ("BERTH_ADMIN_EMAIL", ADMIN),
            ("BERTH_ADMIN_PASSWORD", PASSWORD),
            ("MAX_RESERVATION_PER_PERSON", "1000"),
            // Longer than a campaign, so that nobody has to sign in again.
            ("BERTH_ACCESS_TOKEN_SECONDS", "3600"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let options = MeshOptions {
            replicas,
            postgres: Some(PostgresOptions::default()),
            env: Env::from(env),
            ..MeshOptions::default()
        };
        let mesh = Mesh::start(options).await?;
        let crowd = Crowd::gather(Line::to(mesh.channel()?), bookings).await?;
        let evidence = Evidence::of(&mesh).await?;
        Ok(Self {
            mesh,
            crowd: Arc::new(crowd),
            evidence,
        })
    }

    /// Waits until no work is left, checks every invariant, and stops everything gracefully.
    pub async fn close(mut self) -> Result<()> {
        self.evidence.quiet().await?;
        // Rebuilding the view from a long log takes longer than the default request timeout.
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
