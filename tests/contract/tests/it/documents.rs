//! Are the documents true?
use std::{
    fs,
    path::{Path, PathBuf},
};

use contract::{
    documents::{broken_links, missing, pages},
    layers,
    page::{found, replaced},
    requirements::{Shown, drawn, ids, shown, unknown},
    sources::{Tree, read},
};

use crate::golden;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn every_file_and_function_that_a_page_names_exists() {
    let tree = read().unwrap();
    for (path, text) in pages(&root()).unwrap() {
        assert_eq!(missing(&text, &root(), &tree), [""; 0], "{path}");
        let directory = root().join(&path);
        let directory = directory.parent().unwrap();
        assert_eq!(broken_links(&text, directory), [""; 0], "{path}");
    }
}

#[test]
fn a_file_or_function_that_does_not_exist_is_found() {
    let tree = read().unwrap();
    let page = "`services/room/src/boats.rs`, `services/room/src/lib.rs::context`, `services/<context>/src/lib.rs`,\n\
                `services/room/src/lib.rs::sink`, `tests/boats/`, `room/v1.rs`\n```\n`docs/x.md`\n```\n";
    assert_eq!(
        missing(page, &root(), &tree),
        [
            "services/room/src/boats.rs: does not exist",
            "services/room/src/lib.rs::sink: does not exist",
            "tests/boats/: does not exist",
        ]
    );
    let page = "[a](docs/broker.md#x) [b](docs/boats.md) [c](https://example.org/x)";
    assert_eq!(
        broken_links(page, &root()),
        ["docs/boats.md: does not exist"]
    );
}

#[test]
fn the_architecture_shows_the_layers_as_they_are() {
    let path = root().join("docs/architecture.md");
    let page = fs::read_to_string(&path).unwrap();
    let picture = layers::draw(&read().unwrap()).unwrap();
    if golden::records() {
        fs::write(&path, replaced(&page, "layers", &picture).unwrap()).unwrap();
        return;
    }
    assert_eq!(
        found(&page, "layers"),
        Some(&*picture),
        "record the picture with `UPDATE_GOLDEN=1 cargo test -p contract`"
    );
}

#[test]
fn the_picture_of_the_layers_omits_indirect_imports() {
    let file = |layer: &str, text: &str| {
        let path = format!("services/chassis/src/{layer}/mod.rs");
        (path, format!("//! The {layer}.\n\n{text}"))
    };
    let tree: Tree = layers::LAYERS
        .iter()
        .map(|layer| match *layer {
            "store" => file(layer, "use crate::{base::x, domain::y};"),
            "domain" => file(layer, "use crate::base::x;"),
            _ => file(layer, ""),
        })
        .collect();
    let picture = layers::draw(&tree).unwrap();
    assert!(picture.contains("store --> domain\n"), "{picture}");
    assert!(!picture.contains("store --> base\n"), "{picture}");
    assert!(
        picture.contains("| `store` | The store. | domain, base |"),
        "{picture}"
    );
}

#[test]
fn the_requirements_name_the_tests_that_show_them() {
    let shown = shown(&read().unwrap());
    assert_eq!(shown.wrong, [""; 0]);
    let path = root().join("docs/requirements.md");
    let page = fs::read_to_string(&path).unwrap();
    assert_eq!(unknown(&page, &shown), [""; 0]);
    assert!(ids(&page).len() > 150);
    let drawn = drawn(&page, &shown);
    if golden::records() {
        fs::write(&path, drawn).unwrap();
        return;
    }
    assert_eq!(
        page, drawn,
        "record the tests with `UPDATE_GOLDEN=1 cargo test -p contract`"
    );
}

#[test]
fn every_requirement_of_operations_has_a_row() {
    let read = |page: &str| fs::read_to_string(root().join(page)).unwrap();
    let (all, operating) = (read("docs/requirements.md"), read("docs/operating.md"));
    let mut asked = ids(&all);
    asked.retain(|id| id.contains("-O") || id.starts_with("E-"));
    assert!(asked.len() > 40);
    assert_eq!(ids(&operating), asked);
}

#[test]
fn requirements_are_read_from_the_comments_above_tests() {
    let mark = "/// Requirement: ";
    let files = [
        (
            "tests/stories/tests/it/money.rs",
            format!(
                "{mark}A-F4, C-I5b.\n/// Why.\nasync fn a_story(mode: Mode) {{}}\n\n{mark}A-F4.\nasync fn no_story(x: X) {{}}"
            ),
        ),
        (
            "services/room/src/domain/mod.rs",
            format!(
                "mod tests {{\n    {mark}B-1.\n    #[test]\n    fn a_rule() {{}}\n    {mark}F4, A-F.\n    #[test]\n    fn b() {{}}\n}}"
            ),
        ),
        (
            "xtask/src/main.rs",
            format!("{mark}A-F1.\n#[test]\nfn f() {{}}"),
        ),
    ];
    let tree: Tree = files
        .map(|(path, text)| (path.to_owned(), text))
        .into_iter()
        .collect();
    let found = shown(&tree);
    let tests = |id: &str| {
        found
            .tests
            .get(id)
            .unwrap()
            .iter()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(tests("A-F4"), ["stories: `a_story`"]);
    assert_eq!(tests("C-I5b"), ["stories: `a_story`"]);
    assert_eq!(tests("B-1"), ["room: `a_rule`"]);
    assert_eq!(found.tests.len(), 3);
    assert_eq!(
        found.wrong,
        [
            "services/room/src/domain/mod.rs:5: \"F4\" is no id",
            "services/room/src/domain/mod.rs:5: \"A-F\" is no id",
            "tests/stories/tests/it/money.rs:5: not above a test",
        ]
    );
    let page = "| Id | What | Tests |\n|---|---|---|\n| A-F4 | A message is sent. | old |\n| A-F5 | Cancelled. | x |\n";
    let drawn = drawn(page, &found);
    assert_eq!(
        drawn,
        "| Id | What | Tests |\n|---|---|---|\n| A-F4 | A message is sent. | stories: `a_story` |\n| A-F5 | Cancelled. | open |\n"
    );
    let unknown = unknown(page, &found);
    assert_eq!(
        unknown,
        [
            "B-1: named by a test, and not in the page",
            "C-I5b: named by a test, and not in the page"
        ]
    );
    let twice = page.replace("A-F5", "A-F4");
    let none = Shown::default();
    assert_eq!(
        contract::requirements::unknown(&twice, &none),
        ["A-F4: twice in the page"]
    );
}
