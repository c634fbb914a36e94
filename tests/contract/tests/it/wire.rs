//! Are the contracts compatible with their recorded version?
use contract::{
    contracts::{compile, contracts},
    wire::{missing, print},
};

use crate::golden;

const BOAT: &str = include_str!("boat.proto");

/// Requirement: A-C35.
#[test]
fn the_contracts_only_grow() {
    golden::only_grows("wire.txt", &print(&contracts().unwrap()));
}

/// Requirement: A-C35.
#[test]
fn every_incompatible_change_is_found() {
    let boat = |source: &str| print(&compile("berth/boat/v1/boat.proto", source).unwrap());
    let then = boat(BOAT);
    assert_eq!(missing(&then, &boat(BOAT)), [""; 0]);
    for (words, change, missed) in [
        ("COLOUR_RED = 1", "COLOUR_RED = 2", "COLOUR_RED = 1"),
        ("host_id = 2", "host_id = 4", "Boat.host_id = 2: string"),
        (
            "string host_id",
            "bytes host_id",
            "Boat.host_id = 2: string",
        ),
        (
            "string host_id",
            "repeated string host_id",
            "host_id = 2: string",
        ),
        (
            "string host_id",
            "optional string host_id",
            "host_id = 2: string",
        ),
        ("string host_id = 2;", "", "Boat.host_id = 2: string"),
        (
            "SinkBoat(",
            "Sink(",
            "rpc berth.boat.v1.BoatService.SinkBoat(",
        ),
        (
            "returns (Sink",
            "returns (stream Sink",
            "BoatService.SinkBoat(",
        ),
        ("get: \"/v1/boats\"", "get: \"/v2/boats\"", "GET /v1/boats"),
        (
            "BoatService",
            "ShipService",
            "service berth.boat.v1.BoatService",
        ),
        ("RegisterBoatResponse", "Registered", "RegisterBoatResponse"),
        ("boat.v1;", "boat.v2;", "package berth.boat.v1"),
    ] {
        assert!(BOAT.contains(words), "the boat has no {words}");
        let lost = missing(&then, &boat(&BOAT.replace(words, change)));
        assert!(
            lost.iter().any(|line| line.contains(missed)),
            "{change}: {lost:?}, not {missed}"
        );
    }
}
