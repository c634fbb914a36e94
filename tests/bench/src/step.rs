//! `step`: the cost of a command that creates an aggregate with a claim and an event, on either engine.

use std::time::Duration;

use anyhow::{Context as _, Result};
use chassis::{
    Aggregate, Cause, Claims, Fact, Kind, Now, Publish, Refused, Store, Versioned, args,
    store::{DatabaseSettings, StoreOptions},
};
use clap::Args;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{load, machine};

/// The options of the benchmark.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Concurrent commands
    #[arg(long, default_value_t = 32)]
    tasks: u32,
    /// Length of the measurement in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Number the events concurrently, like the relay
    #[arg(long)]
    numbered: bool,
    #[command(flatten)]
    database: DatabaseSettings,
}

/// The warm-up: statements are prepared and connections opened.
const WARM: Duration = Duration::from_secs(1);

chassis::id! {
    /// The id of a note.
    NoteId,
}

/// About as large as a reservation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    id: NoteId,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no")]
struct No;

impl Refused for No {
    fn kind(&self) -> Kind {
        Kind::Precondition
    }
    fn reason(&self) -> &'static str {
        "NO"
    }
}

impl Aggregate for Note {
    const KIND: &'static str = "note";
    type Id = NoteId;
    type Command = NoteId;
    type Event = NoteId;
    type Refusal = No;

    fn decide(this: Option<&Self>, id: &NoteId, _: &Now) -> Result<Vec<NoteId>, No> {
        Ok(this.map_or_else(|| vec![*id], |_| Vec::new()))
    }

    fn evolve(_: Option<Self>, id: &NoteId) -> Option<Self> {
        let text = "x".repeat(256);
        Some(Self { id: *id, text })
    }

    fn claims(&self) -> Claims {
        Claims::none().and("note", self.id.to_string())
    }
}

impl Publish for Note {
    fn facts(id: NoteId, _: &NoteId, after: &Versioned<Self>) -> Vec<Fact> {
        vec![Fact::of(&berth::room::v1::RoomReserved {
            room_id: id.to_string(),
            reservation_id: after.state.text.clone(),
            status: 0,
        })]
    }
}

/// Measures and prints.
pub(crate) async fn run(options: Options) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let settings = &options.database;
    let store = match settings.url_of("bench") {
        Some(url) => Store::postgres("bench", &url, settings, StoreOptions::default())?,
        None => Store::sqlite("bench", &dir.path().join("x.db"), StoreOptions::default()).await?,
    };
    store.migrate().await?;
    let server = match &settings.database_url {
        Some(_) => server(&store).await?,
        None => None,
    };
    let numbers = options.numbered.then(|| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(2));
            while store.number_events().await.is_ok() {
                ticks.tick().await;
            }
        })
    });
    let (commands, trips_of) = (store.clone(), store.clone());
    let work = move || {
        let store = commands.clone();
        async move {
            let id = NoteId::from(Uuid::now_v7());
            let done = store.execute::<Note>(id, id, &Cause::default()).await;
            done.map(|_| ()).map_err(|error| error.to_string())
        }
    };
    load::closed(options.tasks, WARM, work.clone()).await;
    let own = std::process::id();
    let used = || -> Result<(f64, f64)> {
        let server = server.map_or(Ok(0.0), machine::cpu_seconds)?;
        Ok((machine::cpu_seconds(own)?, server))
    };
    let (before, trips) = (used()?, trips_of.round_trips());
    let time = Duration::from_secs(options.seconds);
    let outcome = load::closed(options.tasks, time, work).await;
    let after = used()?;
    let done = f64::from(u32::try_from(outcome.done)?);
    let micros = |from: f64, to: f64| (to - from) * 1_000_000.0 / done;
    println!("{}", machine::facts());
    println!(
        "{:.0} steps/s · p50 {:.2} ms · p99 {:.2} ms · {:.0} µs of CPU here · {:.0} µs in the database · {:.2} round trips · {:?}",
        outcome.per_second(),
        outcome.ms(50.0),
        outcome.ms(99.0),
        micros(before.0, after.0),
        micros(before.1, after.1),
        f64::from(u32::try_from(store.round_trips() - trips)?) / done,
        outcome.failed,
    );
    if let Some(numbers) = numbers {
        numbers.abort();
    }
    Ok(())
}

/// The process id of the database server, if it runs on this machine.
async fn server(store: &Store) -> Result<Option<u32>> {
    let sql = "SELECT pg_backend_pid()";
    let rows = store
        .read(|conn| Box::pin(conn.query(sql, args![])))
        .await?;
    let pid = u32::try_from(rows.first().context("no pid")?.int(0)?)?;
    Ok(machine::parent(pid).ok())
}
