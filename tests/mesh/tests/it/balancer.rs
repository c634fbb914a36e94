//! Does the balancer take care that a replica that goes is not noticed, and send nothing twice?

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use mesh::{
    balancer::{Balancer, Counts},
    process::channel,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::body::Body;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::fake::{Fake, MOMENT, Said, ask, balanced, balancer, call, listener};

const NAME: &str = "/berth.room.v1.RoomService/Name";
const SLOW: &str = "/berth.room.v1.RoomService/Slow";
const HALF: &str = "/berth.room.v1.RoomService/Half";
const ECHO: &str = "/berth.room.v1.RoomService/Echo";
const ROOM: &[&str] = &["room"];
/// What it says itself if there is no answer.
const UNAVAILABLE: &str = "14";

fn said_by(name: &str) -> Said {
    Said {
        code: "0".into(),
        by: name.into(),
        text: name.into(),
    }
}

fn counts(balancer: &Balancer) -> Counts {
    balancer.counts("room")
}

#[tokio::test]
async fn replicas_take_turns() {
    let (ada, bob) = (Fake::start("ada").await, Fake::start("bob").await);
    let balancer = balanced(ROOM, &[&ada, &bob]).await;
    for _ in 0..10 {
        let said = ask(balancer.public(), NAME).await;
        assert!(said == said_by("ada") || said == said_by("bob"), "{said:?}");
    }
    assert_eq!((ada.observed.requests(), bob.observed.requests()), (5, 5));
    let expected = Counts {
        requests: 10,
        ..Counts::default()
    };
    assert_eq!(counts(&balancer), expected);
}

#[tokio::test]
async fn who_goes_finishes_what_is_in_hand_and_gets_nothing_more() {
    let (ada, bob) = (Fake::start("ada").await, Fake::start("bob").await);
    let balancer = balanced(ROOM, &[&ada]).await;
    let public = balancer.public();
    let slow = tokio::spawn(async move { ask(public, SLOW).await });
    ada.observed.has_received(1).await;
    balancer.add("room", bob.public, bob.admin).unwrap();
    balancer.until_ready("room", 2, MOMENT).await.unwrap();

    ada.health.report(vec!["it goes".to_owned()]).await;
    balancer.until_ready("room", 1, MOMENT).await.unwrap();
    for _ in 0..10 {
        assert_eq!(ask(public, NAME).await, said_by("bob"));
    }
    assert_eq!(ada.observed.requests(), 1);
    ada.goes_on();
    assert_eq!(slow.await.unwrap(), said_by("ada"));

    ada.health.set_ready().await;
    balancer.until_ready("room", 2, MOMENT).await.unwrap();
    ask(public, NAME).await;
    ask(public, NAME).await;
    assert_eq!(ada.observed.requests(), 2);
}

#[tokio::test]
async fn what_was_never_sent_goes_to_another() {
    let (ada, bob) = (Fake::start("ada").await, Fake::start("bob").await);
    let balancer = balanced(ROOM, &[&bob]).await;
    // Ada says that she is ready, and does not listen.
    let closed = listener().await.local_addr().unwrap();
    balancer.add("room", closed, ada.admin).unwrap();
    balancer.until_ready("room", 2, MOMENT).await.unwrap();
    for _ in 0..10 {
        assert_eq!(ask(balancer.public(), NAME).await, said_by("bob"));
    }
    let expected = Counts {
        requests: 10,
        moved: 5,
        ..Counts::default()
    };
    assert_eq!(counts(&balancer), expected);
}

#[tokio::test]
async fn what_was_sent_is_not_sent_again() {
    let (ada, bob) = (Fake::start("ada").await, Fake::start("bob").await);
    let balancer = balanced(ROOM, &[&ada, &bob]).await;
    let public = balancer.public();
    let slow = tokio::spawn(async move { ask(public, SLOW).await });
    ada.observed.has_received(1).await;
    drop(ada);
    let said = slow.await.unwrap();
    assert_eq!((said.code.as_str(), said.by.as_str()), (UNAVAILABLE, ""));
    assert_eq!(bob.observed.requests(), 0);
    // Her end is noticed, and Bob goes on alone.
    balancer.until_ready("room", 1, MOMENT).await.unwrap();
    assert_eq!(ask(public, NAME).await, said_by("bob"));
    drop(bob);
    balancer.until_ready("room", 0, MOMENT).await.unwrap();
    assert_eq!(ask(public, NAME).await.code, UNAVAILABLE);
    let expected = Counts {
        requests: 3,
        moved: 0,
        absent: 1,
        broken: 1,
    };
    assert_eq!(counts(&balancer), expected);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_as_such() {
    let ada = Fake::start("ada").await;
    let balancer = balanced(ROOM, &[&ada]).await;
    let answer = call(channel(balancer.public()).unwrap(), HALF, Body::empty()).await;
    let mut body = answer.into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "ada");
    drop(ada);
    let last = body.frame().await.unwrap().unwrap();
    let trailers = last.into_trailers().unwrap();
    assert_eq!(trailers.get("grpc-status").unwrap(), UNAVAILABLE);
    assert_eq!(counts(&balancer).broken, 1);
}

#[tokio::test]
async fn a_stream_comes_through_while_it_flows() {
    let ada = Fake::start("ada").await;
    let balancer = balanced(ROOM, &[&ada]).await;
    let (sender, receiver) = mpsc::unbounded_channel();
    let body = Body::new(StreamBody::new(UnboundedReceiverStream::new(receiver)));
    let say = |word: &'static str| sender.send(Ok::<_, tonic::Status>(word_of(word))).unwrap();
    say("one");
    let answer = call(channel(balancer.public()).unwrap(), ECHO, body).await;
    let mut body = answer.into_body();
    for (word, next) in [("one", "two"), ("two", "three"), ("three", "four")] {
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), word);
        say(next);
    }
    drop(sender);
    let rest = body.collect().await.unwrap();
    assert_eq!(rest.trailers().unwrap().get("x-said-by").unwrap(), "ada");
    assert_eq!(rest.to_bytes(), "four");
}

fn word_of(word: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(word.as_bytes()))
}

#[tokio::test]
async fn doors_lead_where_they_should() {
    let ada = Fake::start("ada").await;
    let balancer = balanced(&["room", "payment"], &[&ada]).await;
    let room = balancer.peers().get("room").copied().unwrap();
    let payment = balancer.peers().get("payment").copied().unwrap();
    let log = balancer.logs().get("room").copied().unwrap();
    let offer = "/berth.offer.v1.OfferService/GetOffer";
    // What several contexts may serve is for them alone to be asked.
    assert_eq!(ask(room, offer).await, said_by("ada"));
    assert_eq!(ask(balancer.public(), offer).await.code, "12");
    assert_eq!(ask(payment, NAME).await.code, UNAVAILABLE);

    // It is ready when every context has somebody who is.
    let health = async |address| {
        let mut health = HealthClient::new(channel(address).unwrap());
        let answer = health.check(HealthCheckRequest::default()).await.unwrap();
        answer.get_ref().status()
    };
    assert_eq!(health(log).await, ServingStatus::Serving);
    assert_eq!(health(balancer.public()).await, ServingStatus::NotServing);
    balancer.add("payment", ada.public, ada.admin).unwrap();
    balancer.until_ready("payment", 1, MOMENT).await.unwrap();
    let mut watch = HealthClient::new(channel(balancer.public()).unwrap())
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    for expected in [ServingStatus::Serving, ServingStatus::NotServing] {
        if expected == ServingStatus::NotServing {
            ada.health.report(vec!["it goes".to_owned()]).await;
        }
        let comes = async { while watch.message().await.unwrap().unwrap().status() != expected {} };
        timeout(MOMENT, comes).await.unwrap();
    }
}

#[tokio::test]
async fn it_describes_what_it_carries_and_counts() {
    let balancer = balancer(ROOM).await;
    let mut reflection = ServerReflectionClient::new(channel(balancer.public()).unwrap());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = reflection.server_reflection_info(tokio_stream::once(request));
    let answer = answers.await.unwrap().into_inner().message().await.unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.unwrap().message_response else {
        panic!("no list");
    };
    let names: Vec<_> = list.service.iter().map(|service| &service.name).collect();
    assert_eq!(
        names,
        ["berth.room.v1.RoomService", "grpc.health.v1.Health"]
    );

    assert_eq!(ask(balancer.public(), NAME).await.code, UNAVAILABLE);
    let text = balancer.metrics().unwrap();
    let absent = "berth_balancer_failures_total{context=\"room\",why=\"absent\"} 1";
    assert!(text.contains(absent), "{text}");
}
