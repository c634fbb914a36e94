//! Damaged logs, stalled consumers, dead letters and overdue work.

use all::doctor::Code;
use chassis::base::time::SignedDuration;

use super::{Platform, codes, seen};

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_consumer_is_found_until_it_moves() {
    let platform = Platform::healthy().await;
    let faults = &platform.reservations.faults;
    faults.arm("consumer.reservation.views", u32::MAX);
    platform.register(1).await;
    let report = platform.shows(Code::ConsumerStalled).await;
    assert_eq!(codes(&report), ["CONSUMER_STALLED"]);
    assert_eq!(report.exit_code(), 22);
    let stalled = seen(&report, Code::ConsumerStalled);
    assert!(
        stalled.starts_with("reservation.views has applied 0 of 1 events of room and does not move; last error: injected"),
        "{stalled}"
    );
    faults.disarm("consumer.reservation.views");
    platform.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_restored_from_an_older_copy_is_found() {
    let mut platform = Platform::healthy().await;
    platform.register(1).await;
    platform.recovers().await;
    platform.rooms.process.crash().await;
    let database = platform.rooms.database();
    let older = copy(&database, "older");
    platform.rooms.process.start().await;
    for number in 2..=4 {
        platform.register(number).await;
    }
    platform.recovers().await;
    platform.rooms.process.crash().await;
    let newest = copy(&database, "newest");
    restore(&older, &database);
    platform.rooms.process.start().await;

    // The bus and the consumers report a higher high-water mark, so the context sets the write fence.
    let report = platform.shows(Code::StoreFenced).await;
    assert_eq!(report.exit_code(), 10);
    assert_eq!(
        seen(&report, Code::LogRegressed),
        "reservation.views has applied 4 events of room, whose log ends at 1"
    );
    let finding = &report.findings[0];
    assert_eq!(finding.code, Code::LogRegressed);
    assert_eq!(
        (&*finding.context, &*finding.producer),
        ("reservation", "room")
    );
    // A fenced context has no leader; that is no finding of its own.
    assert_eq!(codes(&report), ["LOG_REGRESSED", "STORE_FENCED"]);
    let fence = seen(&report, Code::StoreFenced);
    // Either the bus or a consumer is named first.
    assert!(
        fence.contains("ends at 1") && fence.contains("up to 4"),
        "{fence}"
    );

    platform.rooms.process.crash().await;
    restore(&newest, &database);
    platform.rooms.process.start().await;
    platform.recovers().await;
}

/// Copies a database that no process has open, including its write-ahead log.
fn copy(database: &std::path::Path, name: &str) -> std::path::PathBuf {
    let copy = database.with_extension(name);
    for end in ["", "-wal"] {
        let part = |path: &std::path::Path| format!("{}{end}", path.display());
        if std::fs::exists(part(database)).unwrap() {
            std::fs::copy(part(database), part(&copy)).unwrap();
        }
    }
    copy
}

fn restore(copy: &std::path::Path, database: &std::path::Path) {
    for end in ["", "-wal", "-shm"] {
        let part = |path: &std::path::Path| format!("{}{end}", path.display());
        // It may not be there.
        let _ = std::fs::remove_file(part(database));
        if std::fs::exists(part(copy)).unwrap() {
            std::fs::copy(part(copy), part(database)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_with_a_gap_is_found() {
    let platform = Platform::healthy().await;
    let faults = &platform.reservations.faults;
    faults.arm("consumer.reservation.views", u32::MAX);
    for number in 1..=3 {
        platform.register(number).await;
    }
    let room = &platform.rooms;
    room.run("CREATE TABLE lost AS SELECT * FROM log WHERE seq = 2")
        .await;
    room.run("DELETE FROM log WHERE seq = 2").await;
    faults.disarm("consumer.reservation.views");
    let report = platform.shows(Code::LogGap).await;
    let gap = seen(&report, Code::LogGap);
    assert!(
        gap.contains("its log lacks 1 of its latest events"),
        "{gap}"
    );
    let stalled =
        "reservation.views has applied 1 of 3 events of room, and the log lacks the next one";
    platform
        .until(|report| seen(report, Code::LogGap).contains(stalled))
        .await;
    room.run("INSERT INTO log SELECT * FROM lost").await;
    platform.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_found_until_they_are_redriven() {
    let platform = Platform::healthy().await;
    platform.register(1).await;
    platform.recovers().await;
    // As if the view had failed to apply the event.
    let store = platform.reservations.store();
    let event = platform.rooms.store().log_after(0, 1).await.unwrap();
    let letter = event[0].clone();
    let plant: Result<(), chassis::StoreError> = store
        .transact(move |unit| {
            let event = letter.clone();
            Box::pin(async move {
                let sql = "INSERT INTO dead_letter (consumer, producer, seq, id, type, aggregate, version,
                               at, payload, headers, reason, attempts, parked, next_attempt_at)
                           VALUES ('reservation.views', 'room', 1, $1, $2, $3, 1, $4, $5, '{}', 'planted', 8, 1, $6)";
                let far = event.at + SignedDuration::from_hours(24);
                let args = chassis::args![
                    &*event.id, &*event.event_type, &*event.subject, event.at, &*event.data, far
                ];
                unit.conn().execute(sql, args).await?;
                Ok(())
            })
        })
        .await;
    plant.unwrap();
    let report = platform.examine(&[]).await;
    assert_eq!(codes(&report), ["DEAD_LETTERS_PARKED"]);
    assert_eq!(report.exit_code(), 23);
    let parked = "1 events of room are parked in reservation.views";
    assert_eq!(seen(&report, Code::DeadLettersParked), parked);

    platform
        .reservations
        .run("UPDATE dead_letter SET parked = 0, attempts = 3")
        .await;
    let report = platform.examine(&[]).await;
    assert_eq!(
        (codes(&report), report.exit_code()),
        (vec!["DEAD_LETTERS"], 38)
    );
    assert_eq!(store.redrive(String::new()).await.unwrap(), 1);
    platform.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn overdue_work_is_found() {
    let platform = Platform::healthy().await;
    // No handler exists for this kind, so it stays due.
    let sleeper = "INSERT INTO aggregate (kind, id, version, state, due_at, created_at, updated_at)
                   VALUES ('sleeper', 'x', 1, '{}', 1000000, 0, 0)";
    platform.payments.run(sleeper).await;
    let report = platform.examine(&[]).await;
    assert_eq!((codes(&report), report.exit_code()), (vec!["OVERDUE"], 35));
    assert_eq!(report.findings[0].context, "payment");
    platform
        .payments
        .run("DELETE FROM aggregate WHERE kind = 'sleeper'")
        .await;
    platform.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_does_not_publish_is_found() {
    let platform = Platform::healthy().await;
    platform.rooms.faults.arm("relay.publish", u32::MAX);
    platform.register(1).await;
    let report = platform.shows(Code::RelayLags).await;
    assert_eq!(
        seen(&report, Code::RelayLags),
        "0 of 1 events have been published to the bus"
    );
    platform.rooms.faults.disarm("relay.publish");
    platform.recovers().await;
}
