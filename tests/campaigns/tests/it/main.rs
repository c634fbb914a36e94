//! The campaigns in a small size.

use std::{fs, path::Path, time::Duration};

use campaigns::{broker, outages, rolling, scale};
use tokio::sync::Mutex;

/// Campaigns under constant load run one at a time, because each needs all cores.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Scenario: S29.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_fails_no_request() {
    let _alone = ALONE.lock().await;
    rolling::restart_everything(2_000, 4).await.unwrap();
}

/// Scenario: S16, S22.
#[tokio::test(flavor = "multi_thread")]
async fn bookings_continue_while_the_broker_is_empty_or_down() {
    let _alone = ALONE.lock().await;
    let (calm, away) = (Duration::from_secs(3), Duration::from_secs(8));
    broker::lose_the_broker(calm, away, 4).await.unwrap();
}

/// Requirement: A-C23, A-C24.
/// Scenario: S21.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_applied_once_by_any_number_of_replicas() {
    let _alone = ALONE.lock().await;
    scale::scale_out_and_in(3_000, 4).await.unwrap();
}

/// Scenario: S28. `UPDATE_GOLDEN=1` writes the page.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_outages_is_up_to_date() {
    let table = outages::table().await.unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/outages.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&page, &table).unwrap();
    }
    assert_eq!(fs::read_to_string(&page).unwrap_or_default(), table);
}
