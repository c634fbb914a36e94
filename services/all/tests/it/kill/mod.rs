//! Acknowledged requests survive SIGKILL.
//!
//! Guests book, pay and cancel, and a host approves and rejects, while the process is killed at random moments, also during
//! its start. Requests without a response are repeated with the same ids. At the end every response must agree with the
//! recorded state, and every invariant must hold. The seed is printed; `BERTH_KILL_SEED` sets it.

mod answers;
mod load;

use std::{
    env,
    path::Path,
    process::Stdio,
    sync::{Arc, atomic::Ordering, mpsc},
    time::Duration,
};

use berth::{
    common::v1::Role,
    offer::v1::{Approval, Unit},
    room::v1::{RegisterRoomRequest, Room},
};
use chassis::Clock;
use futures::future::join_all;
use rand::{Rng, SeedableRng, rngs::StdRng};
use stories::{
    people::{Line, PASSWORD, Person},
    world::{ADMIN, World, eur},
};
use tokio::{sync::mpsc as tasks, time::timeout};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use self::{
    answers::{Answer, Answers, check_answers, count},
    load::{Guest, Shared, id, run_host},
};
use crate::berth::{Berth, command};

/// The number of kills of a running process.
const ROUNDS: usize = 50;
/// One of this number of rounds also kills a starting process.
const KILLED_START_EVERY: usize = 7;
/// The timeout of the test.
const TIMEOUT: Duration = Duration::from_mins(5);
const GUESTS: usize = 4;
const ROOMS: usize = 8;
const FLAGS: [&str; 10] = [
    "--data-dir",
    ".",
    "--admin-email",
    ADMIN,
    "--admin-password",
    PASSWORD,
    "--max-reservation-per-person",
    "1000",
    "--payment-provider-timeout-ms",
    "100",
];

fn connect(berth: &Berth) -> Channel {
    let address = format!("http://{}", berth.public);
    let endpoint = Endpoint::from_shared(address).unwrap();
    endpoint.tcp_nodelay(true).connect_lazy()
}

/// Kills the process repeatedly at random moments, and leaves it running.
fn kill_repeatedly(dir: &Path, line: &Line, first: Berth, mut random: StdRng) -> Berth {
    let (_never, never) = mpsc::channel::<()>();
    let wait = |millis: u64| {
        // Nothing is ever sent, so this waits for the timeout.
        let _ = never.recv_timeout(Duration::from_millis(millis));
    };
    let mut berth = first;
    for round in 0..ROUNDS {
        wait(random.random_range(50..700));
        berth.signal("KILL");
        berth.ends();
        if round % KILLED_START_EVERY == 0 {
            let mut command =
                command(&["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
            command.args(FLAGS).current_dir(dir);
            let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut start = quiet.spawn().unwrap();
            wait(random.random_range(0..250));
            start.kill().unwrap();
            start.wait().unwrap();
        }
        berth = Berth::start(dir, &FLAGS);
        line.turn_to(connect(&berth));
    }
    berth
}

async fn is_serving(line: &Line) -> bool {
    let mut health = HealthClient::new(line.clone());
    let asked = health.check(HealthCheckRequest::default()).await;
    asked.is_ok_and(|response| response.into_inner().status() == ServingStatus::Serving)
}

async fn register(host: &Person, n: u64) -> Room {
    let mut room = Room {
        room_id: id(n),
        host_id: host.id.clone(),
        title: "A room".into(),
        unit: Unit::Night.into(),
        max_persons: 2,
        units: 40,
        price: eur(80),
        time_zone: "UTC".into(),
        ..Room::default()
    };
    if n.is_multiple_of(4) {
        room.set_approval(Approval::Host);
    }
    let request = RegisterRoomRequest { room: Some(room) };
    let registered = host.rooms().register_room(request).await.unwrap();
    registered.into_inner().room.unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "it is no setting of the platform"
)]
fn seed() -> u64 {
    let given = env::var("BERTH_KILL_SEED").ok();
    let given = given.map(|seed| seed.parse().unwrap());
    given.unwrap_or_else(|| u64::try_from(Clock::System.now().as_microsecond()).unwrap())
}

/// Scenario: S15.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_requests_survive_fifty_kills() {
    let seed = seed();
    println!("seed {seed}");
    let random = |n: u64| StdRng::seed_from_u64(seed.wrapping_add(n));
    let dir = tempfile::tempdir().unwrap();
    let first = Berth::start(dir.path(), &FLAGS);
    let line = Line::to(connect(&first));
    assert!(is_serving(&line).await);

    let host = Person::join(&line, id(1), &[Role::Host]).await.unwrap();
    let mut rooms = Vec::new();
    for n in 0..ROOMS as u64 {
        rooms.push(register(&host, 100 + n).await);
    }
    let shared = Shared {
        rooms: Arc::new(rooms),
        finished: Arc::default(),
        answered: Arc::default(),
        repeated: Arc::default(),
    };
    let (sender, pending) = tasks::unbounded_channel();
    let mut guests = Vec::new();
    for n in 1..=GUESTS as u64 {
        let person = Person::join(&line, id(n + 1), &[Role::Customer]);
        let guest = Guest {
            shared: shared.clone(),
            person: person.await.unwrap(),
            random: random(n),
            ids: n * 1_000_000,
            answers: Answers::new(),
            pending: sender.clone(),
        };
        guests.push(guest.run());
    }
    drop(sender);
    let all_run = async {
        tokio::join!(
            join_all(guests),
            run_host(&shared, host, pending, random(100))
        )
    };

    let (path, to, seeded) = (dir.path().to_owned(), line.clone(), random(0));
    let finished = shared.finished.clone();
    let killing = tokio::task::spawn_blocking(move || {
        let berth = kill_repeatedly(&path, &to, first, seeded);
        finished.store(true, Ordering::SeqCst);
        berth
    });
    let (mut all, decided) = timeout(TIMEOUT, all_run).await.unwrap();
    all.push(decided);
    let mut answers = Answers::new();
    for (id, received) in all.into_iter().flatten() {
        answers.entry(id).or_default().extend(received);
    }
    let mut berth = killing.await.unwrap();
    assert!(is_serving(&line).await);
    berth.signal("TERM");
    assert_eq!(berth.ends().code(), Some(0));

    let (answered, repeated) = (&shared.answered, &shared.repeated);
    println!(
        "{ROUNDS} kills: {} calls answered, {} repeated, {} bookings, {} cancelled",
        answered.load(Ordering::SeqCst),
        repeated.load(Ordering::SeqCst),
        count(&answers, |answer| matches!(answer, Answer::Is(_))),
        count(&answers, |answer| matches!(answer, Answer::Cancelled(_))),
    );
    assert!(answers.len() > ROUNDS, "there was hardly any load");
    check_answers(World::found(dir, Clock::System.now()).await, &answers).await;
}
