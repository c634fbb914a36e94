//! `EventLogService`: event logs read by other processes, and dead letters redriven by admins.

use std::{net::SocketAddr, path::Path, time::Duration};

use berth::eventlog::v1::{
    ListDeadLettersRequest, ReadRequest, ReadResponse, RedriveDeadLettersRequest,
    event_log_service_client::EventLogServiceClient,
    event_log_service_server::EventLogServiceServer,
};
use chassis::{
    Clock, Context, Platform, Store,
    base::faults::Faults,
    client::{
        addresses::Addresses,
        peers::{Peer, Peers},
    },
    domain::{event::Cause, position::Position},
    messaging::log_service::EventLogs,
    runtime::options::Options,
    security::service_identity::{ServiceKey, admin_port_of},
};
use chassis_testing::quiet;
use tokio::time::timeout;
use tonic::Code;

use crate::{
    broker::Prefix,
    consumer::Pair,
    counter::{Command, Seat, SeatId},
    platform::{foreign_key, identify, service_key},
    stage::{channel, why},
    store::mark,
    tally::{Tally, policies},
};

const MOMENT: Duration = Duration::from_secs(20);

fn seats() -> Context {
    Context::named("room").deadlines::<Seat>()
}

fn counts() -> Context {
    Context::named("message").policies(policies(|_| false))
}

async fn take(store: &Store, seat: u128) {
    let command = Command::Take {
        hall: "a".into(),
        capacity: 100,
    };
    store
        .execute::<Seat>(SeatId::from_u128(seat), command, &Cause::by("somebody"))
        .await
        .unwrap();
}

/// A context in a process of its own.
async fn process(context: Context, dir: &Path, change: impl FnOnce(&mut Options)) -> Platform {
    let mut options = Options::in_dir(dir);
    context.name.clone_into(&mut options.process);
    identify(&mut options, dir);
    change(&mut options);
    Platform::start(vec![context], options).await.unwrap()
}

/// A client of the event log of a process, with a service key.
fn client_with(key: ServiceKey, process: &str, admin: SocketAddr) -> EventLogServiceClient<Peer> {
    let log = admin_port_of(process);
    let peers = Peers::with(Clock::System, Faults::default(), Some(key));
    peers.add_remote(&log, &format!("http://{admin}")).unwrap();
    EventLogServiceClient::new(peers.called_by("message").to(&log))
}

fn read(context: &str, after: i64, limit: i32) -> ReadRequest {
    ReadRequest {
        context: context.into(),
        after,
        limit,
        ..ReadRequest::default()
    }
}

#[tokio::test]
async fn a_log_is_read_by_services_only() {
    let dir = tempfile::tempdir().unwrap();
    let platform = process(seats(), dir.path(), |_| {}).await;
    for seat in 1..=3 {
        take(&platform.contexts()[0].deps.store, seat).await;
    }
    let admin = platform.admin();
    let anybody = EventLogServiceClient::new(channel(admin))
        .read(read("room", 0, 0))
        .await;
    let closed = (
        Code::Unauthenticated,
        "SERVICE_IDENTITY_REQUIRED".to_owned(),
    );
    assert_eq!(why(anybody), closed);
    // Not with a key that is not that of the service, and not by an operator who may inspect the process.
    for key in [foreign_key("message"), service_key("doctor")] {
        let mut client = client_with(key, "room", admin);
        assert_eq!(why(client.read(read("room", 0, 0)).await), closed);
    }

    let mut log = client_with(service_key("message"), "room", admin);
    let all = log.read(read("room", 0, 0)).await.unwrap().into_inner();
    let numbers: Vec<i64> = all.events.iter().map(|event| event.seq).collect();
    assert_eq!((numbers, end(&all)), (vec![1, 2, 3], 3));
    let first = &all.events[0];
    assert_eq!(first.r#type, "berth.room.v1.RoomReserved");
    assert_eq!(
        (first.source.as_str(), first.actor.as_str()),
        ("room", "somebody")
    );
    let one = log.read(read("room", 1, 1)).await.unwrap().into_inner();
    assert_eq!((one.events.len(), one.events[0].seq, end(&one)), (1, 2, 3));
    let none = log
        .read(read("room", i64::MAX, 1))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((none.events.len(), end(&none)), (0, 3));

    assert_eq!(
        why(log.read(read("car", 0, 0)).await),
        (Code::NotFound, "NOT_FOUND".into())
    );
    for (after, limit) in [(-1, 0), (0, -1), (0, 1001)] {
        assert_eq!(
            log.read(read("room", after, limit))
                .await
                .unwrap_err()
                .code(),
            Code::InvalidArgument
        );
    }
    platform.stop().await.unwrap();
}

fn end(response: &ReadResponse) -> i64 {
    response.head.as_ref().unwrap().seq
}

#[tokio::test]
async fn a_cursor_beyond_the_end_fences_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let platform = process(seats(), dir.path(), |_| {}).await;
    let store = &platform.contexts()[0].deps.store;
    take(store, 1).await;
    let mut log = client_with(service_key("message"), "room", platform.admin());
    let at = |cursor: Position, consumer: &str| ReadRequest {
        cursor: Some(cursor.into()),
        consumer: consumer.into(),
        ..read("room", 0, 0)
    };
    let end_of_log = store.high_water_mark().await.unwrap();
    for (position, consumer) in [(mark(-1), "message"), (end_of_log, "")] {
        let refused = log.read(at(position, consumer)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    log.read(at(end_of_log, "message")).await.unwrap();
    assert_eq!(store.fenced(), None);
    // The log can still be read.
    let answer = log.read(at(mark(2), "message")).await.unwrap().into_inner();
    assert_eq!((answer.events.len(), end(&answer)), (1, 1));
    let fence = store.fenced().unwrap();
    assert_eq!(
        (fence.head, fence.seen, fence.witness.as_str()),
        (1, 2, "message")
    );
    platform.stop().await.unwrap();
}

#[tokio::test]
async fn only_a_consumer_of_the_caller_fences_a_log_and_not_from_out_of_reach() {
    let dir = tempfile::tempdir().unwrap();
    let platform = process(seats(), dir.path(), |_| {}).await;
    let store = &platform.contexts()[0].deps.store;
    take(store, 1).await;
    let admin = platform.admin();
    let report = async |as_: &str, consumer: &str, seen| {
        let request = ReadRequest {
            cursor: Some(mark(seen).into()),
            consumer: consumer.into(),
            ..read("room", 0, 0)
        };
        let mut log = client_with(service_key(as_), "room", admin);
        let read = log.read(request).await;
        read.map(|_| ()).map_err(|status| status.code())
    };
    let refused = Err(Code::InvalidArgument);
    for consumer in ["message", "message.views", "", "reservation2", "reserv"] {
        assert_eq!(
            report("reservation", consumer, 2).await,
            refused,
            "{consumer}"
        );
    }
    for seen in [i64::MAX, 1_000_000_002] {
        assert_eq!(report("message", "message.views", seen).await, refused);
    }
    assert_eq!(store.fenced(), None);
    report("message", "message.views", 1_000_000_001)
        .await
        .unwrap();
    assert_eq!(store.fenced().unwrap().witness, "message.views");
    platform.stop().await.unwrap();
}

#[tokio::test]
async fn dead_letters_are_for_admins() {
    let dir = tempfile::tempdir().unwrap();
    let platform = process(seats(), dir.path(), |_| {}).await;
    let mut log = client_with(service_key("message"), "room", platform.admin());
    let list = ListDeadLettersRequest {
        context: "room".into(),
        ..Default::default()
    };
    assert_eq!(
        log.list_dead_letters(list).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    let redrive = RedriveDeadLettersRequest {
        context: "room".into(),
        ..Default::default()
    };
    assert_eq!(
        log.redrive_dead_letters(redrive).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    platform.stop().await.unwrap();
}

#[tokio::test]
async fn dead_letters_are_listed_by_page_and_redriven() {
    let pair = Pair::on(crate::consumer::in_process, policies(|_| true)).await;
    for seat in [1, 2, 3, 5, 6] {
        pair.take(seat).await;
    }
    pair.settle().await;
    let logs = EventLogs::new();
    let mut log = EventLogServiceClient::new(EventLogServiceServer::new(logs.clone()));
    let list = |size, token: &str| ListDeadLettersRequest {
        context: "message".into(),
        page_size: size,
        page_token: token.into(),
    };
    assert_eq!(
        why(log.list_dead_letters(list(0, "")).await),
        (Code::Unavailable, "STARTING".into())
    );
    logs.open([pair.consumer.deps.store.clone()]);

    let mut found = Vec::new();
    let mut token = String::new();
    let mut pages = 0;
    loop {
        let page = log
            .list_dead_letters(list(2, &token))
            .await
            .unwrap()
            .into_inner();
        pages += 1;
        found.extend(page.dead_letters);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let seats: Vec<i64> = found
        .iter()
        .map(|letter| letter.event.as_ref().unwrap().seq)
        .collect();
    assert_eq!((seats, pages), (vec![1, 3, 4], 2));
    let first = &found[0];
    assert_eq!(
        (
            first.consumer.as_str(),
            first.reason.as_str(),
            first.attempts
        ),
        ("message", "malformed event: odd", 1)
    );
    assert!(!first.parked && first.next_attempt_time.is_some());
    for (size, token) in [(-1, ""), (1001, ""), (0, "x"), (0, "WyJhIiwiYiIsImMiXQ")] {
        assert_eq!(
            log.list_dead_letters(list(size, token))
                .await
                .unwrap_err()
                .code(),
            Code::InvalidArgument,
            "{size} {token}"
        );
    }

    let redrive = |subject: &str| RedriveDeadLettersRequest {
        context: "message".into(),
        subject: subject.into(),
    };
    let one = log
        .redrive_dead_letters(redrive(&SeatId::from_u128(1).to_string()))
        .await
        .unwrap();
    assert_eq!(one.get_ref().redriven, 1);
    let all = log.redrive_dead_letters(redrive("")).await.unwrap();
    assert_eq!(all.get_ref().redriven, 3);
    let nobody = log
        .redrive_dead_letters(redrive(&SeatId::from_u128(2).to_string()))
        .await;
    assert_eq!(why(nobody), (Code::NotFound, "NO_DEAD_LETTERS".into()));
}

#[tokio::test]
async fn a_context_consumes_the_log_of_another_process_and_catches_up_after_a_restart() {
    let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let broker = Prefix::new();
    let producer = process(seats(), there.path(), |options| {
        options.config.nats = broker.settings();
    })
    .await;
    let admin = producer.admin();
    take(&producer.contexts()[0].deps.store, 1).await;
    let consumer = process(counts(), here.path(), |options| {
        options.config.nats = broker.settings();
        options.logs = Addresses([("room".to_owned(), format!("http://{admin}"))].into());
    })
    .await;
    let received = async |seat: u128| {
        let store = &consumer.contexts()[0].deps.store;
        let mut commits = store.commits();
        let wait = async {
            loop {
                if store
                    .load::<Tally>(SeatId::from_u128(seat))
                    .await
                    .unwrap()
                    .is_some()
                {
                    return;
                }
                commits.changed().await.unwrap();
            }
        };
        timeout(MOMENT, wait).await.unwrap();
    };
    received(1).await;
    timeout(MOMENT, quiet(consumer.contexts()))
        .await
        .unwrap()
        .unwrap();

    producer.stop().await.unwrap();
    let producer = process(seats(), there.path(), |options| {
        options.config.nats = broker.settings();
        options.config.admin_listen = admin;
    })
    .await;
    take(&producer.contexts()[0].deps.store, 2).await;
    received(2).await;
    consumer.stop().await.unwrap();
    producer.stop().await.unwrap();
}
