//! Calls that are made again: which, when, and how often.

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
    peers::{Bench, Elsewhere, outcome},
    platform::Mood,
};

/// How many tries came to the callee.
fn tries(bench: &Bench) -> usize {
    bench.platform.heard.callers().len()
}

/// One call after these tries, and how many there were.
async fn after(bench: &Bench, moods: &[Mood]) -> (String, usize) {
    let before = tries(bench);
    bench.platform.heard.first(moods.iter().copied());
    let outcome = outcome(&bench.charge().await);
    (outcome, tries(bench) - before)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_taken_is_made_again_twice_at_most() {
    let bench = Bench::local();
    let absent = Mood::Absent;
    assert_eq!(after(&bench, &[absent]).await, ("OK".into(), 2));
    assert_eq!(after(&bench, &[absent, absent]).await, ("OK".into(), 3));
    let begin = Instant::now();
    let failed = after(&bench, &[absent, absent, absent]).await;
    assert_eq!(failed, ("Unavailable".into(), 3));
    let waited = begin.elapsed().as_millis();
    assert!((75..=153).contains(&waited), "{waited} ms");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_accident_is_not_tried_again() {
    for code in [
        // The callee misses something itself, and has tried again itself.
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::Internal,
        Code::Aborted,
        Code::ResourceExhausted,
        Code::FailedPrecondition,
    ] {
        let bench = Bench::local();
        let failed = after(&bench, &[Mood::Fails(code)]).await;
        assert_eq!(failed, (format!("{code:?}"), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_repeated_is_not_tried_again() {
    let bench = Bench::local();
    bench.platform.heard.become_(Mood::Absent);
    let mut members = MemberServiceClient::new(bench.peers.to("payment"));
    let request = member::RefreshTokensRequest::default();
    members.refresh_tokens(request).await.unwrap_err();
    assert_eq!(tries(&bench), 1);
    let request = member::GetJsonWebKeysRequest::default();
    members.get_json_web_keys(request).await.unwrap_err();
    assert_eq!(tries(&bench), 4);
}

#[tokio::test(start_paused = true)]
async fn who_sheds_load_says_when_to_come_back() {
    let mut bench = Bench::local();
    let shed = Mood::Sheds(Duration::from_millis(700));
    let begin = Instant::now();
    assert_eq!(after(&bench, &[shed]).await, ("OK".into(), 2));
    assert_eq!(begin.elapsed().as_millis(), 700);
    // Who has not so much time does not wait in vain.
    bench.patience = Duration::from_millis(1300);
    let begin = Instant::now();
    assert_eq!(after(&bench, &[shed]).await, ("OVERLOADED".into(), 1));
    assert_eq!(begin.elapsed().as_millis(), 0);
}

#[tokio::test(start_paused = true)]
async fn no_try_goes_beyond_the_deadline() {
    let mut bench = Bench::local();
    bench.patience = Duration::from_millis(40);
    let failed = after(&bench, &[Mood::Absent]).await;
    assert_eq!(failed, ("Unavailable".into(), 1));
    bench.patience = Duration::from_millis(200);
    let begin = Instant::now();
    let late = after(&bench, &[Mood::Absent, Mood::Hangs]).await;
    assert_eq!(late, ("DEADLINE_EXCEEDED".into(), 2));
    assert_eq!(begin.elapsed().as_millis(), 200);
}

/// A context that fails a third of its calls: without a budget it would be asked half as much again.
#[tokio::test(start_paused = true)]
async fn further_tries_are_a_tenth_of_all_and_some_that_are_always_allowed() {
    const CALLS: usize = 2000;
    let bench = Bench::local();
    let third = [Mood::Absent, Mood::Answers, Mood::Answers].repeat(CALLS);
    bench.platform.heard.first(third);
    let mut calls = Vec::new();
    for _ in 0..CALLS {
        calls.push(outcome(&bench.charge().await));
    }
    assert!(!calls.contains(&"CIRCUIT_OPEN".to_owned()));
    let more = tries(&bench) - CALLS;
    // At least one each second, and the call each tenth: time goes on by itself while nobody but a try waits.
    assert!((CALLS / 20..=CALLS / 10 + 20).contains(&more), "{more}");
}

/// What a callee that is down is offered, beyond what was asked for, is at most a tenth; and most is not even offered.
#[tokio::test(start_paused = true)]
async fn a_context_that_is_down_meets_no_storm() {
    let bench = Bench::local();
    bench.platform.heard.become_(Mood::Absent);
    let (mut asked, mut spared) = (0, 0);
    for _second in 0..60 {
        for _ in 0..100 {
            asked += 1;
            if outcome(&bench.charge().await) == "CIRCUIT_OPEN" {
                spared += 1;
            }
        }
        bench.platform.clock.turn(SignedDuration::from_secs(1));
    }
    let offered = tries(&bench);
    assert!(offered * 10 <= asked * 11, "{offered} of {asked}");
    assert!(offered < 100, "{offered} offered, {spared} spared");
    let metrics = telemetry::metrics().unwrap().render();
    assert!(metrics.contains("berth_breaker_transitions_total{peer=\"payment\",to=\"open\"}"));
}

/// However many tries a call takes, it is one call that failed.
#[tokio::test(start_paused = true)]
async fn the_breaker_counts_calls_and_not_tries() {
    let bench = Bench::local();
    bench.platform.heard.become_(Mood::Absent);
    assert_eq!(bench.outcomes(9).await, ["Unavailable"]);
    assert!(tries(&bench) > 18, "{} tries", tries(&bench));
    bench.platform.heard.become_(Mood::Answers);
    assert_eq!(after(&bench, &[]).await, ("OK".into(), 1));
}

/// The second try is answered: nothing is wrong with the context.
#[tokio::test(start_paused = true)]
async fn a_context_that_restarts_does_not_look_down() {
    let bench = Bench::local();
    for _ in 0..10 {
        assert_eq!(after(&bench, &[Mood::Absent]).await, ("OK".into(), 2));
    }
}

#[tokio::test(start_paused = true)]
async fn the_probe_of_a_breaker_is_one_try() {
    let bench = Bench::local();
    bench.platform.heard.become_(Mood::Fails(Code::Internal));
    bench.outcomes(11).await;
    bench.platform.heard.become_(Mood::Absent);
    bench.platform.clock.turn(SignedDuration::from_secs(1));
    assert_eq!(after(&bench, &[]).await, ("Unavailable".into(), 1));
}

/// A call while the breaker opens is not made again: others have found out meanwhile.
#[tokio::test(start_paused = true)]
async fn nothing_is_tried_again_once_the_breaker_is_open() {
    let bench = Bench::local();
    bench.platform.heard.first([Mood::Absent]);
    bench.platform.heard.become_(Mood::Fails(Code::Internal));
    let mut call = Box::pin(bench.charge());
    assert!(futures::poll!(&mut call).is_pending(), "it waits");
    bench.outcomes(10).await;
    assert_eq!(bench.outcomes(1).await, ["CIRCUIT_OPEN"]);
    assert_eq!(outcome(&call.await), "Unavailable");
    assert_eq!(tries(&bench), 11);
}

async fn again_on(address: SocketAddr) -> TcpListener {
    TcpListener::bind(address).await.unwrap()
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_answer_is_no_failure() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let uri = format!("http://{address}");
    bench.peers.add_remote("payment", &uri).unwrap();
    let broken = async {
        let (mut stream, _): (TcpStream, _) = listener.accept().await.unwrap();
        // The request has come, and is not answered.
        let mut heard = [0; 200];
        stream.read_exact(&mut heard).await.unwrap();
        drop(stream);
        Elsewhere::on(listener, &bench.platform, "payment")
    };
    let (elsewhere, answer) = tokio::join!(broken, bench.charge());
    answer.unwrap();
    elsewhere.stop().await;
}

#[tokio::test]
async fn nobody_notices_that_a_context_restarts() {
    let bench = Bench::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut elsewhere = Elsewhere::on(listener, &bench.platform, "payment");
    bench.peers.add_remote("payment", &elsewhere.uri).unwrap();
    for _ in 0..5 {
        bench.charge().await.unwrap();
        // It says GOAWAY on the connection that there is, and is away for a while.
        elsewhere.stop().await;
        let restart = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            ticks.tick().await;
            ticks.tick().await;
            Elsewhere::on(again_on(address).await, &bench.platform, "payment")
        };
        let (answer, restarted) = tokio::join!(bench.charge(), restart);
        answer.unwrap();
        elsewhere = restarted;
    }
    elsewhere.stop().await;
}

/// A proxy that has begun to answer and breaks off says so at the end.
#[tokio::test]
async fn an_error_at_the_end_of_an_answer_is_seen() {
    let bench = Bench::new();
    let cut = || async {
        let mut trailers = http::HeaderMap::new();
        let broke = Status::unavailable("the answer broke off");
        broke.add_header(&mut trailers).unwrap();
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
