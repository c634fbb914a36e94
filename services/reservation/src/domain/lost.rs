//! A reservation that was paid and does not exist: it was lost when the context was restored from an older state, and no
//! copy of its events is left. The loss is published, once.

use chassis::{Aggregate, MemberId, Money, Now, ReservationId};
use serde::{Deserialize, Serialize};

use super::{refusal::Refusal, status::PaymentId};

/// What is known of it from its payment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lost {
    pub(crate) customer: MemberId,
    pub(crate) price: Money,
    pub(crate) payment: PaymentId,
}

impl Aggregate for Lost {
    const KIND: &'static str = "lost-reservation";
    type Id = ReservationId;
    /// The payment of a reservation that does not exist.
    type Command = Lost;
    /// The loss was recorded.
    type Event = Lost;
    type Refusal = Refusal;

    fn decide(this: Option<&Self>, missed: &Lost, _: &Now) -> Result<Vec<Lost>, Refusal> {
        Ok(match this {
            None => vec![missed.clone()],
            Some(_) => vec![],
        })
    }

    fn evolve(this: Option<Self>, missed: &Lost) -> Option<Self> {
        this.is_none().then(|| missed.clone())
    }
}

#[cfg(test)]
mod tests {
    use chassis_testing::{given, noon};

    use super::*;

    #[test]
    fn a_loss_is_published_once() {
        let lost = Lost {
            customer: MemberId::from_u128(1),
            price: Money::new("EUR".parse().unwrap(), 100),
            payment: PaymentId::from_u128(3),
        };
        given::<Lost>([])
            .at(noon())
            .when(lost.clone())
            .then([lost.clone()]);
        given::<Lost>([lost.clone()]).at(noon()).when(lost).then([]);
    }
}
