//! The engine of a database is a setting of each context.

use stories::{mode::Mode, world::World};

use crate::busy_day::{a_busy_day, after_a_day_without_faults, assert_same_state};

// One process has one engine.
stories::stories! { mesh: [contexts_on_sqlite_and_contexts_on_postgresql_are_one_platform] }

/// Requirement: A-C27, C-I8.
///
/// The contexts on SQLite call, follow and are followed by those on PostgreSQL.
async fn contexts_on_sqlite_and_contexts_on_postgresql_are_one_platform(mode: Mode) {
    let expected = after_a_day_without_faults(mode).await;
    let mut world = World::start(mode).await;
    let embedded = ["payment", "room", "view"];
    for context in embedded {
        world.restart_on_sqlite(context).await;
    }
    let restart = async |world: &mut World, _| world.crash_and_restart().await;
    let left = a_busy_day(&mut world, restart).await;
    assert_same_state(&left, &expected, 0);
    world.check().await;
    for context in all::contexts().iter().map(|context| context.name) {
        let is_embedded = world.database_file(context).exists();
        assert_eq!(is_embedded, embedded.contains(&context), "{context}");
    }
}
