//! Each context is a user of the broker, with minimal permissions.

use chassis::domain::log_id::LogId;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_nats::{
    Client, ConnectOptions, HeaderMap,
    jetstream::{consumer::pull, stream},
};
use chassis::{
    Context,
    messaging::{
        bus::Bus,
        jetstream::{JetStream, NatsSettings, Permissions},
    },
};
use futures::{FutureExt, StreamExt};
use servers::{Nats, NatsOptions};

use crate::{
    broker::{settings, until},
    broker_flow::AtWork,
    consumer::{OnBus, Pair, Readers},
    store::mark,
    tally::policies,
};

const SEED: &str = "SUAILLANZ4U3WONQ27TCT5U2L7KDKSKODBSQMIBKFEFC6TZ35T6R56VWAU";
const NKEY: &str = "UDXB6UTQJQZZLKRPE6Y57YNKYT5LN72BBSXK3CP56VL2OIAAGEKTDQFU";

/// A NATS with TLS: `room` has a password, `message` an nkey, and the user `looks` all permissions.
struct Guarded {
    nats: Nats,
    dir: tempfile::TempDir,
}

fn tls(file: &str) -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.join("tests/it/tls").join(file)
}

fn may(permissions: &Permissions) -> String {
    let Permissions { publish, subscribe } = permissions;
    format!("permissions: {{publish: {{allow: {publish:?}}}, subscribe: {{allow: {subscribe:?}}}}}")
}

/// The permissions of the contexts of a pair.
fn permissions() -> [Permissions; 2] {
    let message = Context::named("message").policies(policies(|_| false));
    let nats = settings("", "berth");
    [Context::named("room"), message]
        .map(|context| JetStream::permissions(&nats, context.name, &context.consumers()))
}

impl Guarded {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [room, message] = permissions().map(|permissions| may(&permissions));
        let [cert, key, ca] =
            ["server.pem", "server.key", "ca.pem"].map(|file| tls(file).display().to_string());
        let config = format!(
            "tls: {{cert_file: {cert:?}, key_file: {key:?}, ca_file: {ca:?}, verify: true}}
            authorization: {{users: [
                {{user: room, password: \"to be kept\", {room}}}
                {{nkey: {NKEY}, {message}}}
                {{user: looks, password: \"and sees\"}}
            ]}}"
        );
        let file = dir.path().join("nats.conf");
        std::fs::write(&file, config).unwrap();
        std::fs::write(dir.path().join("room"), "room:to be kept\n").unwrap();
        std::fs::write(dir.path().join("message"), SEED).unwrap();
        let flags = vec!["--config".to_owned(), file.display().to_string()];
        let nats = Nats::start(NatsOptions {
            flags,
            ..NatsOptions::default()
        })
        .unwrap();
        Self { nats, dir }
    }

    fn settings(&self, user: &str) -> NatsSettings {
        NatsSettings {
            nats_credentials: Some(self.dir.path().join(user)),
            nats_ca: Some(tls("ca.pem")),
            nats_cert: Some(tls("client.pem")),
            nats_key: Some(tls("client.key")),
            ..settings(&self.nats.url(), "berth")
        }
    }

    async fn bus(&self, user: &str, logs: Readers) -> Arc<dyn Bus> {
        let bus = JetStream::connect(&self.settings(user), user, logs)
            .await
            .unwrap();
        until("connected", async || bus.is_connected()).await;
        Arc::new(bus)
    }

    async fn pair(&self) -> Pair {
        let bus = async |logs: Readers| OnBus {
            producer: self.bus("room", logs.clone()).await,
            consumer: self.bus("message", logs).await,
            guard: None,
        };
        Pair::on(bus, policies(|_| false)).await
    }

    /// A client of a user, to test its permissions.
    async fn client(&self, options: ConnectOptions) -> Client {
        options
            .add_root_certificates(tls("ca.pem"))
            .add_client_certificate(tls("client.pem"), tls("client.key"))
            .request_timeout(Some(Duration::from_millis(300)))
            .connect(self.nats.url())
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn a_context_works_with_its_permissions_and_no_others() {
    let nats = Guarded::start();
    let work = AtWork::on(nats.pair().await);
    work.await_broker_delivery().await;
    work.take_more(100).await;
    assert_eq!(work.pair.log.read(), 0);
}

#[tokio::test]
async fn no_context_publishes_as_another() {
    let nats = Guarded::start();
    let work = AtWork::on(nats.pair().await);
    work.await_broker_delivery().await;

    let looks = ConnectOptions::with_user_and_password("looks".into(), "and sees".into());
    let looks = nats.client(looks).await;
    let js = async_nats::jetstream::new(looks.clone());
    let mut stream = js.get_stream("berth-room").await.unwrap();
    let before = stream.info().await.unwrap().state.messages;
    let stored = stream
        .get_raw_message(stream.cached_info().state.last_sequence)
        .await
        .unwrap();

    // `message` cannot publish as `room`.
    let forger = ConnectOptions::with_nkey(SEED.into()).custom_inbox_prefix("_INBOX.message");
    let forger = nats.client(forger).await;
    let (subject, headers) = (stored.subject.clone(), stored.headers.clone());
    let forge = forger.request_with_headers(subject.clone(), headers.clone(), "x".into());
    forge.await.unwrap_err();
    let bus = nats.bus("message", Readers::new()).await;
    let events = work.pair.producer.deps.store.log_after(0, 1).await.unwrap();
    let log = LogId::of("room");
    assert!(bus.publish(log.clone(), events, mark(1)).await.is_err());
    let mut heads = looks.subscribe("berth.heads.forged").await.unwrap();
    looks.flush().await.unwrap();
    bus.heartbeat(&LogId::of("forged"), mark(1)).await;
    forger
        .publish("berth.heads.room", "1/9223372036854775807/0".into())
        .await
        .unwrap();
    // It can neither change the stream nor use the consumer of another context.
    for call in [
        "STREAM.DELETE.berth-room",
        "STREAM.PURGE.berth-room",
        "STREAM.MSG.GET.berth-room",
        "CONSUMER.CREATE.berth-room.mine",
        "CONSUMER.DELETE.berth-room.message",
    ] {
        let call = forger.request(format!("$JS.API.{call}"), "{}".into()).await;
        call.unwrap_err();
    }
    // It does not receive the replies to others.
    let mut replies = forger.subscribe("_INBOX.>").await.unwrap();
    forger.flush().await.unwrap();
    work.take_more(20).await;
    for received in [&mut replies, &mut heads] {
        assert!(received.next().now_or_never().flatten().is_none());
    }
    assert_eq!(stream.info().await.unwrap().state.messages, before + 20);
    assert_eq!(work.pair.log.read(), 0, "nothing was read from the log");
    work.assert_converged().await;
}

#[tokio::test]
async fn invalid_messages_in_a_stream_are_rejected() {
    let nats = Guarded::start();
    let work = AtWork::on(nats.pair().await);
    work.await_broker_delivery().await;
    let looks = ConnectOptions::with_user_and_password("looks".into(), "and sees".into());
    let looks = nats.client(looks).await;
    let js = async_nats::jetstream::new(looks);
    let stream = js.get_stream("berth-room").await.unwrap();
    let last = stream.cached_info().state.last_sequence;
    let stored = stream.get_raw_message(last).await.unwrap();
    let next = work.pair.consumer.consumers[0]
        .cursor()
        .await
        .unwrap()
        .at
        .seq
        + 1;
    let changed = |name: &'static str, value: &str| {
        let attributes = stored.headers.iter();
        let attributes = attributes.filter(|(header, _)| header.to_string().starts_with("ce-"));
        let mut headers = HeaderMap::new();
        for (header, values) in attributes {
            headers.insert(header.clone(), values[0].clone());
        }
        headers.insert("Nats-Msg-Id", format!("{name} {value}"));
        headers.insert("ce-sequence", next.to_string());
        headers.insert("berth-position", mark(next).to_string());
        headers.insert(name, value);
        headers
    };
    for headers in [
        HeaderMap::new(),
        changed("ce-source", "/berth/payment"),
        changed("ce-type", "berth.payment.v1.PaymentApproved"),
        changed("ce-sequence", "9223372036854775808"),
        changed("berth-position", "1/1"),
        changed("ce-specversion", "0.3"),
        changed("ce-time", "never"),
    ] {
        let ack = js
            .publish_with_headers(stored.subject.clone(), headers, "\u{0}".into())
            .await;
        ack.unwrap().await.unwrap();
    }
    // A consumer of another stream replies into this one, with a message that looks like an event.
    let other = stream::Config {
        name: "other".into(),
        subjects: vec!["other.>".into()],
        ..stream::Config::default()
    };
    js.create_stream(other).await.unwrap();
    let durable = pull::Config {
        durable_name: Some("smuggler".into()),
        ..pull::Config::default()
    };
    js.create_consumer_on_stream(durable, "other")
        .await
        .unwrap();
    let forged = changed("ce-actor", "admin");
    let ack = js
        .publish_with_headers("other.x", forged, "\u{0}".into())
        .await;
    ack.unwrap().await.unwrap();
    let before = stream.get_info().await.unwrap().state.messages;
    let ask = "$JS.API.CONSUMER.MSG.NEXT.other.smuggler";
    js.client()
        .publish_with_reply(ask, stored.subject.clone(), "1".into())
        .await
        .unwrap();
    until("the forged message is in the stream", async || {
        stream.get_info().await.unwrap().state.messages > before
    })
    .await;
    // The consumer receives only the real events.
    work.take_more(20).await;
    work.assert_converged().await;
    assert_eq!(work.pair.log.read(), 0, "nothing was read from the log");
}
