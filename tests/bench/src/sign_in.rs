//! `sign-in`: many sign-ins at once from one address, each of which costs a hash. Those that are too many must be refused at
//! once, and other requests must hardly notice.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use berth::member::v1::{
    GetMemberRequest, SignInRequest, member_service_client::MemberServiceClient,
};
use clap::Args;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;
use tonic::{
    Request,
    transport::{Channel, Endpoint, Uri},
};
use tower::service_fn;

use crate::{
    load, machine,
    platform::{Mode, Platform},
    world::{self, Person},
};

/// The address from which the sign-ins come.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Requests of others at the same time.
const OTHERS: u32 = 4;

/// How to measure.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Options {
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
    /// Length of each of the two measurements in seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Concurrent sign-ins.
    #[arg(long, default_value_t = 300)]
    workers: u32,
}

/// Measures and reports.
pub(crate) async fn run(options: Options) -> Result<()> {
    println!("{}", machine::facts());
    let platform = Platform::start(Mode::One, &[]).await?;
    let channel = platform.connect("member", 1)?.pop().context("a channel")?;
    let person = world::join_as_customer(channel.clone(), "guest").await?;
    let time = Duration::from_secs(options.seconds);
    let others = move || get(channel.clone(), person.clone());
    load::closed(OTHERS, Duration::from_secs(1), others.clone()).await;
    let alone = load::closed(OTHERS, time, others.clone()).await;

    let attack = attackers(platform.address()?)?;
    let attacking = tokio::spawn(load::closed(options.workers, time, move || sign_in(attack)));
    let beside = load::closed(OTHERS, time, others).await;
    let attacked = attacking.await?;
    let refused = platform.shed()?;
    println!(
        "others alone: p50 {:.2} ms, p99 {:.2}",
        alone.ms(50.0),
        alone.ms(99.0)
    );
    println!(
        "others beside {} sign-ins: p50 {:.2} ms, p99 {:.2}; {} done, failed {:?}",
        options.workers,
        beside.ms(50.0),
        beside.ms(99.0),
        beside.done,
        beside.failed
    );
    println!("sign-ins by result: {:?}", attacked.failed);
    println!(
        "by the platform's metrics, {:.2} % of {} refusals took less than 5 ms",
        refused.share() * 100.0,
        refused.all
    );
    if options.json {
        let result = serde_json::json!({
            "bench": "sign-in",
            "machine": machine::facts(),
            "alone_p99_ms": alone.ms(99.0),
            "beside_p99_ms": beside.ms(99.0),
            "others_failed": beside.failed.values().sum::<u64>(),
            "refused": refused.all,
            "refused_within_5_ms_at_the_platform": refused.share(),
        });
        println!("{result}");
    }
    Ok(())
}

/// Connections from the attacker's address, used in turn.
fn attackers(address: SocketAddr) -> Result<&'static [Channel]> {
    let connector = service_fn(move |_: Uri| async move {
        let socket = TcpSocket::new_v4()?;
        socket.bind((ATTACKER, 0).into())?;
        socket.connect(address).await.map(TokioIo::new)
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    let channels: Vec<_> = (0..8)
        .map(|_| endpoint.connect_with_connector_lazy(connector))
        .collect();
    // Until the end of the process.
    Ok(channels.leak())
}

/// An attempt for an address that nobody has. It never succeeds.
async fn sign_in(channels: &'static [Channel]) -> Result<(), String> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let channel = channels.get(number % channels.len()).cloned();
    let request = SignInRequest {
        email: format!("nobody{number}@bench.example"),
        password: "wrong".into(),
    };
    let mut member = MemberServiceClient::new(channel.ok_or("no channel")?);
    let signed_in = member.sign_in(request).await;
    signed_in.map(|_| ()).map_err(|status| {
        let text = status.message().to_owned();
        format!("{:?}: {text}", status.code())
    })
}

async fn get(channel: Channel, person: Person) -> Result<(), String> {
    let mut request = Request::new(GetMemberRequest {
        member_id: person.id,
    });
    request.metadata_mut().insert("authorization", person.token);
    let found = MemberServiceClient::new(channel).get_member(request).await;
    found.map(|_| ()).map_err(|status| status.to_string())
}
