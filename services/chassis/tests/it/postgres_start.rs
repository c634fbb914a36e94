//! A process waits for its database, and for its schema.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chassis::{
    Context, Platform,
    runtime::{config::Config, options::Options},
    store::{DatabaseSettings, Store, StoreOptions},
};
use chassis_testing::Scratch;
use tokio::{
    net::TcpStream,
    time::{interval, timeout},
};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::{
    claim_formats::Desk,
    stage::{Gate, MOMENT, ask, channel, health, screen},
    wire::Wire,
};

/// Waits until a process has this readiness, for ten seconds.
async fn until(platform: &Platform, status: ServingStatus) {
    let reached = async {
        let mut ticks = interval(Duration::from_millis(50));
        while health(platform.admin(), "readiness").await != status {
            ticks.tick().await;
        }
    };
    timeout(MOMENT, reached).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn six_read_only_stores_are_reported_as_such_within_ten_seconds() {
    let names = [
        "member",
        "message",
        "payment",
        "reservation",
        "room",
        "view",
    ];
    let scratch = Scratch::new().await;
    let database = scratch.name();
    scratch.run(&format!("CREATE DATABASE {database}")).await;
    let server = scratch.server();
    let (server, _) = server.rsplit_once('/').unwrap();
    let settings = DatabaseSettings::of(&format!(
        "{server}/{database}?options=-csearch_path%3D{{context}}"
    ));
    for name in names {
        let url = settings.url_of(name).unwrap();
        let store = Store::postgres(name, &url, &settings, StoreOptions::default()).unwrap();
        store.migrate().await.unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::in_dir(dir.path());
    options.config.database = settings;
    let contexts = names.map(Context::named).to_vec();
    let platform = Platform::start(contexts, options).await.unwrap();
    until(&platform, ServingStatus::Serving).await;

    let set = async |read_only: &str| {
        let set =
            format!("ALTER DATABASE {database} SET default_transaction_read_only = {read_only}");
        scratch.run(&set).await;
        let end = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        );
        scratch.run(&end).await;
    };
    set("on").await;
    until(&platform, ServingStatus::NotServing).await;
    let mut ticks = interval(Duration::from_millis(50));
    while platform.health().why_not().len() < names.len() {
        ticks.tick().await;
    }
    for why in platform.health().why_not() {
        assert!(why.ends_with("the database is read-only"), "{why}");
    }
    set("off").await;
    until(&platform, ServingStatus::Serving).await;
    platform.stop().await.unwrap();
    scratch
        .run(&format!("DROP DATABASE {database} WITH (FORCE)"))
        .await;
}

/// An address that nobody listens on.
async fn address() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn a_process_waits_for_its_database_and_then_for_its_schema() {
    let scratch = Scratch::new().await;
    let server = scratch.server();
    let place = server.split(['@', '/']).nth(3).unwrap().to_owned();
    let wire = Wire::to(place.clone()).await;
    wire.cut();
    let url = scratch.url_at(&server.replace(&place, &wire.here.to_string()));
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::in_dir(dir.path());
    let (admin, public) = (address().await, address().await);
    options.config = Config {
        admin_listen: admin,
        listen: public,
        database: DatabaseSettings {
            database_timeout: Duration::from_millis(300),
            ..DatabaseSettings::of(&url)
        },
        ..options.config
    };
    let contexts: Vec<Context> = vec![screen(&Arc::new(Gate::default()))];
    let mut started = tokio::spawn(Platform::start(contexts, options));

    let mut ticks = interval(Duration::from_millis(20));
    while TcpStream::connect(admin).await.is_err() {
        ticks.tick().await;
    }
    assert_eq!(health(admin, "readiness").await, ServingStatus::NotServing);
    assert_eq!(health(admin, "liveness").await, ServingStatus::Serving);
    wire.mend();
    // Now it is there, and empty.
    let mut seconds = interval(Duration::from_millis(1200));
    seconds.tick().await;
    seconds.tick().await;
    assert_eq!(health(admin, "readiness").await, ServingStatus::NotServing);
    assert!(!started.is_finished());

    let settings = scratch.settings();
    let store = Store::postgres("view", &scratch.url(), &settings, StoreOptions::default());
    store.unwrap().migrate().await.unwrap();
    let platform = (&mut started).await.unwrap().unwrap();
    assert_eq!(health(admin, "readiness").await, ServingStatus::Serving);
    let mut client = berth::view::v1::view_service_client::ViewServiceClient::new(channel(public));
    client.list_room_views(ask("write")).await.unwrap();

    // It goes away, and comes back.
    wire.cut();
    while health(admin, "readiness").await == ServingStatus::Serving {
        let _ = client.list_room_views(ask("write")).await;
    }
    assert_eq!(health(admin, "liveness").await, ServingStatus::Serving);
    wire.mend();
    while health(admin, "readiness").await != ServingStatus::Serving {
        ticks.tick().await;
    }
    client.list_room_views(ask("write")).await.unwrap();
    platform.stop().await.unwrap();
}

#[tokio::test]
async fn a_process_whose_claims_have_another_format_does_not_start() {
    let scratch = Scratch::new().await;
    let store = |claims| {
        let options = StoreOptions {
            claims,
            ..StoreOptions::default()
        };
        Store::postgres("view", &scratch.url(), &scratch.settings(), options).unwrap()
    };
    store(Vec::new()).migrate().await.unwrap();
    let context = || screen(&Arc::new(Gate::default())).claims::<Desk<2>>();
    let start = || {
        let dir = tempfile::tempdir().unwrap();
        let mut options = Options::in_dir(dir.path());
        options.config.database = scratch.settings();
        async move {
            let _dir = dir;
            Platform::start(vec![context()], options).await
        }
    };
    let refused = start().await.unwrap_err().to_string();
    assert!(
        refused.contains("store of view cannot be opened: the claims of desk have version 1"),
        "{refused}"
    );
    assert!(refused.contains("run `migrate`"), "{refused}");
    store(context().claims).migrate().await.unwrap();
    start().await.unwrap().stop().await.unwrap();
}
