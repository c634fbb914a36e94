//! Reads the change of a reservation from a received event.

use berth::{
    offer::v1::{Period as ProtoPeriod, period::Kind as ProtoPeriodKind},
    reservation::v1::Reservation,
};
use chassis::{Malformed, MemberId, Money, base::time};

use crate::domain::{Change, Happened, Period};

/// The change of a reservation, with its customer and its host.
pub(crate) fn change(
    happened: Happened,
    event_type: String,
    reservation: &Reservation,
) -> Result<(Change, MemberId, MemberId), Malformed> {
    let price = reservation.price.as_ref();
    let change = Change {
        happened,
        event_type,
        reservation: reservation.reservation_id.parse()?,
        title: reservation.title.clone(),
        period: period(reservation.period.as_ref())
            .ok_or_else(|| Malformed::because("no period"))?,
        quantity: reservation.quantity,
        price: Money::try_from(price.ok_or_else(|| Malformed::because("no price"))?)?,
        refund: reservation
            .refund
            .as_ref()
            .map(Money::try_from)
            .transpose()?,
        reason: reservation.reason.clone(),
        hold_until: reservation
            .hold_expire_time
            .as_ref()
            .and_then(time::from_proto),
    };
    Ok((
        change,
        reservation.customer_id.parse()?,
        reservation.host_id.parse()?,
    ))
}

fn period(period: Option<&ProtoPeriod>) -> Option<Period> {
    match period?.kind.as_ref()? {
        ProtoPeriodKind::Dates(dates) => Some(Period::Dates {
            start: time::date_from_proto(dates.start_date.as_ref()?)?,
            end: time::date_from_proto(dates.end_date.as_ref()?)?,
        }),
        ProtoPeriodKind::Times(times) => Some(Period::Times {
            start: time::from_proto(times.start_time.as_ref()?)?,
            end: time::from_proto(times.end_time.as_ref()?)?,
        }),
    }
}
