//! Do the contexts understand each other?
use contract::{
    EVENTS,
    contracts::contracts,
    events::print,
    house::{Call, House, Listener},
    sources::Tree,
};

use crate::golden;

/// The rule, what is changed in the house, and what the rule says to it.
type Fault = (&'static str, fn(&mut House), &'static str);

const FAULTS: &[Fault] = &[
    (
        "own",
        |house| publish(house, "payment", "berth.payment.v1.PaymentLost"),
        "PaymentLost: no message",
    ),
    (
        "own",
        |house| publish(house, "payment", "berth.room.v1.RoomDeleted"),
        "RoomDeleted: published by payment",
    ),
    (
        "published",
        |house| publish(house, "payment", "berth.payment.v1.PaymentApproved"),
        "PaymentApproved: published 2 times",
    ),
    (
        "published",
        |house| house.events.push("berth.room.v1.RoomPainted".into()),
        "RoomPainted: published 0 times",
    ),
    (
        "heard",
        |house| {
            listen(
                house,
                "refund-late",
                "berth.reservation.v1.ReservationCanceled",
            );
        },
        "payment refund-late: nobody publishes berth.reservation.v1.ReservationCanceled",
    ),
    (
        "heard",
        |house| {
            let event = "berth.rooms.v1.RoomDeleted".to_owned();
            let name = "show".to_owned();
            house
                .context("payment")
                .unwrap()
                .views
                .push(Listener { name, event });
        },
        "payment show: nobody publishes berth.rooms.v1.RoomDeleted",
    ),
    (
        "slugs",
        |house| {
            listen(
                house,
                "Refund_late",
                "berth.reservation.v1.ReservationLapsed",
            );
        },
        "Refund_late: is not kebab-case",
    ),
    (
        "slugs",
        |house| {
            listen(
                house,
                "charge-approved",
                "berth.reservation.v1.ReservationLapsed",
            );
        },
        "charge-approved: of both",
    ),
    (
        "peers",
        |house| house.context("payment").unwrap().peers.push("rooms".into()),
        "payment: calls rooms",
    ),
];

fn publish(house: &mut House, context: &str, event: &str) {
    let context = house.context(context).unwrap();
    context.publishes.push(event.to_owned());
}

fn listen(house: &mut House, slug: &str, event: &str) {
    let (name, event) = (slug.to_owned(), event.to_owned());
    let payment = house.context("payment").unwrap();
    payment.policies.push(Listener { name, event });
}

#[test]
fn the_contexts_keep_every_rule() {
    let house = House::read().unwrap();
    for (rule, check) in EVENTS {
        assert_eq!(check(&house), [""; 0], "rule {rule}");
    }
}

#[test]
fn every_rule_finds_its_planted_faults() {
    let house = House::read().unwrap();
    for (rule, check) in EVENTS {
        let faults: Vec<_> = FAULTS.iter().filter(|fault| fault.0 == *rule).collect();
        assert!(!faults.is_empty(), "no fault for rule {rule}");
        for (_, plant, says) in faults {
            let mut changed = house.clone();
            plant(&mut changed);
            let found = check(&changed);
            assert!(
                found.iter().any(|wrong| wrong.contains(says)),
                "rule {rule} says {found:?}, not {says}"
            );
        }
    }
}

#[test]
fn slugs_are_for_ever() {
    golden::only_grows("slugs.txt", &print(&House::read().unwrap()));
}

#[test]
fn calls_are_found_in_the_code() {
    const CALLS: &str = "fn ask() { PaymentServiceClient::new(\n  self.peers.to(\"payment\")\n).charge_payment(x); }";
    const SAYS: &str = "// RoomServiceClient::new(to(\"room\")).get_room()\nconst X: &str = \"RoomServiceClient::new(\";";
    const TESTS: &str =
        "#[cfg(test)]\nmod tests { fn f() { RoomServiceClient::new(x).get_room(y); } }";
    let tree = Tree::from(
        [
            ("services/reservation/src/clients.rs", CALLS),
            ("services/reservation/src/said.rs", SAYS),
            ("services/reservation/src/tested.rs", TESTS),
            (
                "services/reservation/tests/it/rpc.rs",
                "fn f() { RoomServiceClient::new(x).get_room(y); }",
            ),
            (
                "services/payment/src/grpc.rs",
                "fn f() { PaymentServiceServer::new(x); }",
            ),
        ]
        .map(|(path, text)| (path.to_owned(), text.to_owned())),
    );
    let house = House::of(&all::contexts(), &contracts().unwrap(), &tree);
    let call = Call {
        caller: "reservation".into(),
        rpc: "PaymentService.ChargePayment".into(),
        callee: "payment".into(),
    };
    assert_eq!(house.calls, [call]);
}
