//! All contexts in one process, started by the library.

use berth::room::v1::{ListRoomsRequest, room_service_client::RoomServiceClient};
use chassis::{
    Clock,
    base::{clock::ManualClock, time::SignedDuration},
    runtime::options::Options,
};
use chassis_testing::noon;

#[tokio::test]
async fn a_platform_starts_again_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(noon());
    let options = || Options {
        clock: Clock::Manual(clock.clone()),
        ..Options::in_dir(dir.path())
    };
    for _ in 0..2 {
        let platform = all::start(options()).await.unwrap();
        assert_eq!(platform.sites().len(), all::contexts().len());
        let address = format!("http://{}", platform.public());
        let mut rooms = RoomServiceClient::connect(address).await.unwrap();
        rooms.list_rooms(ListRoomsRequest::default()).await.unwrap();
        chassis_testing::quiet(platform.sites()).await.unwrap();
        clock.turn(SignedDuration::from_hours(24));
        chassis_testing::quiet(platform.sites()).await.unwrap();
        platform.crash().await;
        assert!(rooms.list_rooms(ListRoomsRequest::default()).await.is_err());
    }
    let platform = all::start(options()).await.unwrap();
    platform.stop().await.unwrap();
}

#[test]
fn every_context_has_a_binary() {
    let contexts = all::contexts();
    assert!(!contexts.is_empty());
    for context in contexts {
        let main = format!(
            "{}/../{}/src/main.rs",
            env!("CARGO_MANIFEST_DIR"),
            context.name
        );
        let source = std::fs::read_to_string(&main).unwrap();
        let call = format!(
            "chassis::main({}::context(), &[recovery::SUBCOMMAND])",
            context.name
        );
        assert!(source.contains(&call), "{main}");
    }
}

#[test]
fn every_setting_has_an_environment_variable_and_one_meaning() {
    use std::collections::BTreeMap;
    let mut known: BTreeMap<String, (String, String)> = BTreeMap::new();
    for context in all::contexts() {
        for settings in &context.settings {
            let command = settings.augment(clap::Command::new("x"));
            for flag in command.get_arguments() {
                let id = flag.get_id().to_string();
                let env = flag
                    .get_env()
                    .unwrap_or_else(|| panic!("{id} has no variable"));
                let default = format!("{:?}", flag.get_default_values());
                let this = (env.to_string_lossy().into_owned(), default);
                let first = known.entry(id.clone()).or_insert_with(|| this.clone());
                assert_eq!(*first, this, "{id} means two things");
            }
        }
    }
}
