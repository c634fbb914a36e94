//! Failover: the database of a context crashes, and a standby without its last commits is promoted.

use std::{env, future::pending, process::ExitCode, time::Duration};

use berth::reservation::v1::ReservationStatus;
use chassis::{Clock, base::faults::Faults, runtime::stores::open_store_on};
use futures::future::join;
use rand::{Rng, SeedableRng, rngs::StdRng};
use servers::{Postgres, PostgresOptions};
use stories::{
    mode::Mode,
    world::{Backup, World, eventually, nights},
};
use tokio::{task::block_in_place, time::timeout};
use tonic::Code;

use crate::regress::{LATER, Scene, reservation, why};

// Only PostgreSQL has a standby.
stories::stories! { mesh: [
    commits_lost_in_a_failover_are_recovered_from_the_broker,
    a_failover_with_synchronous_replication_loses_nothing,
    failovers_in_every_order_lose_and_resell_nothing,
] }

/// Seed of the orders of failovers.
const SEED: u64 = 20_261_201;
/// How many failovers are tried, unless `BERTH_TEST_FAILOVERS` says otherwise.
const FAILOVERS: u64 = 2;

/// A server and its standby.
struct Cluster {
    primary: Postgres,
    standby: Postgres,
}

/// The host and port of a server.
fn host_and_port(server: &Postgres) -> String {
    let url = server.url("");
    let (_, server) = url.split_once('@').unwrap();
    server.trim_end_matches('/').to_owned()
}

/// A world in which `reservation` has a cluster of its own.
async fn world() -> (World, Cluster) {
    let mut world = World::start(Mode::Mesh).await;
    world.crash_of("reservation").await;
    let primary = block_in_place(|| Postgres::start(PostgresOptions::default()).unwrap());
    world
        .database("reservation")
        .turn_to(&host_and_port(&primary));
    let config = world.config("reservation");
    let (context, clock) = (reservation(), Clock::Manual(world.clock.clone()));
    let (database, dir) = (&config.database, &config.data_dir);
    let store = open_store_on(&context, database, dir, clock, Faults::default()).await;
    store.unwrap().migrate().await.unwrap();
    let standby = block_in_place(|| primary.standby().unwrap());
    world.restart_of("reservation").await;
    (world, Cluster { primary, standby })
}

/// Kills the primary and promotes the standby while everything else runs.
fn fail_over(world: &World, cluster: &mut Cluster) {
    block_in_place(|| {
        cluster.primary.kill().unwrap();
        cluster.standby.promote().unwrap();
    });
    world
        .database("reservation")
        .turn_to(&host_and_port(&cluster.standby));
}

async fn scene(losing: bool) -> (Scene, Cluster) {
    let (scene, mut cluster) = before_failover(losing).await;
    fail_over(&scene.world, &mut cluster);
    (scene, cluster)
}

/// Books, cuts the standby off if commits are to be lost, and books again.
async fn before_failover(losing: bool) -> (Scene, Cluster) {
    let (world, cluster) = world().await;
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
    let position = block_in_place(|| {
        primary
            .sql("postgres", "SELECT pg_current_wal_lsn()")
            .unwrap()
    });
    let has = format!("SELECT pg_last_wal_replay_lsn() >= '{}'", position.trim());
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

/// Scenario: S24.
async fn commits_lost_in_a_failover_are_recovered_from_the_broker(_: Mode) {
    let (mut scene, _cluster) = scene(true).await;
    scene.until_fenced().await;
    let refused = scene.book_later().await.unwrap_err();
    let regressed = (Code::Unavailable, "LOG_REGRESSED".to_owned());
    assert_eq!(why(&refused), regressed);
    let report = scene.inspect().await;
    assert!(report.is_whole(), "{report}");
    assert_eq!(report.losses.len(), 2, "{report}");
    assert_eq!(
        scene.recover(&scene.source_flags()).await,
        ExitCode::SUCCESS
    );
    nothing_is_lost(scene).await;
}

/// Scenario: S24.
async fn a_failover_with_synchronous_replication_loses_nothing(_: Mode) {
    let (scene, _cluster) = scene(false).await;
    nothing_is_lost(scene).await;
}

/// What else happens around a failover.
#[derive(Clone, Copy, Debug)]
struct Order {
    /// How long after the failover the broker is back; none if it was never away.
    broker_is_back: Option<Duration>,
    /// Whether the process is started again and remembers nothing.
    is_restarted: bool,
    /// Whether guests book at once, so that new events take the numbers of lost ones if they can.
    is_busy: bool,
}

impl Order {
    fn draw(random: &mut StdRng) -> Self {
        let delay = [0, 300, 1_500, 8_000][random.random_range(0..4)];
        Self {
            broker_is_back: (random.random_bool(0.75)).then_some(Duration::from_millis(delay)),
            is_restarted: random.random(),
            is_busy: random.random_bool(0.75),
        }
    }
}

/// Scenario: S24.
async fn failovers_in_every_order_lose_and_resell_nothing(_: Mode) {
    let failovers = env::var("BERTH_TEST_FAILOVERS").ok();
    let failovers = failovers.map_or(FAILOVERS, |number| number.parse().unwrap());
    let mut random = StdRng::seed_from_u64(SEED);
    for number in 0..failovers {
        let order = Order::draw(&mut random);
        println!("failover {number} of seed {SEED}: {order:?}");
        fail_over_in(order).await;
    }
}

async fn fail_over_in(order: Order) {
    let (mut scene, mut cluster) = before_failover(true).await;
    if order.broker_is_back.is_some() {
        scene.world.broker().shut();
    }
    if order.is_restarted {
        scene.world.crash_of("reservation").await;
    }
    fail_over(&scene.world, &mut cluster);
    let sold = around_failover(&mut scene, order).await;
    scene.until_fenced().await;
    let refused = scene.book_later().await.unwrap_err();
    assert_eq!(
        why(&refused),
        (Code::Unavailable, "LOG_REGRESSED".to_owned())
    );
    let report = scene.inspect().await;
    assert!(report.is_whole(), "{report}");
    println!("{report}{} sold meanwhile", sold.len());
    assert_eq!(
        scene.recover(&scene.source_flags()).await,
        ExitCode::SUCCESS
    );
    for id in sold {
        let kept = async || scene.guest.reservation(&id).await.is_ok();
        eventually(kept).await;
    }
    nothing_is_lost(scene).await;
}

/// What happens between the failover and its detection. Returns the reservations that were made.
async fn around_failover(scene: &mut Scene, order: Order) -> Vec<String> {
    let (world, guest, room) = (&mut scene.world, &scene.guest, &scene.room);
    let open = world.broker().opener();
    let back = async {
        if let Some(delay) = order.broker_is_back {
            // The delay is part of the order, and nothing is waited for.
            let _ = timeout(delay, pending::<()>()).await;
            open();
        }
    };
    let work = async {
        if order.is_restarted {
            world.restart_of("reservation").await;
        }
        let mut sold = Vec::new();
        for day in 1..=if order.is_busy { 9 } else { 0 } {
            let night = |day| format!("2027-05-{day:02}");
            let period = nights(&night(day), &night(day + 1));
            let other = guest.book(guest.wants(world.id(), room, period)).await;
            sold.extend(other.ok().map(|booked| booked.reservation_id));
            let period = nights(LATER.0, LATER.1);
            let again = guest.book(guest.wants(world.id(), room, period)).await;
            assert!(again.is_err(), "sold twice: {again:?}");
        }
        sold
    };
    join(back, work).await.1
}

async fn nothing_is_lost(mut scene: Scene) {
    // Broken connections are replaced by the pool.
    let answers = async || scene.guest.reservation(&scene.before).await.is_ok();
    eventually(answers).await;
    scene.resume().await;
    for id in [&scene.before, &scene.after] {
        let kept = scene.guest.reservation(id).await.unwrap();
        assert_eq!(kept.status(), ReservationStatus::Confirmed);
    }
    let again = scene.book_later().await.unwrap_err();
    assert_eq!(why(&again), (Code::FailedPrecondition, "SOLD_OUT".into()));
    scene.world.check().await;
}
