//! The responses that guests and host received, and whether the recorded state agrees with them.

use std::collections::BTreeMap;

use berth::reservation::v1::{Reservation, ReservationStatus as Is};
use stories::world::World;

/// The responses about each reservation, by its id.
pub(super) type Answers = BTreeMap<String, Vec<Answer>>;

#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// The reservation as the guest received it.
    Is(Box<Reservation>),
    /// It was cancelled, with this refund.
    Cancelled(Box<Reservation>),
    /// Nothing was held.
    SoldOut,
    /// The charge was declined.
    Declined,
    Approved,
    Rejected,
}

/// The number of reservations with such a response.
pub(super) fn count(answers: &Answers, so: fn(&Answer) -> bool) -> usize {
    answers
        .values()
        .filter(|received| received.iter().any(so))
        .count()
}

/// Opens the stores of the last process, finishes all scheduled work, and compares every response with the recorded state.
pub(super) async fn check_answers(world: World, answers: &Answers) {
    world.quiet().await;
    for _ in 0..20 {
        world.advance_minutes(3).await;
    }
    world.advance_hours(25).await;
    world.check().await;
    let history = world.history().await;
    let reservations = history.by_reservation();
    for (id, answers) in answers {
        let steps = reservations.get(id.as_str()).cloned().unwrap_or_default();
        let last = steps.last().map(|step| &step.reservation);
        let was = |status: Is| {
            let mut states = steps.iter().map(|step| step.reservation.status());
            states.any(|state| state == status)
        };
        let cancelled = answers
            .iter()
            .any(|answer| matches!(answer, Answer::Cancelled(_)));
        for answer in answers {
            let holds = match (answer, last) {
                (Answer::SoldOut, last) => last.is_none(),
                (_, None) => false,
                (Answer::Is(received), Some(last)) => {
                    let kept = received.status() != Is::Confirmed
                        || cancelled
                        || last.status() == Is::Confirmed;
                    kept && was(received.status()) && is_same_booking(received, last)
                }
                (Answer::Cancelled(received), Some(last)) => {
                    last.status() == Is::Cancelled
                        && last.refund == received.refund
                        && is_same_booking(received, last)
                }
                (Answer::Declined | Answer::Rejected, Some(last)) => last.status() == Is::Rejected,
                (Answer::Approved, Some(_)) => was(Is::Approved),
            };
            assert!(
                holds,
                "{id} was answered {answers:#?} and is recorded as {last:#?}"
            );
        }
    }
}

/// Whether two versions of a reservation have the same terms.
fn is_same_booking(one: &Reservation, two: &Reservation) -> bool {
    let agreed = |reservation: &Reservation| {
        let Reservation {
            offer_id,
            customer_id,
            period,
            units,
            price,
            create_time,
            ..
        } = reservation.clone();
        (offer_id, customer_id, period, units, price, create_time)
    };
    agreed(one) == agreed(two)
}
