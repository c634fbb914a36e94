//! Crashes: the platform dies at every point of a booking's life, starts again on what is stored, and heals. In the mesh
//! `payment` dies alone where the point is its own.

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

stories::told! { one, mesh: [
    s15_a_booking_survives_a_crash_everywhere,
    s15_an_approved_booking_survives_a_crash_everywhere,
    s15_a_declined_booking_survives_a_crash_everywhere,
    s15_an_unanswered_charge_survives_a_crash_everywhere,
    s15_a_cancellation_survives_a_crash_everywhere,
    s15_a_failing_refund_survives_a_crash_everywhere,
    s15_a_lapse_survives_a_crash_everywhere,
    s15_a_completion_survives_a_crash_everywhere,
    s15_who_was_signed_in_is_so_at_once_after_a_restart,
] }

/// Where it dies: around the outside work of a payment, the commits, and the relay.
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

/// What a booking goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Confirmed at once.
    Booked,
    /// Confirmed after the host has agreed.
    Approved,
    /// Declined by the payment provider.
    Declined,
    /// Charged, and the answer of the provider lost.
    Unanswered,
    /// Confirmed and given up, half of the money back.
    Cancelled,
    /// Given up, and the first two refunds fail.
    Refunded,
    /// Never paid.
    Lapsed,
    /// Over.
    Completed,
}

impl Life {
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
    /// The points at which it did die.
    died: BTreeSet<String>,
}

impl Scene {
    async fn of(mode: Mode, life: Life) -> Self {
        let world = World::start(mode).await;
        let (host, guest) = (world.host().await, world.customer().await);
        let room = world
            .room(&host, |room| {
                room.units = 50;
                if life == Life::Approved {
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
            died: BTreeSet::new(),
        }
    }

    /// Calls, with a crash at a point on the way; then calls again as whoever was not answered would.
    async fn call<T>(&mut self, point: &str, call: impl AsyncFn(&Self) -> Result<T, Status>) {
        self.world.faults.arm(point, 1);
        let answered = call(self).await.map(|_| ());
        self.dies(point).await;
        for status in [answered, call(self).await.map(|_| ())]
            .into_iter()
            .filter_map(Result::err)
        {
            let expected = matches!(status.code(), Code::Unavailable | Code::FailedPrecondition);
            assert!(expected, "{point}: {status:?}");
        }
    }

    /// The platform dies at the point if it comes there in time, and then what was wrong with it is over.
    async fn dies(&mut self, point: &str) {
        // A context whose consumer is stopped never has nothing left to do. It does reach the point that is its own.
        let except = match self.stopped {
            Some(context) if point != format!("consumer.{context}") => &[context][..],
            _ => &[],
        };
        if self.world.reached(point, except).await {
            self.died.insert(point.to_owned());
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

    async fn live(&mut self, life: Life, point: &str) {
        let id = self.world.id();
        let period = nights("2027-03-10", "2027-03-12");
        let mut wanted = self.guest.wants(id.clone(), &self.room, period);
        wanted.payment_method = life.method().into();
        let begin = self.world.clock.now();
        if life == Life::Lapsed {
            self.world.down("payment");
            self.stopped = Some("payment");
        }
        let request: RequestReservationRequest = wanted;
        self.call(point, async |scene| {
            scene.guest.request(request.clone()).await
        })
        .await;
        let reservation_id = id.clone();
        match life {
            Life::Approved => {
                let approve = ApproveReservationRequest { reservation_id };
                self.call(point, async |scene| {
                    let mut reservations = scene.host.reservations();
                    reservations.approve_reservation(approve.clone()).await
                })
                .await;
                self.world.advance_minutes(1).await;
            }
            Life::Cancelled | Life::Refunded => {
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
            Life::Booked | Life::Completed => self.pay(&id).await,
            Life::Declined | Life::Unanswered => self.world.advance_minutes(1).await,
            Life::Lapsed => {}
        }
        // Whatever comes by itself: the crash is on its way now.
        self.world.faults.arm(point, 1);
        let later = if life == Life::Completed {
            chassis::base::time::SignedDuration::from_hours(24 * 14)
        } else {
            chassis::base::time::SignedDuration::from_mins(16)
        };
        self.world.clock.turn(later);
        self.dies(point).await;
        if life == Life::Lapsed {
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
            life.ends(),
            "{life:?} with a crash at {point}"
        );
        self.world.clock.set(begin);
        self.world.advance_minutes(0).await;
    }

    /// Pays, if that was not done by the way.
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

async fn dies_everywhere(mode: Mode, life: Life) {
    let mut scene = Scene::of(mode, life).await;
    for point in POINTS {
        scene.live(life, point).await;
    }
    // A charge that is never asked for passes none of its points.
    let least = if life == Life::Lapsed { 5 } else { 8 };
    // Over the wire some of it comes later than anybody waits for.
    let least = if mode == Mode::One { least } else { least - 3 };
    assert!(
        scene.died.len() >= least,
        "it died only at {:?}",
        scene.died
    );
    scene.world.advance_hours(25).await;
    scene.world.check().await;
}

async fn s15_a_booking_survives_a_crash_everywhere(mode: Mode) {
    dies_everywhere(mode, Life::Booked).await;
}

async fn s15_an_approved_booking_survives_a_crash_everywhere(mode: Mode) {
    dies_everywhere(mode, Life::Approved).await;
}

async fn s15_a_declined_booking_survives_a_crash_everywhere(mode: Mode) {
    dies_everywhere(mode, Life::Declined).await;
}

async fn s15_an_unanswered_charge_survives_a_crash_everywhere(mode: Mode) {
    dies_everywhere(mode, Life::Unanswered).await;
}

async fn s15_a_cancellation_survives_a_crash_everywhere(mode: Mode) {
    dies_everywhere(mode, Life::Cancelled).await;
}

async fn s15_a_failing_refund_survives_a_crash_everywhere(mode: Mode) {
    dies_everywhere(mode, Life::Refunded).await;
}

async fn s15_a_lapse_survives_a_crash_everywhere(mode: Mode) {
    dies_everywhere(mode, Life::Lapsed).await;
}

async fn s15_a_completion_survives_a_crash_everywhere(mode: Mode) {
    dies_everywhere(mode, Life::Completed).await;
}

async fn s15_who_was_signed_in_is_so_at_once_after_a_restart(mode: Mode) {
    let mut world = World::start(mode).await;
    let guest = world.customer().await;
    for _ in 0..10 {
        world.crash_and_restart().await;
        guest.inbox().await.unwrap();
    }
}
