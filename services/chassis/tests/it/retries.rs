//! Retries: which calls, when, and how often.

use std::{net::SocketAddr, time::Duration};

use berth::{
    member::v1::{self as member, member_service_client::MemberServiceClient},
    payment::v1::{self as payment, payment_service_client::PaymentServiceClient},
};
use chassis::{base::time::SignedDuration, telemetry};
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tonic::{Code, Status};

use crate::{
    peers::{Bench, RemoteContext, outcome},
    platform::Behavior,
};

/// How many tries the callee received.
fn tries(bench: &Bench) -> usize {
    bench.platform.contexts.callers().len()
}

/// The outcome of one call whose tries meet these behaviors, and the number of its tries.
async fn after(bench: &Bench, next: &[Behavior]) -> (String, usize) {
    let before = tries(bench);
    bench.platform.contexts.behave_next(next.iter().copied());
    let outcome = outcome(&bench.charge().await);
    (outcome, tries(bench) - before)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_executed_is_retried_at_most_twice() {
    let bench = Bench::local();
    let absent = Behavior::Absent;
    assert_eq!(after(&bench, &[absent]).await, ("OK".into(), 2));
    assert_eq!(after(&bench, &[absent, absent]).await, ("OK".into(), 3));
    let begin = Instant::now();
    let failed = after(&bench, &[absent, absent, absent]).await;
    assert_eq!(failed, ("Unavailable".into(), 3));
    let waited = begin.elapsed().as_millis();
    assert!((75..=153).contains(&waited), "{waited} ms");
}

#[tokio::test(start_paused = true)]
async fn other_errors_are_not_retried() {
    for code in [
        // With a reason: the callee lacks a service of its own, and has retried that call itself.
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::Internal,
        Code::Aborted,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
    ] {
        let bench = Bench::local();
        let failed = after(&bench, &[Behavior::Fails(code)]).await;
        assert_eq!(failed, (format!("{code:?}"), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_rpc_that_is_not_idempotent_is_not_retried() {
    let bench = Bench::local();
    bench.platform.contexts.behave(Behavior::Absent);
    let mut members = MemberServiceClient::new(bench.peers.to("payment"));
    let request = member::RefreshTokensRequest::default();
    members.refresh_tokens(request).await.unwrap_err();
    assert_eq!(tries(&bench), 1);
    let request = member::GetJsonWebKeysRequest::default();
    members.get_json_web_keys(request).await.unwrap_err();
    assert_eq!(tries(&bench), 4);
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_the_delay_of_the_callee() {
    let mut bench = Bench::local();
    let shed = Behavior::Sheds(Duration::from_millis(700));
    let begin = Instant::now();
    assert_eq!(after(&bench, &[shed]).await, ("OK".into(), 2));
    assert_eq!(begin.elapsed().as_millis(), 700);
    // With less time left there is no retry.
    bench.timeout = Duration::from_millis(1300);
    let begin = Instant::now();
    assert_eq!(after(&bench, &[shed]).await, ("OVERLOADED".into(), 1));
    assert_eq!(begin.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_retry_exceeds_the_deadline() {
    let mut bench = Bench::local();
    bench.timeout = Duration::from_millis(40);
    let failed = after(&bench, &[Behavior::Absent]).await;
    assert_eq!(failed, ("Unavailable".into(), 1));
    bench.timeout = Duration::from_millis(200);
    let begin = Instant::now();
    let late = after(&bench, &[Behavior::Absent, Behavior::Hangs]).await;
    assert_eq!(late, ("DEADLINE_EXCEEDED".into(), 2));
    assert_eq!(begin.elapsed().as_millis(), 200);
}

/// A context that fails a third of its calls: without a budget it would receive half as many calls again.
#[tokio::test(start_paused = true)]
async fn retries_are_a_tenth_of_the_calls_and_a_minimum_per_second() {
    const CALLS: usize = 2000;
    let bench = Bench::local();
    let third = [Behavior::Absent, Behavior::Succeeds, Behavior::Succeeds].repeat(CALLS);
    bench.platform.contexts.behave_next(third);
    let mut calls = Vec::new();
    for _ in 0..CALLS {
        calls.push(outcome(&bench.charge().await));
    }
    assert!(!calls.contains(&"CIRCUIT_OPEN".to_owned()));
    let more = tries(&bench) - CALLS;
    // The minimum per second, and a tenth of the calls: the paused clock advances while a retry waits.
    assert!((CALLS / 20..=CALLS / 10 + 20).contains(&more), "{more}");
}

/// A callee that is down receives at most a tenth more tries than calls, and the breaker suspends most of them.
#[tokio::test(start_paused = true)]
async fn a_context_that_is_down_gets_no_retry_storm() {
    let bench = Bench::local();
    bench.platform.contexts.behave(Behavior::Absent);
    let (mut calls, mut suspended) = (0, 0);
    for _second in 0..60 {
        for _ in 0..100 {
            calls += 1;
            if outcome(&bench.charge().await) == "CIRCUIT_OPEN" {
                suspended += 1;
            }
        }
        bench.platform.clock.turn(SignedDuration::from_secs(1));
    }
    let received = tries(&bench);
    assert!(received * 10 <= calls * 11, "{received} of {calls}");
    assert!(received < 100, "{received} received, {suspended} suspended");
    let metrics = telemetry::metrics().unwrap().render();
    assert!(metrics.contains("berth_breaker_transitions_total{peer=\"payment\",to=\"open\"}"));
}

/// A failed call counts once, whatever the number of its tries.
#[tokio::test(start_paused = true)]
async fn the_breaker_counts_calls_and_not_tries() {
    let bench = Bench::local();
    bench.platform.contexts.behave(Behavior::Absent);
    assert_eq!(bench.outcomes(9).await, ["Unavailable"]);
    assert!(tries(&bench) > 18, "{} tries", tries(&bench));
    bench.platform.contexts.behave(Behavior::Succeeds);
    assert_eq!(after(&bench, &[]).await, ("OK".into(), 1));
}

/// A call whose second try succeeds is not a failure.
#[tokio::test(start_paused = true)]
async fn a_restart_does_not_open_the_breaker() {
    let bench = Bench::local();
    for _ in 0..10 {
        assert_eq!(after(&bench, &[Behavior::Absent]).await, ("OK".into(), 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_not_retried() {
    let bench = Bench::local();
    bench
        .platform
        .contexts
        .behave(Behavior::Fails(Code::Internal));
    bench.outcomes(11).await;
    bench.platform.contexts.behave(Behavior::Absent);
    bench.platform.clock.turn(SignedDuration::from_secs(1));
    assert_eq!(after(&bench, &[]).await, ("Unavailable".into(), 1));
}

/// A call that waits for its retry while the breaker opens is not retried.
#[tokio::test(start_paused = true)]
async fn there_is_no_retry_once_the_breaker_is_open() {
    let bench = Bench::local();
    bench.platform.contexts.behave_next([Behavior::Absent]);
    bench
        .platform
        .contexts
        .behave(Behavior::Fails(Code::Internal));
    let mut call = Box::pin(bench.charge());
    assert!(futures::poll!(&mut call).is_pending(), "it waits");
    bench.outcomes(10).await;
    assert_eq!(bench.outcomes(1).await, ["CIRCUIT_OPEN"]);
    assert_eq!(outcome(&call.await), "Unavailable");
    assert_eq!(tries(&bench), 11);
}

async fn listen_again(address: SocketAddr) -> TcpListener {
    TcpListener::bind(address).await.unwrap()
}

#[tokio::test]
async fn a_call_is_retried_if_its_connection_breaks_before_the_response() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let uri = format!("http://{address}");
    bench.peers.add_remote("payment", &uri).unwrap();
    let broken = async {
        let (mut stream, _): (TcpStream, _) = listener.accept().await.unwrap();
        // The request has arrived, and gets no response.
        let mut received = [0; 200];
        stream.read_exact(&mut received).await.unwrap();
        drop(stream);
        RemoteContext::on(listener, &bench.platform, "payment")
    };
    let (remote, answer) = tokio::join!(broken, bench.charge());
    answer.unwrap();
    remote.stop().await;
}

#[tokio::test]
async fn a_restart_of_a_context_fails_no_call() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut remote = RemoteContext::on(listener, &bench.platform, "payment");
    bench.peers.add_remote("payment", &remote.uri).unwrap();
    for _ in 0..5 {
        bench.charge().await.unwrap();
        // It sends GOAWAY on the open connection, and is down for a while.
        remote.stop().await;
        let restart = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            ticks.tick().await;
            ticks.tick().await;
            RemoteContext::on(listen_again(address).await, &bench.platform, "payment")
        };
        let (answer, restarted) = tokio::join!(bench.charge(), restart);
        answer.unwrap();
        remote = restarted;
    }
    remote.stop().await;
}

/// A proxy whose response is cut off sends the error in the trailers.
#[tokio::test]
async fn an_error_in_the_trailers_is_returned() {
    let bench = Bench::new();
    let cut = || async {
        let mut trailers = http::HeaderMap::new();
        let error = Status::unavailable("the response was cut off");
        error.add_header(&mut trailers).unwrap();
        let frame = http_body::Frame::<bytes::Bytes>::trailers(trailers);
        let body = http_body_util::StreamBody::new(tokio_stream::once(Ok::<_, Status>(frame)));
        let kind = ("content-type", "application/grpc");
        ([kind], axum::body::Body::new(body))
    };
    let routes = tonic::service::Routes::from(axum::Router::new().fallback(cut));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap());
    let serve = tonic::transport::Server::builder()
        .add_routes(routes)
        .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener));
    let serving = tokio::spawn(serve);
    bench.peers.add_remote("proxied", &uri).unwrap();
    let mut client = PaymentServiceClient::new(bench.peers.to("proxied"));
    let request = payment::ChargePaymentRequest::default();
    let answer = client.charge_payment(request).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unavailable);
    let metrics = telemetry::metrics().unwrap().render();
    let retried = "berth_peer_retries_total{peer=\"proxied\",outcome=\"failed\"} 2";
    assert!(metrics.contains(retried), "{metrics}");
    serving.abort();
}
