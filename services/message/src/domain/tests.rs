use chassis::{Aggregate, MemberId, Money, ReservationId, base::time::SignedDuration};
use chassis_testing::{given, noon};

use super::{
    message::{ATTEMPTS, LOOK_UPS},
    refusal::Refusal,
    *,
};

const GUEST: MemberId = MemberId::from_u128(1);

fn change() -> Change {
    Change {
        happened: Happened::Confirmed,
        event_type: "berth.reservation.v1.ReservationConfirmed".into(),
        reservation: ReservationId::from_u128(7),
        title: "Sea view".into(),
        period: Period::Times {
            start: noon(),
            end: noon(),
        },
        quantity: 1,
        price: Money::new("EUR".parse().unwrap(), 24_000),
        refund: None,
        reason: String::new(),
        hold_until: None,
    }
}

pub(super) fn tell() -> Command {
    Command::Notify {
        recipient: GUEST,
        audience: Audience::Customer,
        change: change(),
        by_email: true,
    }
}

fn written() -> Event {
    Event::Written {
        content: change().content(GUEST, Audience::Customer),
        email: noon(),
    }
}

fn failed(permanent: bool) -> Command {
    Command::EmailFailed {
        reason: "NO_ANSWER".into(),
        permanent,
    }
}

fn put_off_by(seconds: i64, reason: &str) -> Event {
    Event::EmailPutOff {
        next: noon()
            .checked_add(SignedDuration::from_secs(seconds))
            .unwrap(),
        reason: reason.into(),
    }
}

/// A message whose e-mail has failed so often.
fn tried(times: u32) -> Vec<Event> {
    let failures = (0..times).map(|_| put_off_by(5, "NO_ANSWER"));
    std::iter::once(written()).chain(failures).collect()
}

#[test]
fn without_a_mail_server_no_email_is_pending() {
    let tell = Command::Notify {
        recipient: GUEST,
        audience: Audience::Customer,
        change: change(),
        by_email: false,
    };
    let told = given::<Message>([])
        .when(tell)
        .then([written(), Event::EmailLeftOut]);
    assert_eq!(told.unwrap().due(), None);
}

#[test]
fn a_person_is_notified_once() {
    given::<Message>([]).when(tell()).then([written()]);
    given::<Message>([written()]).when(tell()).then([]);
    given::<Message>([written(), Event::EmailDelivered])
        .when(tell())
        .then([]);
}

#[test]
fn an_email_waits_from_the_start() {
    let message = given::<Message>([]).when(tell()).then([written()]).unwrap();
    assert_eq!(message.due(), Some(noon()));
}

#[test]
fn a_delivered_email_settles_it() {
    let message = given::<Message>([written()])
        .when(Command::EmailDelivered)
        .then([Event::EmailDelivered])
        .unwrap();
    assert_eq!(message.due(), None);
}

#[test]
fn a_failed_email_is_retried_with_a_longer_wait() {
    for (tries, seconds) in [(0, 5), (1, 10), (2, 20), (9, 2560), (10, 3600)] {
        given::<Message>(tried(tries))
            .when(failed(false))
            .then([put_off_by(seconds, "NO_ANSWER")]);
    }
}

#[test]
fn an_email_is_given_up_after_the_last_attempt() {
    let given_up = Event::EmailGivenUp {
        reason: "NO_ANSWER".into(),
    };
    let message = given::<Message>(tried(ATTEMPTS - 1))
        .when(failed(false))
        .then([given_up])
        .unwrap();
    assert_eq!(message.due(), None);
}

#[test]
fn a_refused_email_is_given_up_at_once() {
    given::<Message>([written()])
        .when(failed(true))
        .then([Event::EmailGivenUp {
            reason: "NO_ANSWER".into(),
        }]);
}

#[test]
fn a_missing_address_is_looked_up_again() {
    given::<Message>([written()])
        .when(Command::AddressUnknown)
        .then([put_off_by(5, "NO_ADDRESS")]);
    given::<Message>(tried(LOOK_UPS - 1))
        .when(Command::AddressUnknown)
        .then([Event::EmailLeftOut]);
}

#[test]
fn without_a_mail_server_the_message_is_only_in_the_inbox() {
    let message = given::<Message>([written()])
        .when(Command::LeaveEmailOut)
        .then([Event::EmailLeftOut])
        .unwrap();
    assert_eq!(message.due(), None);
}

#[test]
fn a_settled_email_does_not_change() {
    for settled in [
        Event::EmailDelivered,
        Event::EmailLeftOut,
        Event::EmailGivenUp { reason: "X".into() },
    ] {
        for command in [
            Command::EmailDelivered,
            Command::LeaveEmailOut,
            Command::AddressUnknown,
            failed(true),
        ] {
            given::<Message>([written(), settled.clone()])
                .when(command)
                .then([]);
        }
    }
}

#[test]
fn a_message_is_read_once_and_only_by_its_recipient() {
    let read = |by| Command::MarkRead { by };
    given::<Message>([written()])
        .when(read(GUEST))
        .then([Event::Read]);
    given::<Message>([written(), Event::Read])
        .when(read(GUEST))
        .then([]);
    given::<Message>([written()])
        .when(read(MemberId::from_u128(2)))
        .refuses(&Refusal::Unknown);
    given::<Message>([])
        .when(read(GUEST))
        .refuses(&Refusal::Unknown);
}

#[test]
fn commands_to_a_missing_message_are_refused() {
    for command in [
        Command::EmailDelivered,
        Command::LeaveEmailOut,
        Command::AddressUnknown,
        failed(false),
    ] {
        given::<Message>([])
            .when(command)
            .refuses(&Refusal::Unknown);
    }
}
