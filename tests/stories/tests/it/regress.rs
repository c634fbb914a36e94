//! A context comes back from yesterday's backup while the others have gone on.

use berth::{reservation::v1::ReservationStatus, room::v1::Room};
use stories::{
    mode::Mode,
    people::Person,
    world::{Backup, World, eventually, nights},
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
    /// The backup, and what it has replaced.
    _backup: Backup,
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
        let backup = world.back_up("reservation").await;

        let after = book(&world, nights(LATER.0, LATER.1)).await;
        world.quiet().await;
        world.crash().await;
        world.put_back("reservation", &backup).await;
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
