//! Are the sources arranged as the architecture says?
use contract::{
    STRUCTURE,
    imports::{circles, imports},
    layers,
    shape::CONTEXTS,
    sources::{Tree, read},
};

/// The rule, the files, and what the rule finds in them.
type Fault = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

const HEADER: &str = "//! Room.\n//!\n//! ```text\n//! commands    rpc: A\n//!             policies: B\n\
//! asks        none\n//! events out  none\n//! events in   none\n//! views       none\n//! jobs        none\n//! ```\n\
\npub fn context() {}";

const FAULTS: &[Fault] = &[
    (
        "layers",
        &[
            (
                "services/chassis/src/store/log.rs",
                "use crate::{base::time::Timestamp, runtime::context::Context};",
            ),
            ("services/chassis/src/runtime/context.rs", ""),
            ("services/chassis/src/base/time.rs", ""),
        ],
        "services/chassis/src/store/log.rs:1: imports services/chassis/src/runtime/context.rs",
    ),
    (
        "layers",
        &[
            (
                "services/chassis/src/base/time.rs",
                "fn f() -> crate::error::refusal::Kind { g() }",
            ),
            ("services/chassis/src/error/refusal.rs", ""),
        ],
        "base/time.rs:1: imports services/chassis/src/error/refusal.rs",
    ),
    (
        "layers",
        &[
            ("services/chassis/src/base/time.rs", "use crate::Context;"),
            ("services/chassis/src/lib.rs", ""),
        ],
        "base/time.rs:1: imports services/chassis/src/lib.rs",
    ),
    (
        "layers",
        &[("services/chassis/src/relay.rs", "")],
        "services/chassis/src/relay.rs: in no layer",
    ),
    (
        "layers",
        &[("services/chassis/src/boats/boat.rs", "")],
        "services/chassis/src/boats/boat.rs: in no layer",
    ),
    // Two files import each other.
    (
        "circles",
        &[
            ("services/room/src/a.rs", "use crate::b::B;"),
            ("services/room/src/b.rs", "use super::a::A;"),
        ],
        "circle of imports a.rs -> b.rs -> a.rs",
    ),
    // A child imports what its parent defines, and the parent uses the child.
    (
        "circles",
        &[
            (
                "services/room/src/store/mod.rs",
                "mod fence; use self::fence::Fence; pub struct Store;",
            ),
            (
                "services/room/src/store/fence.rs",
                "use crate::store::Store;",
            ),
        ],
        "store/fence.rs -> store/mod.rs -> store/fence.rs",
    ),
    // A child imports its sibling through what the parent exports.
    (
        "circles",
        &[
            (
                "services/room/src/store/mod.rs",
                "mod error; mod fence; pub use error::Error;",
            ),
            (
                "services/room/src/store/fence.rs",
                "use super::Error as E; pub struct Fence;",
            ),
            (
                "services/room/src/store/error.rs",
                "use super::{fence::{self, Fence}};",
            ),
        ],
        "circle of imports store/error.rs -> store/fence.rs -> store/mod.rs -> store/error.rs",
    ),
    // Paths in the code count like `use`, also by a name that a `use` gave to a module.
    (
        "circles",
        &[
            (
                "services/room/src/a.rs",
                "use crate::{c as other, d::*}; fn f() { g(vec![other::h()]) }",
            ),
            (
                "services/room/src/c.rs",
                "mod inner { fn f() { super::super::a::f() } }",
            ),
        ],
        "circle of imports a.rs -> c.rs -> a.rs",
    ),
    (
        "files of a context",
        &[
            ("services/room/src/lib.rs", HEADER),
            ("services/room/src/main.rs", ""),
            ("services/room/src/domain/mod.rs", ""),
            ("services/room/src/codec.rs", ""),
            ("services/room/src/grpc.rs", ""),
        ],
        "services/room/src/: lacks codec/",
    ),
    (
        "files of a context",
        &[("services/room/src/domain/mod.rs", "")],
        "services/room/src/: lacks domain/refusal.rs",
    ),
    (
        "files of a context",
        &[("services/room/src/boats.rs", "")],
        "services/room/src/boats.rs: not a file of a context",
    ),
    // The exception of one context is none of another.
    (
        "files of a context",
        &[("services/room/src/startup.rs", "")],
        "services/room/src/startup.rs: not a file of a context",
    ),
    (
        "files of a context",
        &[("services/room/src/lib.rs", HEADER)],
        "services/room/src/: lacks domain/",
    ),
    // Two rows are exchanged, one is missing, one is empty, one is not aligned.
    (
        "headers",
        &[(
            "services/room/src/lib.rs",
            "//! ```text\n//! commands    none\n//! asks        none\n//! events in   none\n//! events out  none\n//! views       none\n//! jobs        none\n//! ```",
        )],
        "services/room/src/lib.rs: the rows of its header are",
    ),
    (
        "headers",
        &[(
            "services/room/src/lib.rs",
            "//! ```text\n//! commands    none\n//! asks        none\n//! events out  none\n//! events in   none\n//! views       none\n//! ```",
        )],
        "services/room/src/lib.rs: the rows of its header are",
    ),
    (
        "headers",
        &[(
            "services/room/src/lib.rs",
            "//! ```text\n//! commands    none\n//! asks        none\n//! events out  none\n//! events in   none\n//! views       none\n//! jobs\n//! ```",
        )],
        "services/room/src/lib.rs: the rows of its header are",
    ),
    (
        "headers",
        &[(
            "services/room/src/lib.rs",
            "//! ```text\n//! commands    none\n//! asks        none\n//! events out  none\n//! events in   none\n//! views       none\n//! jobs   none\n//! ```",
        )],
        "services/room/src/lib.rs: the rows of its header are",
    ),
    (
        "recovery",
        &[(
            "services/room/src/grpc.rs",
            "fn f() { recovery::recover(); }",
        )],
        "services/room/src/grpc.rs:1: only main.rs uses recovery",
    ),
    (
        "claims",
        &[
            (
                "services/room/src/lib.rs",
                "fn f() { g().claims::<domain::Other>() }",
            ),
            (
                "services/room/src/domain/room.rs",
                "impl Aggregate for Room {\n    fn claims(&self) -> Claims { Claims::none() }\n}",
            ),
        ],
        "services/room/src/domain/room.rs: Room holds claims, and lib.rs does not name it",
    ),
    (
        "no panics",
        &[(
            "services/chassis/src/base/id.rs",
            "fn f() { g(|| x.unwrap()) }",
        )],
        "base/id.rs:1: unwrap may panic",
    ),
    (
        "no panics",
        &[(
            "services/chassis/src/base/id.rs",
            "#[cfg(test)]\nmod tests { fn f() { x.unwrap() } }\nfn g() { panic!(\"no\") }",
        )],
        "base/id.rs:3: panic may panic",
    ),
    // An exception says why.
    (
        "no panics",
        &[(
            "services/chassis/src/base/id.rs",
            "#[expect(clippy::expect_used)]\nfn f() { x.expect(\"x\") }",
        )],
        "base/id.rs:2: expect may panic",
    ),
    (
        "no panics",
        &[(
            "services/chassis/src/base/id.rs",
            "#[expect(clippy::print_stdout, reason = \"shown\")]\nfn f() { x.expect(\"x\") }",
        )],
        "base/id.rs:2: expect may panic",
    ),
];

/// Files without a fault.
const FINE: &[&[(&str, &str)]] = &[
    &[
        (
            "services/chassis/src/lib.rs",
            "pub mod store; pub mod base; pub use store::log::Log;",
        ),
        (
            "services/chassis/src/store/mod.rs",
            "mod log; mod error; #[cfg(test)] mod tests; pub use self::log::Log; pub(in crate::store) fn f() {}",
        ),
        (
            "services/chassis/src/store/log.rs",
            "use ::runtime::x; use std::fmt; use crate::{base::time::Timestamp, store::error::Error};",
        ),
        (
            "services/chassis/src/store/error.rs",
            "impl Error { fn of(self) -> impl Iterator + use<'_> { self::Kind::One; i } } pub enum Kind { One }",
        ),
        // A test may use what it likes.
        (
            "services/chassis/src/store/tests.rs",
            "use crate::{runtime::context::Context, store::Log};",
        ),
        (
            "services/chassis/src/base/time.rs",
            "#[cfg(test)]\nmod tests { use crate::runtime::context::Context; }\n#[macro_export]\n\
             macro_rules! id { () => { $crate::runtime::context::Context } }",
        ),
        (
            "services/chassis/src/runtime/context.rs",
            "use crate::id; fn f() { crate::base::time::now() }",
        ),
    ],
    &[
        ("services/room/src/lib.rs", HEADER),
        (
            "services/room/src/main.rs",
            "fn main() { recovery::SUBCOMMAND }",
        ),
        ("services/room/src/domain/mod.rs", ""),
        ("services/room/src/domain/refusal.rs", ""),
        ("services/room/src/domain/room.rs", ""),
        ("services/room/src/codec/mod.rs", ""),
        ("services/room/src/grpc.rs", ""),
        ("services/room/src/views.rs", ""),
        ("services/room/tests/it/rpc.rs", ""),
    ],
    &[(
        "services/chassis/src/base/id.rs",
        "#[expect(clippy::expect_used, reason = \"always there\")]\nfn f() { x.expect(\"x\") }\n\
         fn g() { #[expect(clippy::panic, reason = \"passed on\")]\n let x = panic!(); y.unwrap_or(debug_assert!(true)) }\n\
         #[cfg(test)]\nmod tests { fn f() { x.unwrap() } }",
    )],
];

/// Requirement: A-C15.
#[test]
fn the_sources_are_arranged_as_the_rules_say() {
    let tree = read().unwrap();
    let wrong: Vec<String> = STRUCTURE
        .iter()
        .flat_map(|(rule, check)| {
            let found = check(&tree).into_iter();
            found.map(move |wrong| format!("rule {rule}: {wrong}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_of_structure_finds_its_planted_faults() {
    for (rule, check) in STRUCTURE {
        let faults: Vec<&Fault> = FAULTS.iter().filter(|fault| fault.0 == *rule).collect();
        assert!(!faults.is_empty(), "no fault for rule {rule}");
        for (_, files, expected) in faults {
            let found = check(&tree(files));
            assert!(
                found.iter().any(|wrong| wrong.contains(expected)),
                "rule {rule} finds {found:?} in {files:?}, not {expected}"
            );
        }
    }
}

#[test]
fn no_rule_of_structure_finds_a_fault_where_there_is_none() {
    for files in FINE {
        for (rule, check) in STRUCTURE {
            assert_eq!(check(&tree(files)), [""; 0], "rule {rule}");
        }
    }
}

/// The rules see the whole tree, not a part that happens to be without faults.
#[test]
fn the_rules_see_the_imports_of_every_crate() {
    let tree = read().unwrap();
    for context in CONTEXTS {
        let found = imports(&tree, &format!("services/{context}/src/"));
        assert!(found.len() > 5, "{context}: {found:?}");
    }
    let contexts = all::contexts().into_iter().map(|context| context.name);
    assert!(contexts.eq(CONTEXTS.iter().copied()));
    let chassis = imports(&tree, "services/chassis/src/");
    for layer in layers::LAYERS
        .iter()
        .filter(|layer| !["base", "contract"].contains(*layer))
    {
        let of = format!("services/chassis/src/{layer}/");
        assert!(
            chassis.iter().any(|one| one.from.starts_with(&of)),
            "{layer}"
        );
    }
}

#[test]
fn a_circle_that_is_added_to_the_sources_is_found() {
    let mut tree = read().unwrap();
    let is_found = |tree: &Tree| {
        let mut circles = circles(tree).into_iter();
        circles
            .any(|circle| circle.starts_with("services/room/src/") && circle.contains("views.rs"))
    };
    assert!(!is_found(&tree));
    let views = tree.get_mut("services/room/src/views.rs").unwrap();
    views.push_str("\nuse crate::{grpc::routes as planted};\n");
    assert!(is_found(&tree));
}

fn tree(files: &[(&str, &str)]) -> Tree {
    let files = files.iter().copied();
    files
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .collect()
}
