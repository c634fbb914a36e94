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

use crate::platform::{ADMIN, Behavior, CUSTOMER, Platform, foreign_key, service_key, token};

/// A caller of `payment`.
pub(crate) struct Bench {
    pub(crate) platform: Platform,
    faults: Faults,
    pub(crate) peers: Peers,
    pub(crate) timeout: Duration,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let platform = Platform::new();
        let faults = Faults::default();
        let clock = Clock::Manual(platform.clock.clone());
        let peers = Peers::with(clock, faults.clone(), Some(service_key("reservation")));
        Self {
            platform,
            faults,
            peers: peers.called_by("reservation"),
            timeout: Duration::from_secs(30),
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
        request.set_timeout(self.timeout);
        self.payment().charge_payment(request).await.map(|_| ())
    }

    /// The outcomes of the next calls, without repeats.
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
    let caller = bench.platform.contexts.last();
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
    let received = bench.platform.contexts.last();
    assert_eq!(received.service.as_deref(), Some("reservation"));
    assert_eq!(
        (received.member, received.roles),
        (asked.member, asked.roles)
    );
    assert_eq!(
        (received.request_id, received.traceparent),
        (asked.request_id, asked.traceparent)
    );
}

/// A gateway calls without a service identity.
#[tokio::test]
async fn a_gateway_calls_without_a_service_identity() {
    let bench = Bench::local();
    let gateway = Peers::with(
        Clock::System,
        Faults::default(),
        Some(service_key("reservation")),
    );
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
async fn a_context_is_unavailable_until_it_is_added() {
    let bench = Bench::new();
    let mut client = bench.payment();
    let refused = client
        .charge_payment(payment::ChargePaymentRequest::default())
        .await
        .unwrap_err();
    assert_eq!(
        (refused.code(), reason_of(&refused).as_deref()),
        (Code::Unavailable, Some("PEER_UNAVAILABLE"))
    );
    bench.peers.add_local("payment", bench.platform.routes());
    client
        .charge_payment(payment::ChargePaymentRequest::default())
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_call_exceeds_the_deadline_of_the_caller() {
    let mut bench = Bench::local();
    bench.timeout = Duration::from_millis(200);
    bench.platform.contexts.behave(Behavior::Hangs);
    let begin = tokio::time::Instant::now();
    let late = bench.charge().await.unwrap_err();
    assert_eq!(
        (late.code(), reason_of(&late).as_deref()),
        (Code::DeadlineExceeded, Some("DEADLINE_EXCEEDED"))
    );
    assert_eq!(begin.elapsed().as_millis(), 200);

    // A caller's deadline limits the calls made on its behalf.
    let mut asked = Caller::person(CUSTOMER, &[Role::Customer]);
    asked.deadline = Some(tokio::time::Instant::now() + Duration::from_millis(50));
    let begin = tokio::time::Instant::now();
    let late = bench
        .payment()
        .list_payments(asked.request(payment::ListPaymentsRequest::default()))
        .await;
    assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(begin.elapsed().as_millis(), 50);
    let calls = bench.platform.contexts.callers().len();
    let late = bench
        .payment()
        .list_payments(asked.request(payment::ListPaymentsRequest::default()))
        .await;
    assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(
        bench.platform.contexts.callers().len(),
        calls,
        "a call after its deadline is not made"
    );

    // Without a deadline it is five seconds.
    let begin = tokio::time::Instant::now();
    let late = bench
        .payment()
        .charge_payment(payment::ChargePaymentRequest::default())
        .await;
    assert_eq!(late.unwrap_err().code(), Code::DeadlineExceeded);
    assert_eq!(begin.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn fault_points_make_a_context_unavailable_or_slow() {
    let bench = Bench::local();
    bench.faults.arm("peer.payment", 3);
    assert_eq!(bench.outcomes(2).await, ["PEER_UNAVAILABLE", "OK"]);
    bench.faults.arm("peer.payment.slow", 1);
    assert_eq!(bench.outcomes(2).await, ["DEADLINE_EXCEEDED", "OK"]);
    assert_eq!(bench.platform.contexts.callers().len(), 2);
}

#[tokio::test]
async fn the_breaker_of_a_failing_context_opens_and_then_probes() {
    for failure in [
        Code::Unavailable,
        Code::DeadlineExceeded,
        Code::Internal,
        Code::Unknown,
        Code::DataLoss,
    ] {
        let bench = Bench::local();
        bench.platform.contexts.behave(Behavior::Fails(failure));
        assert_eq!(bench.outcomes(10).await, [format!("{failure:?}")]);
        let open = bench.charge().await.unwrap_err();
        assert_eq!(
            (open.code(), outcome(&Err(open.clone()))),
            (Code::Unavailable, "CIRCUIT_OPEN".into())
        );
        assert!(open.get_details_retry_info().is_some());
        assert_eq!(bench.outcomes(20).await, ["CIRCUIT_OPEN"]);
        assert_eq!(bench.platform.contexts.callers().len(), 10);
        // The probe fails: the breaker opens again.
        bench.platform.clock.turn(SignedDuration::from_millis(1000));
        assert_eq!(
            bench.outcomes(3).await,
            [format!("{failure:?}"), "CIRCUIT_OPEN".into()]
        );
        assert_eq!(bench.platform.contexts.callers().len(), 11);
        // The probe succeeds: the breaker closes.
        bench.platform.contexts.behave(Behavior::Succeeds);
        bench.platform.clock.turn(SignedDuration::from_millis(999));
        assert_eq!(bench.outcomes(1).await, ["CIRCUIT_OPEN"]);
        bench.platform.clock.turn(SignedDuration::from_millis(1));
        assert_eq!(bench.outcomes(20).await, ["OK"]);
    }
}

#[tokio::test]
async fn a_refusal_is_not_a_failure_of_the_context() {
    let bench = Bench::local();
    for refusal in [
        Code::NotFound,
        Code::FailedPrecondition,
        Code::PermissionDenied,
        Code::Aborted,
        Code::ResourceExhausted,
    ] {
        bench.platform.contexts.behave(Behavior::Fails(refusal));
        assert_eq!(bench.outcomes(30).await, [format!("{refusal:?}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_stands_still_does_not_keep_the_breaker_open() {
    let bench = Bench::local();
    bench
        .platform
        .contexts
        .behave(Behavior::Fails(Code::Unavailable));
    bench.outcomes(10).await;
    bench.platform.contexts.behave(Behavior::Succeeds);
    tokio::time::advance(Duration::from_millis(4999)).await;
    assert_eq!(bench.outcomes(1).await, ["CIRCUIT_OPEN"]);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(bench.outcomes(2).await, ["OK"]);
}

#[tokio::test]
async fn occasional_failures_do_not_open_the_breaker() {
    let bench = Bench::local();
    for _ in 0..30 {
        bench
            .platform
            .contexts
            .behave(Behavior::Fails(Code::Unavailable));
        assert_eq!(bench.outcomes(1).await, ["Unavailable"]);
        bench.platform.contexts.behave(Behavior::Succeeds);
        assert_eq!(bench.outcomes(2).await, ["OK"]);
    }
}

/// Otherwise one client with a short deadline could open the breaker for all.
#[tokio::test(start_paused = true)]
async fn calls_with_a_short_deadline_do_not_open_the_breaker() {
    let mut bench = Bench::local();
    bench.platform.contexts.behave(Behavior::Hangs);
    bench.timeout = Duration::from_millis(50);
    assert_eq!(bench.outcomes(30).await, ["DEADLINE_EXCEEDED"]);
    bench.timeout = Duration::from_millis(150);
    assert_eq!(
        bench.outcomes(30).await,
        ["DEADLINE_EXCEEDED", "CIRCUIT_OPEN"]
    );
}

#[tokio::test]
async fn after_a_cancelled_probe_another_is_admitted() {
    let bench = Bench::local();
    bench
        .platform
        .contexts
        .behave(Behavior::Fails(Code::Unavailable));
    bench.outcomes(10).await;
    bench.platform.clock.turn(SignedDuration::from_secs(1));
    bench.platform.contexts.behave(Behavior::Hangs);
    {
        let mut probe = Box::pin(bench.charge());
        assert!(futures::poll!(&mut probe).is_pending());
        assert_eq!(bench.outcomes(1).await, ["CIRCUIT_OPEN"]);
    }
    bench.platform.contexts.behave(Behavior::Succeeds);
    assert_eq!(bench.outcomes(5).await, ["OK"]);
}

#[tokio::test]
async fn the_calls_in_flight_to_a_context_are_limited() {
    let bench = Arc::new(Bench::local());
    bench.platform.contexts.behave(Behavior::Hangs);
    let mut calls: Vec<_> = (0..MAX_IN_FLIGHT)
        .map(|_| Box::pin(bench.charge()))
        .collect();
    for call in &mut calls {
        assert!(futures::poll!(call).is_pending());
    }
    bench.platform.contexts.behave(Behavior::Succeeds);
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

/// A context behind a socket, as in another process.
pub(crate) struct RemoteContext {
    pub(crate) uri: String,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl RemoteContext {
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
    let remote = RemoteContext::serve(&bench.platform, "payment").await;
    bench.peers.add_remote("payment", &remote.uri).unwrap();
    bench.charge().await.unwrap();
    let caller = bench.platform.contexts.last();
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
        "a person without a token is anonymous in another process"
    );
    asked.token = Some(token(ADMIN, &[Role::Admin]));
    let request = asked.request(payment::GetLedgerRequest::default());
    bench.payment().get_ledger(request).await.unwrap();
    let received = bench.platform.contexts.last();
    assert_eq!(
        (received.member, received.service.as_deref()),
        (Some(ADMIN), Some("reservation"))
    );
    assert_eq!(
        (received.token, received.request_id, received.traceparent),
        (asked.token, asked.request_id, asked.traceparent)
    );

    // The service token is renewed before it expires.
    bench.platform.clock.turn(SignedDuration::from_secs(59));
    bench.charge().await.unwrap();
    bench.platform.clock.turn(SignedDuration::from_mins(10));
    bench.charge().await.unwrap();
    remote.stop().await;
}

#[tokio::test]
async fn a_service_token_of_another_key_or_for_another_context_is_refused() {
    let bench = Bench::new();
    let remote = RemoteContext::serve(&bench.platform, "payment").await;
    let charge = async |peers: &Peers, as_context: &str| {
        let mut client = PaymentServiceClient::new(peers.to(as_context));
        let answer = client
            .charge_payment(payment::ChargePaymentRequest::default())
            .await;
        outcome(&answer.map(|_| ()))
    };
    let clock = || Clock::Manual(bench.platform.clock.clone());
    let foreign = Peers::with(clock(), Faults::default(), Some(foreign_key("reservation")))
        .called_by("reservation");
    foreign.add_remote("payment", &remote.uri).unwrap();
    assert_eq!(
        charge(&foreign, "payment").await,
        "SERVICE_IDENTITY_REQUIRED"
    );
    let none = Peers::with(clock(), Faults::default(), None).called_by("reservation");
    none.add_remote("payment", &remote.uri).unwrap();
    assert_eq!(charge(&none, "payment").await, "SERVICE_IDENTITY_REQUIRED");
    // A token for `room`, sent to `payment`.
    bench.peers.add_remote("room", &remote.uri).unwrap();
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
            Some(service_key("reservation")),
        )
        .called_by("reservation");
        late.add_remote("payment", &remote.uri).unwrap();
        assert_eq!(charge(&late, "payment").await, "SERVICE_IDENTITY_REQUIRED");
    }
    assert_eq!(bench.platform.contexts.callers(), []);
    remote.stop().await;
}

#[tokio::test]
async fn a_call_to_another_process_ends_at_the_deadline() {
    let mut bench = Bench::new();
    let remote = RemoteContext::serve(&bench.platform, "payment").await;
    bench.peers.add_remote("payment", &remote.uri).unwrap();
    bench.platform.contexts.behave(Behavior::Hangs);
    bench.timeout = Duration::from_millis(100);
    assert_eq!(bench.outcomes(1).await, ["DEADLINE_EXCEEDED"]);
    bench.platform.contexts.behave(Behavior::Succeeds);
    bench.timeout = Duration::from_secs(30);
    assert_eq!(bench.outcomes(1).await, ["OK"]);
    let deadline = bench.platform.contexts.last().deadline.unwrap();
    assert!(deadline <= tokio::time::Instant::now() + bench.timeout);
    remote.stop().await;
    // Nothing listens there any more.
    assert_eq!(
        bench.outcomes(20).await,
        ["PEER_UNAVAILABLE", "CIRCUIT_OPEN"]
    );
}
