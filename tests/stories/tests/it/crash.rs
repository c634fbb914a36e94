//! Crashes: the platform crashes at every fault point of a booking process, restarts, and completes it. In the mesh only
//! `payment` crashes at the points of `payment`.

use std::collections::BTreeSet;

use berth::{
    offer::v1::Approval,
    reservation::v1::{
        ApproveReservationRequest, CancelReservationRequest, PayReservationRequest,
        RequestReservationRequest, ReservationStatus,
    },
    room::v1::Room,
};
use stories::{
    mode::Mode,
    people::Person,
    world::{World, eventually, nights},
};
use tonic::{Code, Status};

stories::stories! { one, mesh: [
    a_booking_survives_a_crash_at_every_point,
    an_approved_booking_survives_a_crash_at_every_point,
    a_declined_booking_survives_a_crash_at_every_point,
    a_charge_without_a_response_survives_a_crash_at_every_point,
    a_cancellation_survives_a_crash_at_every_point,
    a_failing_refund_survives_a_crash_at_every_point,
    a_lapse_survives_a_crash_at_every_point,
    a_completion_survives_a_crash_at_every_point,
    a_member_stays_signed_in_after_a_restart,
] }

/// The points of a crash: around the calls to the payment provider, the commits, and the relay.
const POINTS: [&str; 9] = [
    "payment.before_intent",
    "payment.after_intent",
    "payment.after_provider",
    "payment.after_result",
    "store.commit",
    "store.answer",
    "relay.publish",
    "relay.published",
    "consumer.payment",
];

/// The course of a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    /// Confirmed at once.
    Booked,
    /// Confirmed after the host has agreed.
    Approved,
    /// Declined by the payment provider.
    Declined,
    /// Charged, but the provider's response was lost.
    Unanswered,
    /// Confirmed, then cancelled with a refund of 50 percent.
    Cancelled,
    /// Cancelled, and the first two refunds fail.
    Refunded,
    /// Never paid.
    Lapsed,
    /// The stay is over.
    Completed,
}

impl Course {
    fn method(self) -> &'static str {
        match self {
            Self::Declined => "tok_declined",
            Self::Unanswered => "tok_timeout_after",
            Self::Refunded => "tok_refund_fails_twice",
            _ => "tok_approved",
        }
    }

    fn ends(self) -> ReservationStatus {
        match self {
            Self::Booked | Self::Approved | Self::Unanswered => ReservationStatus::Confirmed,
            Self::Declined => ReservationStatus::Rejected,
            Self::Cancelled | Self::Refunded => ReservationStatus::Cancelled,
            Self::Lapsed => ReservationStatus::Lapsed,
            Self::Completed => ReservationStatus::Completed,
        }
    }
}

struct Scene {
    mode: Mode,
    world: World,
    host: Person,
    guest: Person,
    room: Room,
    /// The context that neither answers nor consumes events, if there is one.
    stopped: Option<&'static str>,
    /// The points at which it crashed.
    crashed_at: BTreeSet<String>,
}

impl Scene {
    async fn of(mode: Mode, course: Course) -> Self {
        let world = World::start(mode).await;
        let (host, guest) = (world.host().await, world.customer().await);
        let room = world
            .room(&host, |room| {
                room.units = 50;
                if course == Course::Approved {
                    room.set_approval(Approval::Host);
                }
                let tier = berth::offer::v1::CancellationTier {
                    hours_before: 0,
                    refund_percent: 50,
                };
                room.cancellation_tiers = vec![tier];
            })
            .await;
        world.quiet().await;
        Self {
            mode,
            world,
            host,
            guest,
            room,
            stopped: None,
            crashed_at: BTreeSet::new(),
        }
    }

    /// Makes a call with a crash at a point during it; then repeats the call, as a client without a response does.
    async fn call<T>(&mut self, point: &str, call: impl AsyncFn(&Self) -> Result<T, Status>) {
        self.world.faults.arm(point, 1);
        let answered = call(self).await.map(|_| ());
        self.crash_at(point).await;
        for status in [answered, call(self).await.map(|_| ())]
            .into_iter()
            .filter_map(Result::err)
        {
            let expected = matches!(status.code(), Code::Unavailable | Code::FailedPrecondition);
            assert!(expected, "{point}: {status:?}");
        }
    }

    /// Waits until the point is reached, or until nothing is left that could reach it. Then crashes and restarts the platform
    /// without the fault.
    async fn crash_at(&mut self, point: &str) {
        // A context whose consumer is stopped never becomes quiet, but it reaches its own point.
        let except = match self.stopped {
            Some(context) if point != format!("consumer.{context}") => &[context][..],
            _ => &[],
        };
        if self.world.reached(point, except).await {
            self.crashed_at.insert(point.to_owned());
        }
        if self.mode == Mode::Mesh && point.contains("payment") {
            self.world.crash_of("payment").await;
            self.world.faults.disarm(point);
            self.world.restart_of("payment").await;
        } else {
            self.world.crash().await;
            self.world.faults.disarm(point);
            self.world.restart().await;
        }
    }

    async fn run(&mut self, course: Course, point: &str) {
        let id = self.world.id();
        let period = nights("2027-03-10", "2027-03-12");
        let mut wanted = self.guest.wants(id.clone(), &self.room, period);
        wanted.payment_method = course.method().into();
        let begin = self.world.clock.now();
        if course == Course::Lapsed {
            self.world.down("payment");
            self.stopped = Some("payment");
        }
        let request: RequestReservationRequest = wanted;
        self.call(point, async |scene| {
            scene.guest.request(request.clone()).await
        })
        .await;
        let reservation_id = id.clone();
        match course {
            Course::Approved => {
                let approve = ApproveReservationRequest { reservation_id };
                self.call(point, async |scene| {
                    let mut reservations = scene.host.reservations();
                    reservations.approve_reservation(approve.clone()).await
                })
                .await;
                self.world.advance_minutes(1).await;
            }
            Course::Cancelled | Course::Refunded => {
                self.pay(&id).await;
                let cancel = CancelReservationRequest {
                    reservation_id,
                    ..Default::default()
                };
                self.call(point, async |scene| {
                    let mut reservations = scene.guest.reservations();
                    reservations.cancel_reservation(cancel.clone()).await
                })
                .await;
            }
            Course::Booked | Course::Completed => self.pay(&id).await,
            Course::Declined | Course::Unanswered => self.world.advance_minutes(1).await,
            Course::Lapsed => {}
        }
        // Another crash, during the work that follows by itself.
        self.world.faults.arm(point, 1);
        let later = if course == Course::Completed {
            chassis::base::time::SignedDuration::from_hours(24 * 14)
        } else {
            chassis::base::time::SignedDuration::from_mins(16)
        };
        self.world.clock.turn(later);
        self.crash_at(point).await;
        if course == Course::Lapsed {
            // A failed attempt waits for its retry, also after a restart.
            let retry = chassis::base::time::SignedDuration::from_secs(1);
            self.world.clock.turn(retry);
            let lapsed = async || {
                self.guest.sign_in_again().await.unwrap();
                let found = self.guest.reservation(&id).await.unwrap();
                found.status() == ReservationStatus::Lapsed
            };
            eventually(lapsed).await;
            self.world.up("payment").await;
            self.stopped = None;
        }
        for _ in 0..8 {
            self.world.advance_minutes(2).await;
        }
        let found = self.guest.reservation(&id).await.unwrap();
        assert_eq!(
            found.status(),
            course.ends(),
            "{course:?} with a crash at {point}"
        );
        self.world.clock.set(begin);
        self.world.advance_minutes(0).await;
    }

    /// Pays, unless the charge has been retried already.
    async fn pay(&mut self, id: &str) {
        for _ in 0..5 {
            self.world.advance_minutes(1).await;
        }
        let reservation_id = id.to_owned();
        let pay = PayReservationRequest { reservation_id };
        let mut reservations = self.guest.reservations();
        let paid = reservations
            .pay_reservation(pay)
            .await
            .unwrap()
            .into_inner();
        let paid = paid.reservation.unwrap();
        assert_eq!(paid.status(), ReservationStatus::Confirmed);
    }
}

async fn crash_at_every_point(mode: Mode, course: Course) {
    let mut scene = Scene::of(mode, course).await;
    for point in POINTS {
        scene.run(course, point).await;
    }
    // Without a charge its points are not reached.
    let least = if course == Course::Lapsed { 5 } else { 8 };
    // In the mesh some points are reached only after the crash of another process.
    let least = if mode == Mode::One { least } else { least - 3 };
    assert!(
        scene.crashed_at.len() >= least,
        "it crashed only at {:?}",
        scene.crashed_at
    );
    scene.world.advance_hours(25).await;
    scene.world.check().await;
}

/// Scenario: S15.
async fn a_booking_survives_a_crash_at_every_point(mode: Mode) {
    crash_at_every_point(mode, Course::Booked).await;
}

/// Scenario: S15.
async fn an_approved_booking_survives_a_crash_at_every_point(mode: Mode) {
    crash_at_every_point(mode, Course::Approved).await;
}

/// Scenario: S15.
async fn a_declined_booking_survives_a_crash_at_every_point(mode: Mode) {
    crash_at_every_point(mode, Course::Declined).await;
}

/// Scenario: S15.
async fn a_charge_without_a_response_survives_a_crash_at_every_point(mode: Mode) {
    crash_at_every_point(mode, Course::Unanswered).await;
}

/// Scenario: S15.
async fn a_cancellation_survives_a_crash_at_every_point(mode: Mode) {
    crash_at_every_point(mode, Course::Cancelled).await;
}

/// Scenario: S15.
async fn a_failing_refund_survives_a_crash_at_every_point(mode: Mode) {
    crash_at_every_point(mode, Course::Refunded).await;
}

/// Scenario: S15.
async fn a_lapse_survives_a_crash_at_every_point(mode: Mode) {
    crash_at_every_point(mode, Course::Lapsed).await;
}

/// Scenario: S15.
async fn a_completion_survives_a_crash_at_every_point(mode: Mode) {
    crash_at_every_point(mode, Course::Completed).await;
}

/// Scenario: S15.
async fn a_member_stays_signed_in_after_a_restart(mode: Mode) {
    let mut world = World::start(mode).await;
    let guest = world.customer().await;
    for _ in 0..10 {
        world.crash_and_restart().await;
        guest.inbox().await.unwrap();
    }
}
