//! A reservation that was paid and is not there: it was lost when the context came back from an older state, and nobody
//! has its events any more. All that can be done is to say so, once.

use chassis::{Aggregate, MemberId, Money, Now, ReservationId};
use serde::{Deserialize, Serialize};

use super::{refusal::Refusal, status::PaymentId};

/// What its payment tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lost {
    pub(crate) customer: MemberId,
    pub(crate) price: Money,
    pub(crate) payment: PaymentId,
}

impl Aggregate for Lost {
    const KIND: &'static str = "lost-reservation";
    type Id = ReservationId;
    /// It was paid, and it is missed.
    type Command = Lost;
    /// That was noticed.
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
    fn it_is_told_once() {
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
