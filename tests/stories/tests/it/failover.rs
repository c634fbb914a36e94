//! S24: the database of a context dies, and a standby that lacks its last commits takes its place.

use std::process::ExitCode;

use berth::reservation::v1::ReservationStatus;
use chassis::{Clock, base::faults::Faults, runtime::stores::open_store_on};
use servers::{Postgres, PostgresOptions};
use stories::{
    mode::Mode,
    world::{Backup, World, eventually, nights},
};
use tokio::task::block_in_place;
use tonic::Code;

use crate::regress::{LATER, Scene, reservation, why};

// Only what runs on PostgreSQL has a standby.
stories::told! { mesh: [
    s24_what_a_failover_has_lost_is_had_again_from_the_broker,
    s24_with_synchronous_replication_a_failover_loses_nothing,
] }

/// A server and one that follows it.
struct Cluster {
    primary: Postgres,
    standby: Postgres,
}

/// Where a server takes connections.
fn place(server: &Postgres) -> String {
    let url = server.url("");
    let (_, place) = url.split_once('@').unwrap();
    place.trim_end_matches('/').to_owned()
}

/// A world in which reservations are on a cluster of their own.
async fn world() -> (World, Cluster) {
    let mut world = World::start(Mode::Mesh).await;
    world.crash_of("reservation").await;
    let primary = block_in_place(|| Postgres::start(PostgresOptions::default()).unwrap());
    world.database("reservation").turn_to(&place(&primary));
    let config = world.config("reservation");
    let (context, clock) = (reservation(), Clock::Manual(world.clock.clone()));
    let (database, dir) = (&config.database, &config.data_dir);
    let store = open_store_on(&context, database, dir, clock, Faults::default()).await;
    store.unwrap().migrate().await.unwrap();
    let standby = block_in_place(|| primary.standby().unwrap());
    world.restart_of("reservation").await;
    (world, Cluster { primary, standby })
}

/// The primary is killed, and the standby takes its place while everything else runs.
fn fail_over(world: &World, cluster: &mut Cluster) {
    block_in_place(|| {
        cluster.primary.kill().unwrap();
        cluster.standby.promote().unwrap();
    });
    world
        .database("reservation")
        .turn_to(&place(&cluster.standby));
}

async fn scene(losing: bool) -> (Scene, Cluster) {
    let (world, mut cluster) = world().await;
    let (host, guest) = (world.host().await, world.customer().await);
    let room = world.room(&host, |_| {}).await;
    let book = async |nights| {
        let wanted = guest.wants(world.id(), &room, nights);
        let booked = guest.book(wanted).await.unwrap();
        assert_eq!(booked.status(), ReservationStatus::Confirmed);
        booked.reservation_id
    };
    let before = book(nights("2027-03-10", "2027-03-12")).await;
    world.quiet().await;
    let Cluster { primary, standby } = &cluster;
    let ahead = block_in_place(|| {
        primary
            .sql("postgres", "SELECT pg_current_wal_lsn()")
            .unwrap()
    });
    let has = format!("SELECT pg_last_wal_replay_lsn() >= '{}'", ahead.trim());
    eventually(async || block_in_place(|| standby.sql("postgres", &has).unwrap()).trim() == "t")
        .await;
    block_in_place(|| {
        if losing {
            standby.cut_off().unwrap();
        } else {
            let wait = "ALTER SYSTEM SET synchronous_standby_names = 'standby'";
            primary.sql("postgres", wait).unwrap();
            primary.sql("postgres", "SELECT pg_reload_conf()").unwrap();
        }
    });
    if !losing {
        let state = "SELECT sync_state FROM pg_stat_replication";
        eventually(async || {
            block_in_place(|| primary.sql("postgres", state).unwrap()).trim() == "sync"
        })
        .await;
    }
    let after = book(nights(LATER.0, LATER.1)).await;
    world.quiet().await;
    fail_over(&world, &mut cluster);
    let scene = Scene {
        world,
        guest,
        room,
        before,
        after,
        backup: Backup::Tables,
    };
    (scene, cluster)
}

async fn s24_what_a_failover_has_lost_is_had_again_from_the_broker(_: Mode) {
    let (mut scene, _cluster) = scene(true).await;
    scene.stand_still().await;
    let refused = scene.book_later().await.unwrap_err();
    let regressed = (Code::Unavailable, "LOG_REGRESSED".to_owned());
    assert_eq!(why(&refused), regressed);
    let report = scene.look().await;
    assert!(report.is_whole(), "{report}");
    assert_eq!(report.losses.len(), 2, "{report}");
    assert_eq!(scene.recover(&scene.there()).await, ExitCode::SUCCESS);
    nothing_is_lost(scene).await;
}

async fn s24_with_synchronous_replication_a_failover_loses_nothing(_: Mode) {
    let (scene, _cluster) = scene(false).await;
    nothing_is_lost(scene).await;
}

async fn nothing_is_lost(mut scene: Scene) {
    // Connections that broke are replaced by themselves.
    let answers = async || scene.guest.reservation(&scene.before).await.is_ok();
    eventually(answers).await;
    scene.go_on().await;
    for id in [&scene.before, &scene.after] {
        let kept = scene.guest.reservation(id).await.unwrap();
        assert_eq!(kept.status(), ReservationStatus::Confirmed);
    }
    let again = scene.book_later().await.unwrap_err();
    assert_eq!(why(&again), (Code::FailedPrecondition, "SOLD_OUT".into()));
    scene.world.check().await;
}
