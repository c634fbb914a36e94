//! Does the README show the current context map?
use std::{fs, path::Path};

use contract::{
    map::{draw, found, replaced},
    model::{Model, Subscriber},
};

use crate::golden;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");

/// Requirement: A-C10, A-D7.
#[test]
fn the_readme_shows_the_map() {
    let map = draw(&Model::read().unwrap()).unwrap();
    golden::is("context-map.md", &map);
    let readme = fs::read_to_string(Path::new(README)).unwrap();
    if golden::records() {
        fs::write(README, replaced(&readme, &map).unwrap()).unwrap();
        return;
    }
    assert_eq!(
        found(&readme),
        Some(&*map),
        "the map in the README differs: record it with `UPDATE_GOLDEN=1 cargo test -p contract`"
    );
}

#[test]
fn the_map_shows_a_new_policy() {
    let model = Model::read().unwrap();
    let map = draw(&model).unwrap();
    let mut changed = model.clone();
    changed
        .context("payment")
        .unwrap()
        .policies
        .push(Subscriber {
            name: "sink".into(),
            event: "berth.room.v1.RoomDeleted".into(),
        });
    assert_ne!(draw(&changed).unwrap(), map);
    let text = "before\n<!-- context-map:begin -->\nold\n<!-- context-map:end -->\nafter\n";
    let new = replaced(text, "new\n").unwrap();
    assert_eq!(new, text.replace("old", "new"));
    assert_eq!(found(&new), Some("new\n"));
    assert_eq!(found("no map"), None);
    assert!(replaced("no map", "new\n").is_err());
}
