//! Responses that their callers do not receive.

use std::time::Duration;

use berth::view::v1::{ListRoomViewsResponse, view_service_client::ViewServiceClient};
use futures::future::join_all;
use h2::{Reason, RecvStream};
use prost::Message;
use tokio::time::timeout;
use tonic::{
    Code,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use crate::{
    http::{Client, refusal},
    stage::{MOMENT, Stage, ask, channel, health, why},
};

const HERE: [u8; 4] = [127, 0, 0, 1];
const THERE: [u8; 4] = [127, 0, 0, 2];

/// A client at another address.
fn other(stage: &Stage) -> ViewServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", stage.platform.public())).unwrap();
    let endpoint = endpoint.local_address(Some(THERE.into()));
    ViewServiceClient::new(endpoint.connect_lazy())
}

/// Reads a response to its end.
async fn receive(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = timeout(MOMENT, body.data()).await.unwrap() {
        let data = data?;
        body.flow_control().release_capacity(data.len()).unwrap();
        bytes.extend_from_slice(&data);
    }
    let trailers = timeout(MOMENT, body.trailers()).await.unwrap()?.unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    Ok(bytes)
}

#[tokio::test]
async fn a_response_is_received_whole_however_little_at_a_time() {
    let stage = Stage::with(|_| {}).await;
    for window in [1, 1000, 65_535, 4 * 1024 * 1024] {
        let client = Client::connect(HERE, stage.platform.public(), window).await;
        for how in ["source", "mebibyte"] {
            // A byte at a time would take too long.
            if window == 1 && how == "mebibyte" {
                continue;
            }
            let response = client.list(how).await;
            let bytes = receive(response.into_body()).await.unwrap();
            let message = ListRoomViewsResponse::decode(&bytes[5..]).unwrap();
            let length = message.next_page_token.len();
            let expected = if how == "source" { 9 } else { 1024 * 1024 };
            assert_eq!(length, expected, "{window}");
        }
    }
}

#[tokio::test]
async fn a_response_that_is_not_received_keeps_its_permit_and_is_reset_at_the_deadline() {
    let stage = Stage::with(|limits| {
        limits.max_in_flight = 1;
        limits.request_timeout = Duration::from_millis(500);
    })
    .await;
    // What fits into the window is taken by the library as well.
    for window in [0, 1, 100] {
        for how in ["source", "mebibyte"] {
            if window == 100 && how == "source" {
                continue;
            }
            let slow = Client::connect(HERE, stage.platform.public(), window).await;
            let response = slow.list(how).await;
            assert_eq!(refusal(response.headers()), None);
            let overloaded = why(other(&stage).list_room_views(ask("")).await);
            assert_eq!(overloaded, (Code::Unavailable, "OVERLOADED".into()));

            let mut body = response.into_body();
            let end = async {
                loop {
                    match body.data().await {
                        Some(Ok(_)) => {}
                        end => return end,
                    }
                }
            };
            let end = timeout(MOMENT, end).await.unwrap();
            let reason = end.unwrap().unwrap_err().reason();
            assert_eq!(reason, Some(Reason::CANCEL), "{window} {how}");
            other(&stage).list_room_views(ask("")).await.unwrap();
        }
    }
}

#[tokio::test]
async fn bytes_that_wait_are_bounded_for_a_connection_a_source_and_the_port() {
    const MIB: usize = 1024 * 1024;
    let stage = Stage::with(|limits| {
        limits.max_waiting_bytes_per_connection = 2 * MIB;
        limits.max_waiting_bytes_per_source = 3 * MIB;
        limits.max_waiting_bytes = 4 * MIB;
    })
    .await;
    let mut held = Vec::new();
    let mut taken = Vec::new();
    for from in [HERE, HERE, THERE, THERE] {
        let client = Client::connect(from, stage.platform.public(), 0).await;
        let mut count = 0;
        for _ in 0..5 {
            let response = client.list("mebibyte").await;
            match refusal(response.headers()) {
                None => count += 1,
                Some(refused) => assert_eq!(refused, (Code::Unavailable, "OVERLOADED".into())),
            }
            held.push(response);
        }
        taken.push(count);
        held.push(client.list("").await);
    }
    // A response is begun if there is room; the last one may be more than that.
    assert_eq!(taken, [2, 1, 1, 0]);
    // A small response is received even then, by a caller that has no bytes waiting.
    let third = Endpoint::from_shared(format!("http://{}", stage.platform.public())).unwrap();
    let third = third
        .local_address(Some([127, 0, 0, 3].into()))
        .connect_lazy();
    let mut third = ViewServiceClient::new(third);
    third.list_room_views(ask("source")).await.unwrap();
    let refused = why(third.list_room_views(ask("mebibyte")).await);
    assert_eq!(refused, (Code::Unavailable, "OVERLOADED".into()));
    drop(held);
    let free = async {
        while other(&stage)
            .list_room_views(ask("mebibyte"))
            .await
            .is_err()
        {}
    };
    timeout(MOMENT, free).await.unwrap();
}

/// More connections than are read at a time, and more requests than are in memory at a time, none of which is received.
#[tokio::test]
async fn every_request_of_a_burst_from_one_source_has_a_response() {
    let stage = Stage::with(|limits| limits.max_response_streams = 64).await;
    let port = stage.platform.public();
    let burst = (0..80).map(|_| async move {
        let client = Client::connect(HERE, port, 0).await;
        let mut responses = Vec::new();
        for _ in 0..50 {
            responses.push(client.request("").await);
        }
        let responses = timeout(MOMENT, join_all(responses)).await.unwrap();
        let responses: Vec<_> = responses.into_iter().map(Result::unwrap).collect();
        let refused = responses
            .iter()
            .filter(|one| refusal(one.headers()).is_some());
        (refused.count(), responses)
    });
    let (refused, held): (Vec<usize>, Vec<_>) = join_all(burst).await.into_iter().unzip();
    assert!(refused.iter().sum::<usize>() > 3000);
    // While those that were served are held, others are served.
    other(&stage).list_room_views(ask("")).await.unwrap();
    drop(held);
}

#[tokio::test]
async fn a_source_cannot_use_all_permits() {
    let stage = Stage::with(|limits| limits.max_in_flight_per_source = 1).await;
    let client = Client::connect(HERE, stage.platform.public(), 0).await;
    let held = client.list("mebibyte").await;
    let refused = why(stage.client().list_room_views(ask("")).await);
    assert_eq!(refused, (Code::Unavailable, "OVERLOADED".into()));
    other(&stage).list_room_views(ask("")).await.unwrap();
    drop(held);
}

#[tokio::test]
async fn response_streams_are_counted() {
    let stage = Stage::with(|limits| limits.max_response_streams = 32).await;
    let request = || HealthCheckRequest {
        service: String::new(),
    };
    let address = stage.platform.public();
    let mut held = Vec::new();
    let mut watches = Vec::new();
    for _ in 0..9 {
        let mut client = HealthClient::new(channel(address));
        for _ in 0..3 {
            match client.watch(request()).await {
                Ok(watch) => watches.push(watch),
                refused => {
                    let expected = (Code::Unavailable, "OVERLOADED".into());
                    assert_eq!(why(refused), expected);
                }
            }
        }
        held.push(client);
    }
    // Two of a connection, a half of a source.
    assert_eq!(watches.len(), 16);
    assert_eq!(health(address, "").await, ServingStatus::Serving);
    stage.client().list_room_views(ask("")).await.unwrap();
    let metrics = crate::serve::http(stage.platform.admin(), "GET", "/metrics", "").await;
    let counted = "berth_rpc_in_flight{service=\"grpc.health.v1.Health\",method=\"Watch\"}";
    assert!(metrics.contains(counted), "{metrics}");
    drop(watches);
    let free = async { while held[8].watch(request()).await.is_err() {} };
    timeout(MOMENT, free).await.unwrap();
}
