//! Is docs/operating.md complete and true?
use std::{fs, path::Path};

use chassis::telemetry;
use contract::{
    operating::{commands, parts, stale_names, undocumented_metrics, unexpected_series},
    page::{found, replaced},
    sources,
    world::World,
};

use crate::golden;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/operating.md");

#[test]
fn the_page_shows_every_setting_metric_and_finding() {
    let mut page = fs::read_to_string(Path::new(PAGE)).unwrap();
    for (name, part) in parts(&all::contexts()).unwrap() {
        if golden::records() {
            page = replaced(&page, name, &part).unwrap();
            fs::write(PAGE, &page).unwrap();
        }
        assert_eq!(
            found(&page, name),
            Some(&*part),
            "{name}: record them with `UPDATE_GOLDEN=1 cargo test -p contract`"
        );
    }
    assert_eq!(stale_names(&page), [""; 0]);
}

#[test]
fn every_command_line_is_covered() {
    let commands = commands(&all::contexts());
    for name in [
        "berth",
        "berth doctor",
        "berth demo",
        "room",
        "room migrate",
    ] {
        assert!(commands.contains_key(name), "{name}");
    }
    for context in all::contexts() {
        assert!(commands.contains_key(context.name), "{}", context.name);
    }
    for command in commands.into_values() {
        command.debug_assert();
    }
}

#[test]
fn every_metric_is_documented() {
    let mut tree = sources::read().unwrap();
    assert_eq!(undocumented_metrics(&tree), [""; 0]);
    let planted = r#"fn f() { metrics::counter!("berth_boats_total").increment(1); }"#;
    tree.insert("services/room/src/boats.rs".into(), planted.into());
    let unknown = "berth_boats_total: not in services/chassis/src/telemetry/metrics_catalogue.rs";
    assert_eq!(undocumented_metrics(&tree), [unknown]);
    tree.remove("services/chassis/src/client/breaker.rs");
    assert_eq!(undocumented_metrics(&tree).len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_have_the_documented_labels() {
    let _world = World::start(all::contexts()).await.unwrap();
    let exposition = telemetry::metrics().unwrap().render();
    assert!(exposition.contains("# HELP berth_rpc_in_flight Requests in hand"));
    assert_eq!(unexpected_series(&exposition), [""; 0]);
    let wrong = "berth_leading{place=\"x\"} 1\nberth_boats 2\n";
    assert_eq!(unexpected_series(wrong).len(), 2);
}

#[test]
fn a_page_with_stale_names_is_found() {
    let page = fs::read_to_string(Path::new(PAGE)).unwrap();
    let wrong = page.replace("## Backup and restore", "## Backups") + "`berth_boats_total`";
    assert!(stale_names(&wrong).len() >= 2, "{:?}", stale_names(&wrong));
}
