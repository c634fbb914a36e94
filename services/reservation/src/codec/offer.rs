//! The terms of an offer, from the message of the context that owns it.

use berth::offer::v1::{self, Offer};
use chassis::{
    Money, Violations,
    base::{time, time::Time},
};
use tonic::Status;

use crate::domain::{
    refund::Tier,
    terms::{Approval, Blackout, OfferKind, SoldBy, Terms},
};

const CHECK_IN: Time = Time::constant(15, 0, 0, 0);
const CHECK_OUT: Time = Time::constant(11, 0, 0, 0);
/// The most units of an offer. A decision looks at each of them.
const MAX_CAPACITY: i32 = 1000;

/// The terms of an offer, or the violations of its contract.
pub(crate) fn terms(offer: Offer) -> Result<Terms, Status> {
    let mut wrong = Violations::new();
    let kind = kind(&mut wrong, offer.kind());
    let host = wrong.parse("owner_id", &offer.owner_id);
    let sold_by = sold_by(&mut wrong, offer.unit());
    let capacity = at_most(&mut wrong, "capacity", offer.capacity, MAX_CAPACITY);
    let max_persons = at_most(&mut wrong, "max_persons", offer.max_persons, i32::MAX);
    let price = wrong.money("price", offer.price.as_ref());
    wrong.require(
        price.is_none_or(Money::is_positive),
        "price",
        "must be positive",
    );
    let approval = approval(&mut wrong, offer.approval());
    let tiers: Option<_> = offer
        .cancellation_tiers
        .iter()
        .map(|tier| tier_of(&mut wrong, *tier))
        .collect();
    let zone = time::zone(&offer.time_zone);
    wrong.require(zone.is_some(), "time_zone", "must be an IANA time zone");
    let check_in = wrong.time_of_day("check_in_time", offer.check_in_time.as_ref(), CHECK_IN);
    let check_out = wrong.time_of_day("check_out_time", offer.check_out_time.as_ref(), CHECK_OUT);
    let blackouts: Option<_> = offer
        .blackouts
        .iter()
        .map(|range| blackout(&mut wrong, range))
        .collect();
    let terms = (|| {
        Some(Terms {
            kind: kind?,
            host: host?,
            title: offer.title,
            sold_by: sold_by?,
            capacity: capacity?,
            max_persons: max_persons?,
            price: price?,
            approval: approval?,
            tiers: tiers?,
            zone: zone?,
            check_in: check_in?,
            check_out: check_out?,
            blackouts: blackouts?,
            withdrawn: offer.withdrawn,
        })
    })();
    wrong.check(terms)
}

fn kind(wrong: &mut Violations, kind: v1::OfferKind) -> Option<OfferKind> {
    match kind {
        v1::OfferKind::Room => Some(OfferKind::Room),
        v1::OfferKind::Unspecified => unknown(wrong, "kind"),
    }
}

fn sold_by(wrong: &mut Violations, unit: v1::Unit) -> Option<SoldBy> {
    match unit {
        v1::Unit::Night => Some(SoldBy::Night),
        v1::Unit::Hour => Some(SoldBy::Hour),
        v1::Unit::Day => Some(SoldBy::Day),
        v1::Unit::Unspecified => unknown(wrong, "unit"),
    }
}

fn approval(wrong: &mut Violations, approval: v1::Approval) -> Option<Approval> {
    match approval {
        v1::Approval::None => Some(Approval::Nobody),
        v1::Approval::Host => Some(Approval::Host),
        v1::Approval::Unspecified => unknown(wrong, "approval"),
    }
}

fn unknown<T>(wrong: &mut Violations, field: &str) -> Option<T> {
    wrong.add(field, "must be a known value");
    None
}

fn at_most(wrong: &mut Violations, field: &str, value: i32, max: i32) -> Option<u32> {
    u32::try_from(wrong.range(field, value, 1, max)?).ok()
}

fn tier_of(wrong: &mut Violations, tier: v1::CancellationTier) -> Option<Tier> {
    let hours = wrong.range(
        "cancellation_tiers.hours_before",
        tier.hours_before,
        0,
        8760,
    )?;
    let percent = wrong.range(
        "cancellation_tiers.refund_percent",
        tier.refund_percent,
        0,
        100,
    )?;
    Some(Tier {
        hours_before: u32::try_from(hours).ok()?,
        percent: u32::try_from(percent).ok()?,
    })
}

fn blackout(wrong: &mut Violations, range: &v1::DateRange) -> Option<Blackout> {
    let start = wrong.date("blackouts.start_date", range.start_date.as_ref())?;
    let end = wrong.date("blackouts.end_date", range.end_date.as_ref())?;
    Some(Blackout { start, end })
}
