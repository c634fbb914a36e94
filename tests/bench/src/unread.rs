//! `unread`: many connections of one address ask for long lists and receive nothing of the responses. The memory of the
//! platform must stay bounded, and a client at another address must hardly notice.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use anyhow::{Context, Result};
use berth::room::v1::{ListRoomsRequest, room_service_client::RoomServiceClient};
use bytes::Bytes;
use clap::Args;
use h2::client::Builder;
use http::Request;
use tokio::{
    net::TcpSocket,
    task::JoinSet,
    time::{interval, timeout},
};
use tonic::transport::Channel;

use crate::{
    load, machine,
    platform::{Mode, Platform},
    world,
};

/// The address of the connections that receive nothing.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// `ListRoomsRequest` with `page_size` 100, as gRPC sends it.
const REQUEST: &[u8] = &[0, 0, 0, 0, 2, 0x10, 100];
/// Longest pause of a connection that the platform no longer serves.
const PATIENCE: Duration = Duration::from_secs(5);

/// How to measure.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Options {
    /// Print one JSON object as the last line.
    #[arg(long)]
    json: bool,
    /// Length of each of the two measurements in seconds.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Number of connections.
    #[arg(long, default_value_t = 1024)]
    connections: usize,
    /// Requests on each of them.
    #[arg(long, default_value_t = 250)]
    requests: usize,
}

/// Measures and reports.
pub(crate) async fn run(options: Options) -> Result<()> {
    println!("{}", machine::facts());
    let platform = Platform::start(Mode::One, &[]).await?;
    let member = platform.connect("member", 1)?.pop().context("a channel")?;
    let rooms = platform.connect("room", 1)?.pop().context("a channel")?;
    world::register_rooms(member, &rooms, 100).await?;
    let (pid, time) = (platform.pid()?, Duration::from_secs(options.seconds));
    let work = {
        let rooms = rooms.clone();
        move || list(rooms.clone())
    };
    load::closed(1, Duration::from_secs(2), work.clone()).await;
    let calm_mib = machine::resident_mib(pid)?;
    let calm = load::closed(1, time, work.clone()).await;
    println!(
        "alone: p50 {:.2} ms, p99 {:.2} ms, {calm_mib:.0} MiB",
        calm.ms(50.0),
        calm.ms(99.0)
    );

    let address = platform.address()?;
    let mut attack = JoinSet::new();
    for _ in 0..options.connections {
        attack.spawn(receive_nothing(address, options.requests));
    }
    let most = tokio::spawn(most_mib(pid, time));
    let busy = load::closed(1, time, work).await;
    let most = most.await??;
    attack.shutdown().await;
    println!(
        "with {} connections that receive nothing: p50 {:.2} ms, p99 {:.2} ms, at most {most:.0} MiB, failed {:?}",
        options.connections,
        busy.ms(50.0),
        busy.ms(99.0),
        busy.failed
    );
    if options.json {
        let result = serde_json::json!({
            "bench": "unread",
            "machine": machine::facts(),
            "connections": options.connections,
            "requests": options.connections * options.requests,
            "alone_p99_ms": calm.ms(99.0),
            "busy_p99_ms": busy.ms(99.0),
            "failed": busy.failed.values().sum::<u64>(),
            "alone_mib": calm_mib.round(),
            "most_mib": most.round(),
        });
        println!("{result}");
    }
    Ok(())
}

async fn list(rooms: Channel) -> Result<(), String> {
    let request = ListRoomsRequest {
        page_size: 1,
        ..ListRoomsRequest::default()
    };
    let listed = RoomServiceClient::new(rooms).list_rooms(request).await;
    listed.map(|_| ()).map_err(|status| status.to_string())
}

/// Sends requests again and again, and gives the responses no room.
async fn receive_nothing(address: SocketAddr, requests: usize) -> Result<()> {
    loop {
        let socket = TcpSocket::new_v4()?;
        socket.bind((ATTACKER, 0).into())?;
        let stream = socket.connect(address).await?;
        let mut builder = Builder::new();
        builder.initial_window_size(0);
        let (send, connection) = builder.handshake::<_, Bytes>(stream).await?;
        let requests = async {
            let mut responses = Vec::new();
            for _ in 0..requests {
                let Ok(mut send) = send.clone().ready().await else {
                    break;
                };
                let request = Request::post("http://berth/berth.room.v1.RoomService/ListRooms")
                    .header("content-type", "application/grpc")
                    .header("te", "trailers")
                    .body(())?;
                let (response, mut body) = send.send_request(request, false)?;
                body.send_data(Bytes::from_static(REQUEST), true)?;
                responses.push(response);
            }
            let mut held = Vec::new();
            for response in responses {
                held.extend(response.await.ok());
            }
            tokio::time::sleep(PATIENCE).await;
            drop(held);
            anyhow::Ok(())
        };
        tokio::select! {
            // It was closed.
            _ = connection => {}
            done = timeout(4 * PATIENCE, requests) => { done.ok().transpose()?; }
        }
    }
}

/// The most memory that a process has within some time.
async fn most_mib(pid: u32, time: Duration) -> Result<f64> {
    let mut most = 0.0_f64;
    let watching = async {
        let mut looks = interval(Duration::from_millis(50));
        loop {
            looks.tick().await;
            most = most.max(machine::resident_mib(pid)?);
        }
    };
    match timeout(time, watching).await {
        Ok(failed) => failed,
        Err(_) => Ok(most),
    }
}
