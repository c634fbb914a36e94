//! A context comes back from yesterday's backup while the others have gone on.

use std::{fs, path::Path};

use berth::{reservation::v1::ReservationStatus, room::v1::Room};
use stories::{
    mode::Mode,
    people::Person,
    world::{World, eventually, nights},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

stories::told! { one, mesh: [
    s30_a_context_from_yesterdays_backup_sells_nothing_and_can_be_read,
] }

/// A night that is booked after the backup.
const LATER: (&str, &str) = ("2027-03-20", "2027-03-22");

struct Scene {
    world: World,
    guest: Person,
    room: Room,
    /// What was booked before the backup, and after it.
    before: String,
    after: String,
    /// The backup, and the file that it has replaced.
    _backup: tempfile::TempDir,
}

impl Scene {
    /// Something is booked, a backup is made, and more is booked. Then the backup is put back.
    async fn of(mode: Mode) -> Self {
        let mut world = World::start(mode).await;
        let (host, guest) = (world.host().await, world.customer().await);
        let room = world.room(&host, |_| {}).await;
        let book = async |world: &World, nights| {
            let wanted = guest.wants(world.id(), &room, nights);
            let booked = guest.book(wanted).await.unwrap();
            assert_eq!(booked.status(), ReservationStatus::Confirmed);
            booked.reservation_id
        };
        let before = book(&world, nights("2027-03-10", "2027-03-12")).await;
        world.quiet().await;
        let backup = tempfile::tempdir().unwrap();
        let database = world.process("reservation").database("reservation");
        back_up(&database, &backup.path().join("yesterday.db"));

        let after = book(&world, nights(LATER.0, LATER.1)).await;
        world.quiet().await;
        world.crash().await;
        put_back(&backup.path().join("yesterday.db"), &database);
        world.restart().await;
        Self {
            world,
            guest,
            room,
            before,
            after,
            _backup: backup,
        }
    }
}

/// As `sqlite3 reservation.db ".backup yesterday.db"` does, while everything runs.
fn back_up(database: &Path, to: &Path) {
    let connection = rusqlite::Connection::open(database).unwrap();
    let to = to.to_str().unwrap();
    connection.execute("VACUUM INTO ?1", [to]).unwrap();
}

/// The old file takes the place of the new one, which is kept beside it.
fn put_back(backup: &Path, database: &Path) {
    for part in ["db", "db-wal", "db-shm"] {
        let file = database.with_extension(part);
        if file.exists() {
            fs::rename(&file, backup.with_file_name(format!("lost.{part}"))).unwrap();
        }
    }
    fs::copy(backup, database).unwrap();
}

fn why(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info();
    let reason = info.map_or_else(String::new, |info| info.reason);
    (status.code(), reason)
}

async fn s30_a_context_from_yesterdays_backup_sells_nothing_and_can_be_read(mode: Mode) {
    let Scene {
        world,
        guest,
        room,
        before,
        after,
        ..
    } = Scene::of(mode).await;
    let store = world.store("reservation").clone();
    // In one process that is noticed before anybody is let in; elsewhere when the others subscribe.
    if mode == Mode::Mesh {
        eventually(async || store.fenced().is_some()).await;
    }
    let fence = store.fenced().unwrap();
    assert!(fence.head < fence.seen, "{fence}");

    let wanted = guest.wants(world.id(), &room, nights(LATER.0, LATER.1));
    let refused = guest.book(wanted).await.unwrap_err();
    let regressed = (Code::Unavailable, "LOG_REGRESSED".to_owned());
    assert_eq!(why(&refused), regressed);

    // What is there is shown, and who looks at the view sees what was booked.
    let kept = guest.reservation(&before).await.unwrap();
    assert_eq!(kept.status(), ReservationStatus::Confirmed);
    let lost = guest.reservation(&after).await.unwrap_err();
    assert_eq!(lost.code(), Code::NotFound);
    let shown = guest.my_page().await.unwrap();
    assert!(shown.iter().any(|entry| entry.reservation_id == after));
    // The others go on.
    world.quiet().await;
    world.room(&world.host().await, |_| {}).await;
    world.quiet().await;
}
