//! The load: guests who book, pay and cancel, and a host who approves and rejects. Every call is repeated until it has a
//! response.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use berth::{
    offer::v1::Period,
    reservation::v1::{
        ApproveReservationRequest, CancelReservationRequest, PayReservationRequest,
        RejectReservationRequest, ReservationStatus as Is,
    },
    room::v1::Room,
};
use chassis::{
    Clock,
    base::time::{SignedDuration, TimeZone},
    error::status::reason_of,
};
use rand::{Rng, rngs::StdRng, seq::IndexedRandom};
use stories::{people::Person, world::nights};
use tokio::{sync::mpsc as tasks, time::timeout};
use tonic::{Code, Status};

use super::answers::{Answer, Answers};

const METHODS: [&str; 8] = [
    "tok_approved",
    "tok_approved",
    "tok_approved",
    "tok_declined",
    "tok_slow_300",
    "tok_timeout_after",
    "tok_timeout_before",
    "tok_refund_fails_twice",
];

/// The state that guests and the host share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) rooms: Arc<Vec<Room>>,
    /// Set when guests must stop booking.
    pub(super) finished: Arc<AtomicBool>,
    /// The number of calls with a response, and of repeated calls.
    pub(super) answered: Arc<AtomicUsize>,
    pub(super) repeated: Arc<AtomicUsize>,
}

impl Shared {
    /// Repeats a call until there is a response or a refusal.
    async fn answered<T>(&self, call: impl AsyncFn() -> Result<T, Status>) -> Result<T, Status> {
        let mut tries = tokio::time::interval(Duration::from_millis(10));
        loop {
            tries.tick().await;
            match timeout(Duration::from_secs(2), call()).await {
                Ok(Err(status)) if is_no_answer(&status) => {}
                Ok(answer) => {
                    self.answered.fetch_add(1, Ordering::SeqCst);
                    return answer;
                }
                Err(_) => {}
            }
            self.repeated.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// Whether the outcome of a call is unknown, because the platform was down or died. Refusals by the platform have a reason,
/// and their codes are never NOT_FOUND or UNAUTHENTICATED here.
fn is_no_answer(status: &Status) -> bool {
    let reason = reason_of(status);
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted => true,
        Code::Unknown | Code::Internal | Code::Cancelled => {
            assert_eq!(reason, None, "{status:?}");
            true
        }
        Code::FailedPrecondition => false,
        _ => panic!("{status:?}"),
    }
}

/// A guest who books, pays and cancels until `finished` is set.
pub(super) struct Guest {
    pub(super) shared: Shared,
    pub(super) person: Person,
    pub(super) random: StdRng,
    pub(super) ids: u64,
    pub(super) answers: Answers,
    /// The reservations that await the host's decision.
    pub(super) pending: tasks::UnboundedSender<String>,
}

impl Guest {
    pub(super) async fn run(mut self) -> Answers {
        while !self.shared.finished.load(Ordering::SeqCst) {
            self.book().await;
        }
        self.answers
    }

    async fn book(&mut self) {
        self.ids += 1;
        let id = id(self.ids);
        let period = self.period();
        let room = self.shared.rooms.choose(&mut self.random).unwrap();
        let mut wanted = self.person.wants(id.clone(), room, period);
        wanted.payment_method = (*METHODS.choose(&mut self.random).unwrap()).into();
        wanted.quantity = self.random.random_range(1..3);
        let request = async || self.person.book(wanted.clone()).await;
        let booked = match self.shared.answered(request).await {
            Ok(booked) => booked,
            Err(status) => return self.record_refusal(&id, &status),
        };
        assert_eq!(booked.period, wanted.period);
        assert_eq!(booked.quantity, wanted.quantity);
        let status = booked.status();
        self.record(&id, Answer::Is(Box::new(booked)));
        match status {
            Is::PendingApproval => {
                // The host may have stopped.
                let _ = self.pending.send(id.clone());
            }
            Is::Requested => self.pay(&id).await,
            _ => {}
        }
        if self.random.random_ratio(1, 3) {
            self.cancel_reservation(&id).await;
        }
    }

    fn record_refusal(&mut self, id: &str, status: &Status) {
        match reason_of(status).as_deref() {
            Some("SOLD_OUT") => self.record(id, Answer::SoldOut),
            Some("PAYMENT_DECLINED") => self.record(id, Answer::Declined),
            _ => panic!("{status:?}"),
        }
    }

    async fn pay(&mut self, id: &str) {
        let pay = async || {
            let reservation_id = id.to_owned();
            let request = PayReservationRequest { reservation_id };
            self.person.reservations().pay_reservation(request).await
        };
        match self.shared.answered(pay).await {
            Ok(paid) => {
                let paid = paid.into_inner().reservation.unwrap();
                self.record(id, Answer::Is(Box::new(paid)));
            }
            Err(status) => {
                assert_eq!(reason_of(&status).as_deref(), Some("PAYMENT_DECLINED"));
                self.record(id, Answer::Declined);
            }
        }
    }

    async fn cancel_reservation(&mut self, id: &str) {
        let cancel = async || {
            let request = CancelReservationRequest {
                reservation_id: id.to_owned(),
                ..Default::default()
            };
            let mut reservations = self.person.reservations();
            reservations.cancel_reservation(request).await
        };
        // A reservation that was declined or rejected in the meantime cannot be cancelled.
        if let Ok(cancelled) = self.shared.answered(cancel).await {
            let cancelled = cancelled.into_inner().reservation.unwrap();
            self.record(id, Answer::Cancelled(Box::new(cancelled)));
        }
    }

    fn record(&mut self, id: &str, answer: Answer) {
        self.answers.entry(id.to_owned()).or_default().push(answer);
    }

    /// One to three nights, some weeks from today.
    fn period(&mut self) -> Period {
        let day = |days: i64| {
            let at = Clock::System.now() + SignedDuration::from_hours(24 * days);
            at.to_zoned(TimeZone::UTC).date().to_string()
        };
        let first = self.random.random_range(20..80);
        let last = first + self.random.random_range(1..=3);
        nights(&day(first), &day(last))
    }
}

/// Approves or rejects reservations until all guests have stopped.
pub(super) async fn run_host(
    shared: &Shared,
    host: Person,
    mut pending: tasks::UnboundedReceiver<String>,
    mut random: StdRng,
) -> Answers {
    let mut answers = Answers::new();
    while let Some(id) = pending.recv().await {
        let approves = random.random_ratio(4, 5);
        let decide = async || {
            let (mut reservations, reservation_id) = (host.reservations(), id.clone());
            if approves {
                let request = ApproveReservationRequest { reservation_id };
                reservations.approve_reservation(request).await.map(|_| ())
            } else {
                let reason = String::new();
                let request = RejectReservationRequest {
                    reservation_id,
                    reason,
                };
                reservations.reject_reservation(request).await.map(|_| ())
            }
        };
        // A reservation that was cancelled in the meantime can be neither approved nor rejected.
        if shared.answered(decide).await.is_ok() {
            let answer = if approves {
                Answer::Approved
            } else {
                Answer::Rejected
            };
            answers.insert(id, vec![answer]);
        }
    }
    answers
}

/// The n-th id.
pub(super) fn id(n: u64) -> String {
    format!("{n:08x}-0000-4000-8000-{n:012x}")
}
