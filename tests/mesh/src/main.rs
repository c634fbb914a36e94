//! `cargo xtask up` and `down`: runs the whole platform as separate processes until it is stopped.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program"
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
use mesh::{Env, Mesh, MeshOptions, binary};
use state::State;
use tokio::signal::unix::{SignalKind, signal};

/// The whole platform as separate processes
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// The state file: locked while the platform is up, with the id of its process
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
    /// Starts everything, and runs until Ctrl-C, SIGTERM or `down`
    Up(Up),
    /// Stops the platform, and waits until all its processes have ended
    Down,
}

#[derive(Args)]
struct Up {
    /// Number of replicas of each context
    #[arg(long, env = "BERTH_REPLICAS", default_value_t = 1, value_name = "N")]
    replicas: usize,
    /// Address of the balancer's public port
    #[arg(
        long,
        env = "BERTH_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS"
    )]
    listen: SocketAddr,
    /// Address of the balancer's metrics
    #[arg(
        long,
        env = "BERTH_ADMIN_LISTEN",
        default_value = "127.0.0.1:8081",
        value_name = "ADDRESS"
    )]
    admin_listen: SocketAddr,
}

fn main() -> ExitCode {
    let Cli { verb, state } = Cli::parse();
    let done = match verb {
        Verb::Up(options) => up(&options, &state),
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
        // Dropping `starts` ends the processes that were started so far.
        _ = term.recv() => return Ok(()),
        _ = int.recv() => return Ok(()),
    };
    show(&mesh, began);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    println!("Stopping; current requests are finished first.");
    let stopped = mesh.stop().await;
    state.unlock()?;
    stopped
}

/// The environment variables that are passed on to the contexts.
fn settings() -> Env {
    let is_setting = |name: &str| {
        let ours = ["BERTH_", "MAX_RESERVATION_PER_PERSON", "OTEL_"];
        ours.iter().any(|start| name.starts_with(start)) && !name.starts_with("BERTH_TEST_")
    };
    env::vars().filter(|(name, _)| is_setting(name)).collect()
}

/// Prints the addresses of everything, and what to try next.
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
        ("NATS", Some(mesh.nats.url())),
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
         Ctrl-C or `cargo xtask down` stops it; no data is kept.",
        "logs",
        mesh.dir().join("logs").display(),
        berth.display()
    );
}
