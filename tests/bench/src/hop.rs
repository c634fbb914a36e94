//! `hop`: the cost of a call to the platform's public port compared with a bare tonic server.
//!
//! Both serve `grpc.health.v1.Health/Check`, so the difference is the work for every request: limits, deadline, metrics and
//! span. A third measurement reads a member, which adds the token check, the access rule and one read of the store.

use std::{
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use berth::member::v1::{GetMemberRequest, member_service_client::MemberServiceClient};
use clap::Args;
use tonic::{Request, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    load, machine,
    platform::{Mode, Platform, connect, free_port},
    world::{Person, join_as_customer},
};

/// How to measure.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Options {
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
    /// Length of each of the three measurements in seconds.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Concurrent requests.
    #[arg(long, default_value_t = 32)]
    workers: u32,
}

/// The cost of one kind of call.
#[derive(Clone, Copy, Debug)]
struct Cost {
    micros: f64,
    per_second: f64,
    p50: f64,
}

/// Measures and reports.
pub(crate) async fn run(options: Options) -> Result<()> {
    println!("{}", machine::facts());
    let bare = Bare::start()?;
    let platform = Platform::start(Mode::One, &[]).await?;
    let bare_channels = connect(&bare.address, 4)?;
    let channels = platform.connect("member", 4)?;
    let person = join_as_customer(channels.first().context("a channel")?.clone(), "hopper").await?;

    // Alternately, so that both run under the same conditions. The first round is the warm-up.
    let mut costs = Vec::new();
    for round in 0..2 {
        let measured = [
            measure(bare.child.id(), options, bare_channels.clone(), check).await?,
            measure(platform.pid()?, options, channels.clone(), check).await?,
            measure(platform.pid()?, options, channels.clone(), {
                let person = person.clone();
                move |channel| read(channel, person.clone())
            })
            .await?,
        ];
        if round == 1 {
            costs.extend(measured);
        }
    }
    let [bare, port, member] = costs.try_into().ok().context("three costs")?;
    for (name, cost) in [
        ("bare", bare),
        ("port", port),
        ("port, token and a read", member),
    ] {
        let Cost {
            micros,
            per_second,
            p50,
        } = cost;
        println!("{name}: {micros:.1} us of CPU for each, {per_second:.0}/s, p50 {p50:.2} ms");
    }
    println!(
        "the port costs {:.1} us over bare tonic",
        port.micros - bare.micros
    );
    if options.json {
        let result = serde_json::json!({
            "bench": "hop",
            "machine": machine::facts(),
            "bare_us": bare.micros,
            "port_us": port.micros,
            "overhead_us": port.micros - bare.micros,
            "signed_in_read_us": member.micros,
            "bare_per_second": bare.per_second.round(),
            "port_per_second": port.per_second.round(),
        });
        println!("{result}");
    }
    Ok(())
}

async fn measure<F, Fut>(
    pid: u32,
    options: Options,
    channels: Vec<Channel>,
    call: F,
) -> Result<Cost>
where
    F: Fn(Channel) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<(), String>> + Send + 'static,
{
    let next = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let work = move || {
        let turn = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let channel = channels.get(turn % channels.len().max(1)).cloned();
        let call = call.clone();
        async move { call(channel.ok_or("no channel")?).await }
    };
    let before = machine::cpu_seconds(pid)?;
    let outcome = load::closed(options.workers, Duration::from_secs(options.seconds), work).await;
    let cpu = machine::cpu_seconds(pid)? - before;
    anyhow::ensure!(
        outcome.failed.is_empty(),
        "calls failed: {:?}",
        outcome.failed
    );
    let done = f64::from(u32::try_from(outcome.done.max(1)).unwrap_or(u32::MAX));
    Ok(Cost {
        micros: cpu * 1_000_000.0 / done,
        per_second: outcome.per_second(),
        p50: outcome.ms(50.0),
    })
}

async fn check(channel: Channel) -> Result<(), String> {
    let request = HealthCheckRequest::default();
    HealthClient::new(channel)
        .check(request)
        .await
        .map(|_| ())
        .map_err(|status| status.to_string())
}

async fn read(channel: Channel, person: Person) -> Result<(), String> {
    let mut request = Request::new(GetMemberRequest {
        member_id: person.id,
    });
    request.metadata_mut().insert("authorization", person.token);
    MemberServiceClient::new(channel)
        .get_member(request)
        .await
        .map(|_| ())
        .map_err(|status| status.to_string())
}

/// A bare tonic server in a process of its own.
#[derive(Debug)]
struct Bare {
    child: Child,
    address: String,
}

impl Bare {
    fn start() -> Result<Self> {
        let listen = format!("127.0.0.1:{}", free_port()?);
        let child = Command::new(std::env::current_exe()?)
            .args(["bare", &listen])
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Self {
            child,
            address: format!("http://{listen}"),
        })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the bare server.
pub(crate) async fn serve_bare(listen: &str) -> Result<()> {
    let (_, health) = tonic_health::server::health_reporter();
    tonic::transport::Server::builder()
        .add_service(health)
        .serve(listen.parse()?)
        .await?;
    Ok(())
}
