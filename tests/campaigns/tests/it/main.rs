//! The campaigns in small.

use std::{fs, path::Path, time::Duration};

use campaigns::{broker, outages, rolling, scale};
use tokio::sync::Mutex;

/// One at a time of those that are under load all the time: each has all cores for itself.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn s29_every_process_is_restarted_and_nobody_notices() {
    let _alone = ALONE.lock().await;
    rolling::restart_everything(2_000, 4).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s16_s22_the_broker_loses_everything_and_stays_away_and_bookings_go_on() {
    let _alone = ALONE.lock().await;
    let (calm, away) = (Duration::from_secs(3), Duration::from_secs(8));
    broker::lose_the_broker(calm, away, 4).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn s21_a_c23_a_c24_what_was_missed_is_taken_once_by_whichever_replica() {
    let _alone = ALONE.lock().await;
    scale::scale_out_and_in(3_000, 4).await.unwrap();
}

/// `UPDATE_GOLDEN=1` writes the page anew.
#[tokio::test(flavor = "multi_thread")]
async fn s28_what_still_works_without_each_context_is_what_the_page_says() {
    let table = outages::table().await.unwrap();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/outages.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&page, &table).unwrap();
    }
    assert_eq!(fs::read_to_string(&page).unwrap_or_default(), table);
}
