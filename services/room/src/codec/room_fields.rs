//! Parses the fields of a room, one function each. A field that is wrong gets a violation.

use berth::{offer::v1 as offer, room::v1};
use chassis::{
    Money, Violations,
    base::{time, time::Time},
};

use crate::domain::terms::{ARRIVAL, Approval, Blackout, DEPARTURE, Sold, Tier};

/// Maximum price in major units.
const MAX_PRICE: i64 = 1_000_000;

pub(super) fn title(v: &mut Violations, room: &v1::Room) -> Option<String> {
    v.line("room.title", room.title.clone(), 1, 200)
}

pub(super) fn description(v: &mut Violations, room: &v1::Room) -> Option<String> {
    v.text("room.description", room.description.clone(), 0, 5000)
}

pub(super) fn max_persons(v: &mut Violations, room: &v1::Room) -> Option<i32> {
    v.range("room.max_persons", room.max_persons, 1, 1000)
}

pub(super) fn units(v: &mut Violations, room: &v1::Room) -> Option<i32> {
    let units = if room.units == 0 { 1 } else { room.units };
    v.range("room.units", units, 1, 1000)
}

pub(super) fn price(v: &mut Violations, room: &v1::Room) -> Option<Money> {
    let price = v.money("room.price", room.price.as_ref())?;
    let max = MAX_PRICE * price.currency.minor_per_major();
    v.require(
        (1..=max).contains(&price.minor),
        "room.price",
        "must be positive and at most 1,000,000 major units",
    );
    Some(price)
}

pub(super) fn approval(v: &mut Violations, room: &v1::Room) -> Option<Approval> {
    match offer::Approval::try_from(room.approval) {
        Ok(offer::Approval::Unspecified | offer::Approval::None) => Some(Approval::Nobody),
        Ok(offer::Approval::Host) => Some(Approval::Host),
        Err(_) => {
            v.add("room.approval", "must be APPROVAL_NONE or APPROVAL_HOST");
            None
        }
    }
}

pub(super) fn tiers(v: &mut Violations, room: &v1::Room) -> Vec<Tier> {
    let field = "room.cancellation_tiers";
    let tiers = &room.cancellation_tiers;
    v.require(tiers.len() <= 10, field, "must have at most 10 entries");
    for (index, tier) in tiers.iter().take(10).enumerate() {
        v.range(
            &format!("{field}[{index}].hours_before"),
            tier.hours_before,
            0,
            8760,
        );
        v.range(
            &format!("{field}[{index}].refund_percent"),
            tier.refund_percent,
            0,
            100,
        );
    }
    let pairs = || tiers.iter().zip(tiers.iter().skip(1));
    let is_descending = pairs().all(|(more, less)| more.hours_before > less.hours_before);
    v.require(
        is_descending,
        field,
        "must be in descending order of hours_before, without duplicates",
    );
    let is_monotonic = pairs().all(|(more, less)| more.refund_percent >= less.refund_percent);
    v.require(is_monotonic, field, "must not refund more with less notice");
    let tiers = tiers.iter().map(|tier| Tier {
        hours_before: tier.hours_before,
        percent: tier.refund_percent,
    });
    tiers.collect()
}

pub(super) fn blackouts(v: &mut Violations, room: &v1::Room) -> Vec<Blackout> {
    let field = "room.blackouts";
    v.require(
        room.blackouts.len() <= 100,
        field,
        "must have at most 100 entries",
    );
    let mut blackouts = Vec::new();
    for (index, range) in room.blackouts.iter().take(100).enumerate() {
        let start = v.date(
            &format!("{field}[{index}].start_date"),
            range.start_date.as_ref(),
        );
        let end = v.date(
            &format!("{field}[{index}].end_date"),
            range.end_date.as_ref(),
        );
        let Some((start, end)) = start.zip(end) else {
            continue;
        };
        v.require(
            start < end,
            &format!("{field}[{index}]"),
            "must have an end_date after its start_date",
        );
        blackouts.push(Blackout { start, end });
    }
    blackouts
}

pub(super) fn zone(v: &mut Violations, room: &v1::Room) -> Option<String> {
    let zone = time::zone(&room.time_zone);
    let name = zone.and_then(|zone| zone.iana_name().map(str::to_owned));
    v.require(
        name.is_some(),
        "room.time_zone",
        "must be an IANA time zone such as Europe/Paris",
    );
    name
}

pub(super) fn sold(v: &mut Violations, room: &v1::Room) -> Option<Sold> {
    let (check_in, check_out) = (check_in(v, room), check_out(v, room));
    match offer::Unit::try_from(room.unit) {
        Ok(offer::Unit::Night) => {
            let check_in = check_in.unwrap_or(ARRIVAL);
            let check_out = check_out.unwrap_or(DEPARTURE);
            let sold = Sold::by_night(check_in, check_out);
            v.require(
                sold.is_some(),
                "room.check_out_time",
                "must not be later than the check-in time",
            );
            sold
        }
        Ok(offer::Unit::Hour) => {
            for (field, time) in [
                ("room.check_in_time", &room.check_in_time),
                ("room.check_out_time", &room.check_out_time),
            ] {
                v.require(
                    time.is_none(),
                    field,
                    "must not be set for a room sold by the hour",
                );
            }
            Some(Sold::ByHour)
        }
        _ => {
            v.add("room.unit", "must be UNIT_NIGHT or UNIT_HOUR");
            None
        }
    }
}

/// The time, if it is set and valid.
pub(super) fn check_in(v: &mut Violations, room: &v1::Room) -> Option<Time> {
    let time = room.check_in_time.as_ref()?;
    v.time_of_day("room.check_in_time", Some(time), ARRIVAL)
}

/// The time, if it is set and valid.
pub(super) fn check_out(v: &mut Violations, room: &v1::Room) -> Option<Time> {
    let time = room.check_out_time.as_ref()?;
    v.time_of_day("room.check_out_time", Some(time), DEPARTURE)
}
