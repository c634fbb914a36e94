//! Dead letters of several producers at one view, redriven at the same time.

use std::time::Duration;

use berth::{
    eventlog::v1::{RedriveDeadLettersRequest, event_log_service_client::EventLogServiceClient},
    reservation::v1::ReservationStatus,
    view::v1::RebuildRequest,
};
use mesh::{Mesh, MeshOptions, process::channel};
use stories::{
    people::{Line, PASSWORD, Person},
    world::{ADMIN, nights},
};
use tokio::time::interval;
use tonic::Request;

use crate::{
    TURN,
    fake::MOMENT,
    stage::{env, id, people_on, register},
};

/// How many reservations are made while the view fails.
const BOOKINGS: usize = 15;

/// How many dead letters the view has of a producer.
fn letters(mesh: &Mesh, producer: &str) -> usize {
    let sql = format!("SELECT COUNT(*) FROM view.dead_letter WHERE producer = '{producer}'");
    let count = mesh.postgres.as_ref().unwrap().sql("postgres", &sql);
    count.unwrap().trim().parse().unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let mut polls = interval(Duration::from_millis(100));
    let wait = async {
        while !holds() {
            polls.tick().await;
        }
    };
    let waited = tokio::time::timeout(MOMENT, wait).await;
    assert!(waited.is_ok(), "not so after {MOMENT:?}: {what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_redriven_at_once_lose_no_status_and_no_sum() {
    let _turn = TURN.lock().await;
    let variables = [
        ("BERTH_ADMIN_EMAIL", ADMIN),
        ("BERTH_ADMIN_PASSWORD", PASSWORD),
        ("MAX_RESERVATION_PER_PERSON", "1000"),
    ];
    let options = MeshOptions {
        env: env(variables),
        ..MeshOptions::default()
    };
    let mut mesh = Mesh::start(options).await.unwrap();
    let line = Line::to(mesh.channel().unwrap());
    let (host, guest) = people_on(&line).await;
    let room = register(&host, 1).await.unwrap();

    let sql = |sql: &str| {
        mesh.postgres
            .as_ref()
            .unwrap()
            .sql("postgres", sql)
            .unwrap()
    };
    sql("ALTER TABLE view.room_view RENAME TO hidden");
    for day in 1..=BOOKINGS {
        let (begin, end) = (
            format!("2027-04-{day:02}"),
            format!("2027-04-{:02}", day + 1),
        );
        let wanted = guest.wants(id(), &room, nights(&begin, &end));
        let booked = guest.book(wanted).await.unwrap();
        assert_eq!(booked.status(), ReservationStatus::Confirmed);
    }
    // A requested and a confirmed reservation, and a payment, for each.
    until("all have failed", || {
        letters(&mesh, "reservation") >= 2 * BOOKINGS && letters(&mesh, "payment") >= BOOKINGS
    })
    .await;
    sql("ALTER TABLE view.hidden RENAME TO room_view");

    let (admin, _) = Person::sign_in(&line, ADMIN.into(), PASSWORD)
        .await
        .unwrap();
    let mut request = Request::new(RedriveDeadLettersRequest {
        context: "view".into(),
        subject: String::new(),
    });
    let token = format!("Bearer {}", admin.token()).parse().unwrap();
    request.metadata_mut().insert("authorization", token);
    let admin_port = channel(mesh.replica("view-0").unwrap().admin()).unwrap();
    let mut log = EventLogServiceClient::new(admin_port);
    log.redrive_dead_letters(request).await.unwrap();
    until("all are applied", || {
        let producers = mesh::contexts().into_iter();
        producers
            .map(|producer| letters(&mesh, producer))
            .sum::<usize>()
            == 0
    })
    .await;
    let rebuilt = admin.views().rebuild(RebuildRequest {}).await.unwrap();
    assert!(
        rebuilt.into_inner().equal,
        "the view differs from its rebuild"
    );
    mesh.stop().await.unwrap();
}
