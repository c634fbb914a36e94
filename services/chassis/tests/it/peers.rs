//! Calls to other contexts, in one process and across two.

use std::{sync::Arc, time::Duration};

use berth::{
    common::v1::Role,
    payment::v1::{self as payment, payment_service_client::PaymentServiceClient},
};
use chassis::{
    Access, Caller, Clock,
    base::{faults::Faults, time::SignedDuration},
    client::peers::{MAX_IN_FLIGHT, Peer, Peers},
    error::status::reason_of,
};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::platform::{ADMIN, CUSTOMER, Mood, Platform, service_key, token};

/// A caller of `payment`.
pub(crate) struct Bench {
    pub(crate) platform: Platform,
    faults: Faults,
    pub(crate) peers: Peers,
    pub(crate) patience: Duration,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let platform = Platform::new();
        let faults = Faults::default();
        let clock = Clock::Manual(platform.clock.clone());
        let peers = Peers::with(clock, faults.clone(), Some(service_key(7)));
        Self {
            platform,
            faults,
            peers: peers.called_by("reservation"),
            patience: Duration::from_secs(30),
        }
    }

    pub(crate) fn local() -> Self {
        let bench = Self::new();
        bench.peers.add_local("payment", bench.platform.routes());
        bench
    }

    pub(crate) fn payment(&self) -> PaymentServiceClient<Peer> {
        PaymentServiceClient::new(self.peers.to("payment"))
    }

    pub(crate) async fn charge(&self) -> Result<(), Status> {
        let mut request = Request::new(payment::ChargePaymentRequest::default());
        request.set_timeout(self.patience);
        self.payment().charge_payment(request).await.map(|_| ())
    }

    /// How the next calls end.
    pub(crate) async fn outcomes(&self, calls: usize) -> Vec<String> {
        let mut outcomes = Vec::new();
        for _ in 0..calls {
            outcomes.push(outcome(&self.charge().await));
        }
        outcomes.dedup();
        outcomes
    }
}

pub(crate) fn outcome(answer: &Result<(), Status>) -> String {
    match answer {
        Ok(()) => "OK".to_owned(),
        Err(status) => reason_of(status).unwrap_or_else(|| format!("{:?}", status.code())),
    }
}

#[tokio::test]
async fn a_call_carries_the_person_and_the_service_that_makes_it() {
    let bench = Bench::local();
    bench.charge().await.unwrap();
    let caller = bench.platform.heard.last();
    assert_eq!(
        (caller.member, caller.service.as_deref()),
        (None, Some("reservation"))
    );
    assert!(!caller.request_id.is_empty());

    let mut asked = Caller::person(CUSTOMER, &[Role::Customer]);
    asked.service = Some("view".into());
    asked.request_id = "abc-1".into();
    asked.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into();
    let request = asked.request(payment::ListPaymentsRequest::default());
    bench.payment().list_payments(request).await.unwrap();
    let heard = bench.platform.heard.last();
    assert_eq!(heard.service.as_deref(), Some("reservation"));
    assert_eq!((heard.member, heard.roles), (asked.member, asked.roles));
    assert_eq!(
        (heard.request_id, heard.traceparent),
        (asked.request_id, asked.traceparent)
    );
}

/// What only asks for clients has no identity to lend.
#[tokio::test]
async fn a_gateway_lends_nobody_its_identity() {
    let bench = Bench::local();
    let gateway = Peers::with(Clock::System, Faults::default(), Some(service_key(7)));
    gateway.add_local("payment", bench.platform.routes());
    let mut client = PaymentServiceClient::new(gateway.to("payment"));
    let refused = client
        .charge_payment(payment::ChargePaymentRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        reason_of(&refused).as_deref(),
        Some("SERVICE_IDENTITY_REQUIRED")
    );
}

#[tokio::test]
async fn a_context_that_is_not_there_is_unavailable_until_it_is() {
    let bench = Bench::new();
    let mut client = bench.payment();
    let absent = client
        .charge_payment(payment::ChargePaymentRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        (absent.code(), reason_of(&absent).as_deref()),
        (Code::Unavailable, Some("PEER_UNAVAILABLE"))
    );
    bench.peers.add_local("payment", bench.platform.routes());
    client
        .charge_payment(payment::ChargePaymentRequest::default())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_caller() {
    let mut bench = Bench::local();
    bench.patience = Duration::from_millis(200);
    bench.platform.heard.become_(Mood::Hangs);
    let begin = tokio::time::Instant::now();
    let late = bench.charge().await.unwrap_err();
    assert_eq!(
        (late.code(), reason_of(&late).as_deref()),
        (Code::DeadlineExceeded, Some("DEADLINE_EXCEEDED"))
    );
    assert_eq!(begin.elapsed().as_millis(), 200);

    // The deadline of the one who asked holds for what is asked on their behalf.
    let mut asked = Caller::person(CUSTOMER, &[Role::Customer]);
    asked.deadline = Some(tokio::time::Instant::now() + Duration::from_millis(50));
    let begin = tokio::time::Instant::now();
    let late = bench
        .payment()
        .list_payments(asked.request(payment::ListPaymentsRequest::default()))
        .await;
    assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(begin.elapsed().as_millis(), 50);
    let calls = bench.platform.heard.callers().len();
    let late = bench
        .payment()
        .list_payments(asked.request(payment::ListPaymentsRequest::default()))
        .await;
    assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(
        bench.platform.heard.callers().len(),
        calls,
        "a call that is too late already is not made"
    );

    // Who says nothing waits five seconds.
    let begin = tokio::time::Instant::now();
    let late = bench
        .payment()
        .charge_payment(payment::ChargePaymentRequest::default())
        .await;
    assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(begin.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_test_takes_a_context_down_or_makes_it_slow() {
    let bench = Bench::local();
    bench.faults.arm("peer.payment", 3);
    assert_eq!(bench.outcomes(2).await, ["PEER_UNAVAILABLE", "OK"]);
    bench.faults.arm("peer.payment.slow", 1);
    assert_eq!(bench.outcomes(2).await, ["DEADLINE_EXCEEDED", "OK"]);
    assert_eq!(bench.platform.heard.callers().len(), 2);
}

#[tokio::test]
async fn a_context_that_fails_is_left_alone_and_then_tried_again() {
    for failure in [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::Internal,
        Code::Unknown,
        Code::DataLoss,
    ] {
        let bench = Bench::local();
        bench.platform.heard.become_(Mood::Fails(failure));
        assert_eq!(bench.outcomes(10).await, [format!("{failure:?}")]);
        let open = bench.charge().await.unwrap_err();
        assert_eq!(
            (open.code(), outcome(&Err(open.clone()))),
            (Code::Unavailable, "CIRCUIT_OPEN".into())
        );
        assert!(open.get_details_retry_info().is_some());
        assert_eq!(bench.outcomes(20).await, ["CIRCUIT_OPEN"]);
        assert_eq!(bench.platform.heard.callers().len(), 10);
        // The probe fails: left alone again.
        bench.platform.clock.turn(SignedDuration::from_millis(1000));
        assert_eq!(
            bench.outcomes(3).await,
            [format!("{failure:?}"), "CIRCUIT_OPEN".into()]
        );
        assert_eq!(bench.platform.heard.callers().len(), 11);
        // The probe succeeds: all is well.
        bench.platform.heard.become_(Mood::Answers);
        bench.platform.clock.turn(SignedDuration::from_millis(999));
        assert_eq!(bench.outcomes(1).await, ["CIRCUIT_OPEN"]);
        bench.platform.clock.turn(SignedDuration::from_millis(1));
        assert_eq!(bench.outcomes(20).await, ["OK"]);
    }
}

#[tokio::test]
async fn a_no_to_the_caller_is_no_failure_of_the_context() {
    let bench = Bench::local();
    for refusal in [
        Code::NotFound,
        Code::FailedPrecondition,
        Code::PermissionDenied,
        Code::Aborted,
        Code::ResourceExhausted,
    ] {
        bench.platform.heard.become_(Mood::Fails(refusal));
        assert_eq!(bench.outcomes(30).await, [format!("{refusal:?}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_stands_still_does_not_keep_a_context_away() {
    let bench = Bench::local();
    bench.platform.heard.become_(Mood::Fails(Code::Unavailable));
    bench.outcomes(10).await;
    bench.platform.heard.become_(Mood::Answers);
    tokio::time::advance(Duration::from_millis(4999)).await;
    assert_eq!(bench.outcomes(1).await, ["CIRCUIT_OPEN"]);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(bench.outcomes(2).await, ["OK"]);
}

#[tokio::test]
async fn a_context_that_fails_now_and_then_is_not_left_alone() {
    let bench = Bench::local();
    for _ in 0..30 {
        bench.platform.heard.become_(Mood::Fails(Code::Unavailable));
        assert_eq!(bench.outcomes(1).await, ["Unavailable"]);
        bench.platform.heard.become_(Mood::Answers);
        assert_eq!(bench.outcomes(2).await, ["OK"]);
    }
}

/// Otherwise anybody could take a context away from everybody by asking with a short deadline.
#[tokio::test(start_paused = true)]
async fn impatient_callers_do_not_make_a_context_look_down() {
    let mut bench = Bench::local();
    bench.platform.heard.become_(Mood::Hangs);
    bench.patience = Duration::from_millis(50);
    assert_eq!(bench.outcomes(30).await, ["DEADLINE_EXCEEDED"]);
    bench.patience = Duration::from_millis(150);
    assert_eq!(
        bench.outcomes(30).await,
        ["DEADLINE_EXCEEDED", "CIRCUIT_OPEN"]
    );
}

#[tokio::test]
async fn a_probe_that_is_given_up_makes_room_for_another() {
    let bench = Bench::local();
    bench.platform.heard.become_(Mood::Fails(Code::Unavailable));
    bench.outcomes(10).await;
    bench.platform.clock.turn(SignedDuration::from_secs(1));
    bench.platform.heard.become_(Mood::Hangs);
    {
        let mut probe = Box::pin(bench.charge());
        assert!(futures::poll!(&mut probe).is_pending());
        assert_eq!(bench.outcomes(1).await, ["CIRCUIT_OPEN"]);
    }
    bench.platform.heard.become_(Mood::Answers);
    assert_eq!(bench.outcomes(5).await, ["OK"]);
}

#[tokio::test]
async fn only_so_many_calls_to_a_context_are_in_flight() {
    let bench = Arc::new(Bench::local());
    bench.platform.heard.become_(Mood::Hangs);
    let mut calls: Vec<_> = (0..MAX_IN_FLIGHT)
        .map(|_| Box::pin(bench.charge()))
        .collect();
    for call in &mut calls {
        assert!(futures::poll!(call).is_pending());
    }
    bench.platform.heard.become_(Mood::Answers);
    let busy = bench.charge().await.unwrap_err();
    assert_eq!(
        (busy.code(), reason_of(&busy).as_deref()),
        (Code::Unavailable, Some("PEER_BUSY"))
    );
    calls.pop();
    bench.charge().await.unwrap();
    drop(calls);
    assert_eq!(bench.outcomes(20).await, ["OK"]);
}

/// `payment` in another process, as far as its callers can tell.
pub(crate) struct Elsewhere {
    pub(crate) uri: String,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Elsewhere {
    async fn serve(platform: &Platform, context: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::on(listener, platform, context)
    }

    pub(crate) fn on(
        listener: tokio::net::TcpListener,
        platform: &Platform,
        context: &str,
    ) -> Self {
        let uri = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let routes = Access::new(&platform.trust).guard(context, platform.bare());
        let serve = tonic::transport::Server::builder()
            .add_routes(routes)
            .serve_with_incoming_shutdown(
                tonic::transport::server::TcpIncoming::from(listener),
                stop.clone().cancelled_owned(),
            );
        let task = tokio::spawn(async move { serve.await.unwrap() });
        Self { uri, stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

#[tokio::test]
async fn across_processes_a_call_proves_the_service_and_the_person() {
    let bench = Bench::new();
    let elsewhere = Elsewhere::serve(&bench.platform, "payment").await;
    bench.peers.add_remote("payment", &elsewhere.uri).unwrap();
    bench.charge().await.unwrap();
    let caller = bench.platform.heard.last();
    assert_eq!(
        (caller.member, caller.service.as_deref()),
        (None, Some("reservation"))
    );

    let mut asked = Caller::person(ADMIN, &[Role::Admin]);
    asked.request_id = "abc-1".into();
    asked.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into();
    let unproved = asked.request(payment::GetLedgerRequest::default());
    let refused = bench.payment().get_ledger(unproved).await.unwrap_err();
    assert_eq!(
        refused.code(),
        Code::Unauthenticated,
        "a person without a token is nobody elsewhere"
    );
    asked.token = Some(token(ADMIN, &[Role::Admin]));
    let request = asked.request(payment::GetLedgerRequest::default());
    bench.payment().get_ledger(request).await.unwrap();
    let heard = bench.platform.heard.last();
    assert_eq!(
        (heard.member, heard.service.as_deref()),
        (Some(ADMIN), Some("reservation"))
    );
    assert_eq!(
        (heard.token, heard.request_id, heard.traceparent),
        (asked.token, asked.request_id, asked.traceparent)
    );

    // Its token is renewed before it ends.
    bench.platform.clock.turn(SignedDuration::from_secs(59));
    bench.charge().await.unwrap();
    bench.platform.clock.turn(SignedDuration::from_mins(10));
    bench.charge().await.unwrap();
    elsewhere.stop().await;
}

#[tokio::test]
async fn a_service_token_of_another_key_or_for_another_context_is_not_believed() {
    let bench = Bench::new();
    let elsewhere = Elsewhere::serve(&bench.platform, "payment").await;
    let charge = async |peers: &Peers, as_context: &str| {
        let mut client = PaymentServiceClient::new(peers.to(as_context));
        let answer = client
            .charge_payment(payment::ChargePaymentRequest::default())
            .await;
        outcome(&answer.map(|_| ()))
    };
    let clock = || Clock::Manual(bench.platform.clock.clone());
    let foreign =
        Peers::with(clock(), Faults::default(), Some(service_key(8))).called_by("reservation");
    foreign.add_remote("payment", &elsewhere.uri).unwrap();
    assert_eq!(
        charge(&foreign, "payment").await,
        "SERVICE_IDENTITY_REQUIRED"
    );
    let none = Peers::with(clock(), Faults::default(), None).called_by("reservation");
    none.add_remote("payment", &elsewhere.uri).unwrap();
    assert_eq!(charge(&none, "payment").await, "SERVICE_IDENTITY_REQUIRED");
    // A token for `room`, taken to `payment`.
    bench.peers.add_remote("room", &elsewhere.uri).unwrap();
    assert_eq!(
        charge(&bench.peers, "room").await,
        "SERVICE_IDENTITY_REQUIRED"
    );
    // A clock that is wrong by more than the leeway, either way.
    for (minutes, seconds) in [(0, -6), (1, 6)] {
        let wrong = chassis::base::clock::ManualClock::new(bench.platform.clock.now());
        wrong.turn(-SignedDuration::from_secs(minutes * 60 + seconds));
        let late = Peers::with(
            Clock::Manual(wrong),
            Faults::default(),
            Some(service_key(7)),
        )
        .called_by("reservation");
        late.add_remote("payment", &elsewhere.uri).unwrap();
        assert_eq!(charge(&late, "payment").await, "SERVICE_IDENTITY_REQUIRED");
    }
    assert_eq!(bench.platform.heard.callers(), []);
    elsewhere.stop().await;
}

#[tokio::test]
async fn another_process_that_does_not_answer_is_waited_for_no_longer_than_the_deadline() {
    let mut bench = Bench::new();
    let elsewhere = Elsewhere::serve(&bench.platform, "payment").await;
    bench.peers.add_remote("payment", &elsewhere.uri).unwrap();
    bench.platform.heard.become_(Mood::Hangs);
    bench.patience = Duration::from_millis(100);
    assert_eq!(bench.outcomes(1).await, ["DEADLINE_EXCEEDED"]);
    bench.platform.heard.become_(Mood::Answers);
    bench.patience = Duration::from_secs(30);
    assert_eq!(bench.outcomes(1).await, ["OK"]);
    let told = bench.platform.heard.last().deadline.unwrap();
    assert!(told <= tokio::time::Instant::now() + bench.patience);
    elsewhere.stop().await;
    // Nobody listens there any more.
    assert_eq!(
        bench.outcomes(20).await,
        ["PEER_UNAVAILABLE", "CIRCUIT_OPEN"]
    );
}
