//! `cargo xtask up` and `down`: the whole platform as separate processes, until it is told to stop.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it speaks to whoever started it"
)]

mod state;

use std::{
    env,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use mesh::{Env, Mesh, MeshOptions, Nats, binary};
use state::State;
use tokio::signal::unix::{SignalKind, signal};

/// The whole platform as separate processes
#[derive(Parser)]
struct Told {
    #[command(subcommand)]
    verb: Verb,
    /// The file that is locked while the platform is up, and tells who has it
    #[arg(
        long,
        global = true,
        env = "BERTH_UP",
        default_value = "target/up",
        value_name = "FILE"
    )]
    state: PathBuf,
}

#[derive(Subcommand)]
enum Verb {
    /// Starts everything and has it until Ctrl-C, SIGTERM or `down`
    Up(Up),
    /// Stops it, and waits until everything is gone
    Down,
}

#[derive(Args)]
struct Up {
    /// How many processes each context has
    #[arg(long, env = "BERTH_REPLICAS", default_value_t = 1, value_name = "N")]
    replicas: usize,
    /// Where the public port of the balancer is
    #[arg(
        long,
        env = "BERTH_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// Where the metrics of the balancer are
    #[arg(
        long,
        env = "BERTH_ADMIN_LISTEN",
        default_value = "127.0.0.1:8081",
        value_name = "ADDRESS"
    )]
    admin_listen: SocketAddr,
}

fn main() -> ExitCode {
    let Told { verb, state } = Told::parse();
    let done = match verb {
        Verb::Up(told) => up(&told, &state),
        Verb::Down => state::down(&state),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn up(up: &Up, state: &Path) -> Result<()> {
    let state = State::lock(state)?;
    let (mut term, mut int) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    let began = Instant::now();
    let starts = Mesh::start(MeshOptions {
        replicas: up.replicas,
        listen: up.listen,
        admin_listen: up.admin_listen,
        env: settings(),
        ..MeshOptions::default()
    });
    let mesh = tokio::select! {
        mesh = starts => mesh?,
        // What was started so far goes with this.
        _ = term.recv() => return Ok(()),
        _ = int.recv() => return Ok(()),
    };
    show(&mesh, began);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    println!("Stopping; what is in hand is finished first.");
    let stopped = mesh.stop().await;
    state.unlock()?;
    stopped
}

/// What whoever starts it tells the contexts.
fn settings() -> Env {
    let is_one = |name: &str| {
        let ours = ["BERTH_", "MAX_RESERVATION_PER_PERSON", "OTEL_"];
        ours.iter().any(|start| name.starts_with(start)) && !name.starts_with("BERTH_TEST_")
    };
    env::vars().filter(|(name, _)| is_one(name)).collect()
}

/// Says where everything is, and what to try next.
fn show(mesh: &Mesh, began: Instant) {
    let public = mesh.balancer.public();
    println!(
        "Berth {} is up after {} ms.\n\n  {:<14}{public}   (balanced; reflection and health included)\n  {:<14}{}   (its metrics)",
        env!("CARGO_PKG_VERSION"),
        began.elapsed().as_millis(),
        "gRPC",
        "balancer",
        mesh.balancer.admin()
    );
    for (name, url) in [
        (
            "PostgreSQL",
            mesh.postgres.as_ref().map(|server| server.url("postgres")),
        ),
        ("NATS", mesh.nats.as_ref().map(Nats::url)),
    ] {
        println!("  {name:<14}{}", url.as_deref().unwrap_or("none"));
    }
    for process in &mesh.processes {
        println!(
            "  {:<14}{}   admin {}   process {}",
            process.name(),
            process.public(),
            process.admin(),
            process.pid().unwrap_or_default()
        );
    }
    let berth = binary("berth").unwrap_or_else(|_| "berth".into());
    println!(
        "  {:<14}{}\n\nTry next:\n\n  {} demo --server http://{public}\n  grpcurl -plaintext {public} list\n\n\
         Ctrl-C or `cargo xtask down` stops it, and nothing is kept.",
        "logs",
        mesh.dir().join("logs").display(),
        berth.display()
    );
}
