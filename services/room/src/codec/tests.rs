//! Valid rooms survive the round trip between contract and domain; invalid ones are rejected.

use berth::{
    google::r#type::{Date, Money, TimeOfDay},
    offer::v1 as offer,
    room::v1,
};
use chassis::{Aggregate, MemberId, Now, Versioned};
use chassis_testing::noon;
use proptest::prelude::*;
use tonic::Code;

use super::{masked, room};
use crate::domain::{By, Room, RoomId, room::Command};

fn date() -> impl Strategy<Value = Date> {
    (1_i32..=9999, 1_i32..=12, 1_i32..=28).prop_map(|(year, month, day)| Date { year, month, day })
}

fn blackout() -> impl Strategy<Value = offer::DateRange> {
    let key = |date: &Date| (date.year, date.month, date.day);
    (date(), date())
        .prop_filter("a range", move |(a, b)| a != b)
        .prop_map(move |(a, b)| {
            let (start, end) = if key(&a) < key(&b) { (a, b) } else { (b, a) };
            offer::DateRange {
                start_date: Some(start),
                end_date: Some(end),
            }
        })
}

fn tiers() -> impl Strategy<Value = Vec<offer::CancellationTier>> {
    let hours = prop::collection::btree_set(0_i32..=8760, 0..=10);
    hours.prop_flat_map(|hours| {
        let percents = prop::collection::vec(0_i32..=100, hours.len());
        percents.prop_map(move |mut percents| {
            percents.sort_unstable();
            let tiers = hours.iter().zip(percents).rev();
            tiers
                .map(|(hours, percent)| offer::CancellationTier {
                    hours_before: *hours,
                    refund_percent: percent,
                })
                .collect()
        })
    })
}

fn price() -> impl Strategy<Value = Money> {
    let cents = (1_i64..=100_000_000).prop_map(|cents| Money {
        currency_code: "EUR".into(),
        units: cents / 100,
        nanos: i32::try_from(cents % 100).unwrap() * 10_000_000,
    });
    let won = (1_i64..=1_000_000).prop_map(|won| Money {
        currency_code: "KRW".into(),
        units: won,
        nanos: 0,
    });
    prop_oneof![cents, won]
}

fn oclock((hours, minutes, seconds): (i32, i32, i32)) -> TimeOfDay {
    TimeOfDay {
        hours,
        minutes,
        seconds,
        nanos: 0,
    }
}

/// Unit, check-in and check-out time; no times if sold by the hour.
fn sold() -> impl Strategy<Value = (offer::Unit, Option<TimeOfDay>, Option<TimeOfDay>)> {
    let time = || (0_i32..24, 0_i32..60, 0_i32..60);
    let night = (time(), time()).prop_map(|(a, b)| {
        let (check_in, check_out) = (oclock(a.max(b)), oclock(a.min(b)));
        (offer::Unit::Night, Some(check_in), Some(check_out))
    });
    prop_oneof![3 => night, 1 => Just((offer::Unit::Hour, None, None))]
}

fn valid_room() -> impl Strategy<Value = v1::Room> {
    let words = ("[a-z가-힣]{1,200}", "([!-~][ -~\n]{0,299})?");
    let numbers = (1_i32..=1000, 1_i32..=1000, 1_i32..=2);
    let zones = prop::sample::select(vec!["Asia/Seoul", "UTC", "America/Argentina/Ushuaia"]);
    let blackouts = prop::collection::vec(blackout(), 0..100);
    let lists = (tiers(), blackouts);
    (
        1_u128..,
        1_u128..,
        words,
        numbers,
        price(),
        lists,
        sold(),
        zones,
    )
        .prop_map(
            |(room, host, words, numbers, price, lists, sold, zone)| v1::Room {
                room_id: RoomId::from_u128(room).to_string(),
                host_id: MemberId::from_u128(host).to_string(),
                title: words.0,
                description: words.1,
                unit: sold.0.into(),
                max_persons: numbers.0,
                units: numbers.1,
                approval: numbers.2,
                price: Some(price),
                cancellation_tiers: lists.0,
                blackouts: lists.1,
                time_zone: zone.into(),
                check_in_time: sold.1,
                check_out_time: sold.2,
                ..v1::Room::default()
            },
        )
}

fn any_date() -> impl Strategy<Value = Option<Date>> {
    let parts = (any::<i32>(), any::<i32>(), any::<i32>());
    let any = parts.prop_map(|(year, month, day)| Date { year, month, day });
    prop::option::of(prop_oneof![date(), any])
}

fn any_time() -> impl Strategy<Value = Option<TimeOfDay>> {
    let parts = (any::<i32>(), any::<i32>(), any::<i32>(), any::<i32>());
    prop::option::of(
        parts.prop_map(|(hours, minutes, seconds, nanos)| TimeOfDay {
            hours,
            minutes,
            seconds,
            nanos,
        }),
    )
}

fn any_price() -> impl Strategy<Value = Option<Money>> {
    let parts = ("[A-Z]{0,4}|EUR|JPY", any::<i64>(), any::<i32>());
    prop::option::of(parts.prop_map(|(currency_code, units, nanos)| Money {
        currency_code,
        units,
        nanos,
    }))
}

/// A valid room in which some fields have arbitrary values.
fn any_room() -> impl Strategy<Value = v1::Room> {
    let texts = (".{0,40}", ".{0,250}", ".{0,40}");
    let numbers = (any::<i32>(), any::<i32>(), any::<i32>());
    let tier = (any::<i32>(), any::<i32>()).prop_map(|(hours_before, refund_percent)| {
        offer::CancellationTier {
            hours_before,
            refund_percent,
        }
    });
    let range = (any_date(), any_date()).prop_map(|(start_date, end_date)| offer::DateRange {
        start_date,
        end_date,
    });
    let lists = (
        prop::collection::vec(tier, 0..12),
        prop::collection::vec(range, 0..4),
    );
    let times = (any_time(), any_time());
    let values = (texts, numbers, any_price(), lists, times, any::<i64>());
    (valid_room(), values, 0_u32..1 << 13).prop_map(|(mut room, values, which)| {
        let (texts, numbers, price, lists, times, version) = values;
        let is_set = |bit: u32| which & (1 << bit) != 0;
        if is_set(0) {
            room.room_id = texts.0.clone();
        }
        if is_set(1) {
            room.host_id = texts.0;
        }
        if is_set(2) {
            room.title = texts.1.clone();
        }
        if is_set(3) {
            room.description = texts.1;
        }
        if is_set(4) {
            room.time_zone = texts.2;
        }
        if is_set(5) {
            room.unit = numbers.0;
        }
        if is_set(6) {
            room.units = numbers.1;
        }
        if is_set(7) {
            room.max_persons = numbers.2;
        }
        if is_set(8) {
            room.approval = numbers.0;
        }
        if is_set(9) {
            room.price = price;
        }
        if is_set(10) {
            room.cancellation_tiers = lists.0;
        }
        if is_set(11) {
            room.blackouts = lists.1;
        }
        if is_set(12) {
            (room.check_in_time, room.check_out_time) = times;
        }
        room.version = version;
        room
    })
}

fn registered(room: v1::Room) -> Option<(RoomId, Versioned<Room>)> {
    let request = v1::RegisterRoomRequest { room: Some(room) };
    let (id, command) = match room::register(request) {
        Ok(parsed) => parsed,
        Err(status) => {
            assert_eq!(status.code(), Code::InvalidArgument);
            return None;
        }
    };
    let events = Room::decide(None, &command, &Now::at(noon())).unwrap();
    let state = Room::evolve(None, &events[0]).unwrap();
    let room = Versioned {
        state,
        version: 1,
        created: noon(),
        updated: noon(),
    };
    Some((id, room))
}

proptest! {
    #[test]
    fn a_valid_room_survives_the_round_trip(room in valid_room()) {
        let (id, stored) = registered(room.clone()).unwrap();
        let mut shown = room::to_proto(id, &stored);
        let output = (shown.version, shown.status(), std::mem::take(&mut shown.last_action));
        prop_assert_eq!(output, (1, v1::RoomStatus::Available, "registered".into()));
        (shown.version, shown.status, shown.create_time, shown.update_time) = (0, 0, None, None);
        prop_assert_eq!(shown, room);
    }

    #[test]
    fn an_accepted_room_is_accepted_again_with_the_same_meaning(room in any_room()) {
        let Some((id, stored)) = registered(room) else { return Ok(()) };
        let shown = room::to_proto(id, &stored);
        let (again, stored_again) = registered(shown).unwrap();
        prop_assert_eq!((again, stored_again.state), (id, stored.state));
    }

    #[test]
    fn a_modified_room_could_be_registered_as_it_is(
        before in valid_room(),
        room in any_room(),
        mask in prop::collection::vec(prop_oneof![
            9 => prop::sample::select(room::CHANGEABLE.to_vec()).prop_map(str::to_owned),
            1 => ".{0,10}",
        ], 0..4),
    ) {
        let (id, stored) = registered(before).unwrap();
        let room = v1::Room { room_id: id.to_string(), version: 1, ..room };
        let update_mask = Some(prost_types::FieldMask { paths: mask });
        let request = v1::ModifyRoomRequest { room: Some(room), update_mask };
        let Ok((_, command)) = room::modify(By::Operator, request) else { return Ok(()) };
        let Ok(events) = Room::decide(Some(&stored.state), &command, &Now::at(noon())) else {
            return Ok(());
        };
        let after = events.iter().try_fold(stored.state, |room, event| Room::evolve(Some(room), event));
        let after = Versioned { state: after.unwrap(), ..stored };
        let shown = room::to_proto(id, &after);
        prop_assert_eq!(registered(shown).map(|(_, room)| room.state.terms), Some(after.state.terms));
    }

    #[test]
    fn a_mask_is_independent_of_order_and_duplicates(
        paths in prop::collection::vec(prop::sample::select(room::CHANGEABLE.to_vec()), 1..12)
            .prop_shuffle(),
    ) {
        let mut violations = chassis::Violations::new();
        let mask = prost_types::FieldMask { paths: paths.iter().map(ToString::to_string).collect() };
        let named = masked(&mut violations, Some(&mask), room::CHANGEABLE);
        let expected: Vec<&str> =
            room::CHANGEABLE.iter().copied().filter(|path| paths.contains(path)).collect();
        prop_assert!(violations.is_empty());
        prop_assert_eq!(named, expected);
    }
}

#[test]
fn an_empty_mask_names_all_fields_that_can_change() {
    let room = v1::Room {
        room_id: RoomId::from_u128(1).to_string(),
        title: "Attic".into(),
        max_persons: 2,
        price: Some(Money {
            currency_code: "EUR".into(),
            units: 80,
            nanos: 0,
        }),
        version: 1,
        ..v1::Room::default()
    };
    let request = v1::ModifyRoomRequest {
        room: Some(room),
        update_mask: None,
    };
    let (_, command) = room::modify(By::Operator, request).unwrap();
    let Command::Modify { changes, .. } = command else {
        panic!("no modification: {command:?}")
    };
    assert_eq!(changes.len(), room::CHANGEABLE.len());
}
