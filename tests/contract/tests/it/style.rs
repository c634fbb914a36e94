//! Do the contracts have one style?
use contract::{
    STYLE,
    contracts::{compile, contracts},
};
use prost_reflect::DescriptorPool;

const BOAT: &str = include_str!("boat.proto");

/// The rule, words of the boat and their replacement, and what the rule must find.
const FAULTS: &[(&str, &str, &str, &str)] = &[
    ("packages", "boat.v1;", "boat;", "berth.boat is not"),
    ("packages", "boat.v1;", "ship.v1;", "berth.ship.v1 is not"),
    ("packages", "boat.v1;", "boat.one;", "berth.boat.one is not"),
    ("services", "BoatService", "Boats", "Boats: a service is"),
    (
        "requests",
        "(SinkBoatRequest)",
        "(Boat)",
        "SinkBoat: must use",
    ),
    (
        "requests",
        "(SinkBoatRequest)",
        "(ModifyBoatRequest)",
        "ModifyBoatRequest: used by two",
    ),
    (
        "requests",
        "(SinkBoatResponse)",
        "(Boat)",
        "SinkBoat: must use",
    ),
    (
        "enums",
        "COLOUR_UNSPECIFIED",
        "COLOUR_NONE",
        "COLOUR_NONE: ",
    ),
    ("enums", "COLOUR_RED", "RED", "RED: must begin with"),
    (
        "comments",
        "// Boats, without a fault.",
        "",
        "BoatService: has",
    ),
    ("comments", "// Sinks a boat.", "", "SinkBoat: has no"),
    ("comments", "// A boat.\n", "", "Boat: has no"),
    ("comments", "// The host.", "", "host_id: has no"),
    ("comments", "// A colour.", "", "Colour: has no"),
    ("comments", "// Red.", "", "COLOUR_RED: has no"),
    (
        "idempotency",
        "option idempotency_level = NO_SIDE_EFFECTS;",
        "",
        "ListBoats: has no",
    ),
    ("pages", "int32 page_size", "int64 page_size", "page_size"),
    ("pages", "string page_token", "string token", "page_token"),
    ("pages", "next_page_token", "next", "next_page_token"),
    ("masks", "update_mask", "mask", "ModifyBoatRequest: lacks"),
    (
        "ids",
        "string boat_id",
        "string boat",
        "RegisterBoat: field 1",
    ),
    (
        "ids",
        "// The id.\n  string boat_id = 1;\n}",
        "}",
        "SinkBoat: field 1",
    ),
    (
        "access",
        "option (berth.common.v1.access) = {public: true};",
        "",
        "ListBoats: access",
    ),
    ("access", "{public: true}", "{}", "ListBoats: access"),
    (
        "access",
        "{public: true}",
        "{public: true internal: true}",
        "ListBoats: access",
    ),
    (
        "owned",
        "owner_field: \"boat.host_id\"",
        "",
        "RegisterBoat: ",
    ),
    (
        "owned",
        "{public: true}",
        "{public: true owner_field: \"page_token\"}",
        "ListBoats: ",
    ),
    (
        "owner_field",
        "owner_field: \"boat.host_id\"",
        "owner_field: \"boat.owner\"",
        "owner_field boat.owner is",
    ),
    (
        "owner_field",
        "owner_field: \"boat.host_id\"",
        "owner_field: \"boat\"",
        "owner_field boat is",
    ),
    (
        "resource_owners",
        "resource_owners: \"boat.host_id\"",
        "resource_owners: \"host_id\"",
        "resource owner host_id",
    ),
    (
        "resource_owners",
        "resource_owners: \"boat.host_id\"",
        "resource_owners: \"ship.host_id\"",
        "resource owner ship.host_id",
    ),
    (
        "exposed",
        "option (google.api.http) = {get: \"/v1/boats\"};",
        "",
        "ListBoats: has no route",
    ),
    (
        "exposed",
        "{public: true}",
        "{internal: true}",
        "ListBoats: must have no route",
    ),
    (
        "paths",
        "{boat.boat_id}",
        "{boat.id}",
        "boat.id is no field",
    ),
    (
        "paths",
        "body: \"boat\"",
        "body: \"ship\"",
        "ship is no field",
    ),
    (
        "routes",
        "get: \"/v1/boats\"",
        "post: \"/v1/boats\"",
        "POST /v1/boats: both",
    ),
    (
        "get",
        "NO_SIDE_EFFECTS",
        "IDEMPOTENT",
        "ListBoats: a GET has",
    ),
];

fn boat(source: &str) -> DescriptorPool {
    compile("berth/boat/v1/boat.proto", source).expect("the boat compiles")
}

/// Requirement: A-C35.
#[test]
fn the_contracts_keep_every_rule() {
    let contracts = contracts().unwrap();
    for (rule, check) in STYLE {
        assert_eq!(check(&contracts), [""; 0], "rule {rule}");
    }
}

#[test]
fn a_contract_without_a_fault_keeps_every_rule() {
    for (rule, check) in STYLE {
        assert_eq!(check(&boat(BOAT)), [""; 0], "rule {rule}");
    }
}

#[test]
fn every_rule_finds_its_planted_faults() {
    for (rule, check) in STYLE {
        let faults: Vec<_> = FAULTS.iter().filter(|fault| fault.0 == *rule).collect();
        assert!(!faults.is_empty(), "no fault for rule {rule}");
        for (_, words, fault, says) in faults {
            assert!(BOAT.contains(words), "the boat has no {words}");
            let found = check(&boat(&BOAT.replace(words, fault)));
            assert!(
                found.iter().any(|wrong| wrong.contains(says)),
                "rule {rule} finds {found:?} in {fault}, not {says}"
            );
        }
    }
}
