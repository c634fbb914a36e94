//! The rules of rooms and reviews: given events, when a command, then events or a refusal.

mod properties;
mod review;
mod room;

use chassis::{MemberId, Money, ReservationId};

use super::{
    review::{Content, Rating},
    terms::{ARRIVAL, Approval, DEPARTURE, Sold, Terms, Tier},
};

const HOST: MemberId = MemberId::from_u128(1);
const GUEST: MemberId = MemberId::from_u128(2);
const OTHER_MEMBER: MemberId = MemberId::from_u128(3);
const STAY: ReservationId = ReservationId::from_u128(11);
const OTHER_STAY: ReservationId = ReservationId::from_u128(12);

fn terms() -> Terms {
    Terms {
        title: "Attic".into(),
        description: "Quiet".into(),
        sold: Sold::ByNight {
            check_in: ARRIVAL,
            check_out: DEPARTURE,
        },
        max_persons: 2,
        units: 1,
        price: euros(80),
        approval: Approval::Nobody,
        tiers: vec![Tier {
            hours_before: 24,
            percent: 50,
        }],
        blackouts: vec![],
        zone: "Asia/Seoul".into(),
    }
}

fn euros(euros: i64) -> Money {
    Money::new("EUR".parse().unwrap(), 100 * euros)
}

fn stars(stars: i32) -> Rating {
    Rating::new(stars).unwrap()
}

fn content(rating: i32, text: &str) -> Content {
    Content {
        rating: stars(rating),
        text: text.into(),
    }
}
