//! Do the events between contexts keep the rules?
use contract::{
    EVENTS,
    contracts::contracts,
    events::print,
    model::{Call, Model, Subscriber},
    sources::Tree,
};

use crate::golden;

/// The rule, a change of the model, and what the rule must find.
type Fault = (&'static str, fn(&mut Model), &'static str);

const FAULTS: &[Fault] = &[
    (
        "own",
        |model| publish(model, "payment", "berth.payment.v1.PaymentLost"),
        "PaymentLost: no message",
    ),
    (
        "own",
        |model| publish(model, "payment", "berth.room.v1.RoomDeleted"),
        "RoomDeleted: published by payment",
    ),
    (
        "published",
        |model| publish(model, "payment", "berth.payment.v1.PaymentApproved"),
        "PaymentApproved: published 2 times",
    ),
    (
        "published",
        |model| model.events.push("berth.room.v1.RoomPainted".into()),
        "RoomPainted: published 0 times",
    ),
    (
        "consumed",
        |model| {
            listen(
                model,
                "refund-late",
                "berth.reservation.v1.ReservationCanceled",
            );
        },
        "payment refund-late: no context publishes berth.reservation.v1.ReservationCanceled",
    ),
    (
        "consumed",
        |model| {
            let event = "berth.rooms.v1.RoomDeleted".to_owned();
            let name = "show".to_owned();
            model
                .context("payment")
                .unwrap()
                .views
                .push(Subscriber { name, event });
        },
        "payment show: no context publishes berth.rooms.v1.RoomDeleted",
    ),
    (
        "slugs",
        |model| {
            listen(
                model,
                "Refund_late",
                "berth.reservation.v1.ReservationLapsed",
            );
        },
        "Refund_late: is not kebab-case",
    ),
    (
        "slugs",
        |model| {
            listen(
                model,
                "charge-approved",
                "berth.reservation.v1.ReservationLapsed",
            );
        },
        "charge-approved: of both",
    ),
    (
        "peers",
        |model| model.context("payment").unwrap().peers.push("rooms".into()),
        "payment: calls rooms",
    ),
];

fn publish(model: &mut Model, context: &str, event: &str) {
    let context = model.context(context).unwrap();
    context.publishes.push(event.to_owned());
}

fn listen(model: &mut Model, slug: &str, event: &str) {
    let (name, event) = (slug.to_owned(), event.to_owned());
    let payment = model.context("payment").unwrap();
    payment.policies.push(Subscriber { name, event });
}

/// Requirement: A-C21, A-C35.
#[test]
fn the_contexts_keep_every_rule() {
    let model = Model::read().unwrap();
    for (rule, check) in EVENTS {
        assert_eq!(check(&model), [""; 0], "rule {rule}");
    }
}

#[test]
fn every_rule_finds_its_planted_faults() {
    let model = Model::read().unwrap();
    for (rule, check) in EVENTS {
        let faults: Vec<_> = FAULTS.iter().filter(|fault| fault.0 == *rule).collect();
        assert!(!faults.is_empty(), "no fault for rule {rule}");
        for (_, plant, says) in faults {
            let mut changed = model.clone();
            plant(&mut changed);
            let found = check(&changed);
            assert!(
                found.iter().any(|wrong| wrong.contains(says)),
                "rule {rule} finds {found:?}, not {says}"
            );
        }
    }
}

#[test]
fn slugs_are_never_removed() {
    golden::only_grows("slugs.txt", &print(&Model::read().unwrap()));
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
    let model = Model::of(&all::contexts(), &contracts().unwrap(), &tree);
    let call = Call {
        caller: "reservation".into(),
        rpc: "PaymentService.ChargePayment".into(),
        callee: "payment".into(),
    };
    assert_eq!(model.calls, [call]);
}
