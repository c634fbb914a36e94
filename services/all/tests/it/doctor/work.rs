//! Work that is not done: logs that are damaged, consumers that stand, dead letters, and what is overdue.

use all::doctor::Code;
use chassis::base::time::SignedDuration;

use super::{House, codes, seen};

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_stands_is_found_and_one_that_moves_is_not() {
    let house = House::healthy().await;
    let faults = &house.reservations.faults;
    faults.arm("consumer.reservation.views", u32::MAX);
    house.register(1).await;
    let report = house.shows(Code::ConsumerStalled).await;
    assert_eq!(codes(&report), ["CONSUMER_STALLED"]);
    assert_eq!(report.exit_code(), 22);
    let stands = seen(&report, Code::ConsumerStalled);
    assert!(
        stands.starts_with("reservation.views is at 0 of 1 of room and does not move; it failed last with: injected"),
        "{stands}"
    );
    faults.disarm("consumer.reservation.views");
    house.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_put_back_is_found() {
    let mut house = House::healthy().await;
    house.register(1).await;
    house.recovers().await;
    house.rooms.process.crash().await;
    let database = house.rooms.database();
    let older = copy(&database, "older");
    house.rooms.process.start().await;
    for number in 2..=4 {
        house.register(number).await;
    }
    house.recovers().await;
    house.rooms.process.crash().await;
    let newest = copy(&database, "newest");
    restore(&older, &database);
    house.rooms.process.start().await;

    // Consumers tell it, and it closes itself.
    let report = house.shows(Code::StoreFenced).await;
    assert_eq!(report.exit_code(), 10);
    assert_eq!(
        seen(&report, Code::LogRegressed),
        "reservation.views has consumed 4 events of room, which has 1"
    );
    let finding = &report.findings[0];
    assert_eq!(finding.code, Code::LogRegressed);
    assert_eq!(
        (&*finding.context, &*finding.producer),
        ("reservation", "room")
    );
    // That nobody leads it now is no finding of its own.
    assert_eq!(codes(&report), ["LOG_REGRESSED", "STORE_FENCED"]);
    let fence = seen(&report, Code::StoreFenced);
    assert!(fence.contains("reservation"), "{fence}");

    house.rooms.process.crash().await;
    restore(&newest, &database);
    house.rooms.process.start().await;
    house.recovers().await;
}

/// Copies a database that nobody works on, with what is not checkpointed yet.
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
async fn a_log_that_lacks_events_is_found() {
    let house = House::healthy().await;
    let faults = &house.reservations.faults;
    faults.arm("consumer.reservation.views", u32::MAX);
    for number in 1..=3 {
        house.register(number).await;
    }
    let room = &house.rooms;
    room.run("CREATE TABLE lost AS SELECT * FROM log WHERE seq = 2")
        .await;
    room.run("DELETE FROM log WHERE seq = 2").await;
    faults.disarm("consumer.reservation.views");
    let report = house.shows(Code::LogGap).await;
    let gap = seen(&report, Code::LogGap);
    assert!(
        gap.contains("partition 0 of its log lacks 1 of its last events"),
        "{gap}"
    );
    let stands = "reservation.views is at 1 of 3 of room, and the log lacks what comes next";
    house
        .until(|report| seen(report, Code::LogGap).contains(stands))
        .await;
    room.run("INSERT INTO log SELECT * FROM lost").await;
    house.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_found_until_they_are_redriven() {
    let house = House::healthy().await;
    house.register(1).await;
    house.recovers().await;
    // As if the view had choked on it.
    let store = house.reservations.store();
    let event = house.rooms.store().log_after(0, 1).await.unwrap();
    let letter = event[0].clone();
    let plant: Result<(), chassis::StoreError> = store
        .transact(move |unit| {
            let event = letter.clone();
            Box::pin(async move {
                let sql = "INSERT INTO dead_letter (consumer, producer, partition, seq, id, type, aggregate, version,
                               at, payload, headers, reason, attempts, parked, next_attempt_at)
                           VALUES ('reservation.views', 'room', 0, 1, $1, $2, $3, 1, $4, $5, '{}', 'planted', 8, 1, $6)";
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
    let report = house.examine(&[]).await;
    assert_eq!(codes(&report), ["DEAD_LETTERS_PARKED"]);
    assert_eq!(report.exit_code(), 23);
    let parked = "1 events of room wait for an operator in reservation.views";
    assert_eq!(seen(&report, Code::DeadLettersParked), parked);

    house
        .reservations
        .run("UPDATE dead_letter SET parked = 0, attempts = 3")
        .await;
    let report = house.examine(&[]).await;
    assert_eq!(
        (codes(&report), report.exit_code()),
        (vec!["DEAD_LETTERS"], 38)
    );
    assert_eq!(store.redrive(String::new()).await.unwrap(), 1);
    house.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_overdue_is_found() {
    let house = House::healthy().await;
    // Nobody knows how to wake it.
    let sleeper = "INSERT INTO aggregate (kind, id, version, state, due_at, created_at, updated_at)
                   VALUES ('sleeper', 'x', 1, '{}', 1000000, 0, 0)";
    house.payments.run(sleeper).await;
    let report = house.examine(&[]).await;
    assert_eq!((codes(&report), report.exit_code()), (vec!["OVERDUE"], 35));
    assert_eq!(report.findings[0].context, "payment");
    house
        .payments
        .run("DELETE FROM aggregate WHERE kind = 'sleeper'")
        .await;
    house.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bus_that_is_not_told_what_is_new_is_found() {
    let house = House::healthy().await;
    house.rooms.faults.arm("relay.publish", u32::MAX);
    house.register(1).await;
    let report = house.shows(Code::RelayLags).await;
    assert_eq!(
        seen(&report, Code::RelayLags),
        "the bus was told of 0 of 1 events"
    );
    house.rooms.faults.disarm("relay.publish");
    house.recovers().await;
}
