//! A context comes back from yesterday's backup while the others have gone on.

use std::{process::ExitCode, sync::Arc};

use berth::{
    payment::v1::PaymentStatus, reservation::v1::ReservationStatus, room::v1::Room,
    view::v1::RebuildRequest,
};
use chassis::{
    Clock, Context, Store, base::faults::Faults, messaging::jetstream::JetStream,
    runtime::stores::open_store_on, store::StoreOptions,
};
use recovery::{Fate, May, Report, SUBCOMMAND, Source, recover};
use secrecy::ExposeSecret;
use stories::{
    invariants::{self, Invariant},
    mode::Mode,
    people::Person,
    world::{Backup, World, eventually, nights},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

stories::told! { one, mesh: [
    s30_a_context_from_yesterdays_backup_sells_nothing_and_can_be_read,
    s30_what_was_lost_is_had_again_and_cannot_be_sold_twice,
    s30_what_nobody_has_any_more_is_refunded,
] }

/// A night that is booked after the backup.
pub(crate) const LATER: (&str, &str) = ("2027-03-20", "2027-03-22");

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) guest: Person,
    pub(crate) room: Room,
    /// What was booked before the backup, and after it.
    pub(crate) before: String,
    pub(crate) after: String,
    /// The backup, and what it has replaced.
    pub(crate) backup: Backup,
}

impl Scene {
    /// Something is booked, a backup is made, and more is booked. Then the backup is put back.
    async fn of(mode: Mode) -> Self {
        let mut world = World::start(mode).await;
        let (host, guest) = (world.host().await, world.customer().await);
        let room = world.room(&host, |_| {}).await;
        let book = async |world: &World, nights| {
            let wanted = guest.wants(world.id(), &room, nights);
            let booked = guest.book(wanted).await.unwrap();
            assert_eq!(booked.status(), ReservationStatus::Confirmed);
            booked.reservation_id
        };
        let before = book(&world, nights("2027-03-10", "2027-03-12")).await;
        world.quiet().await;
        let backup = world.back_up("reservation").await;

        let after = book(&world, nights(LATER.0, LATER.1)).await;
        world.quiet().await;
        world.crash().await;
        world.put_back("reservation", &backup).await;
        world.restart().await;
        Self {
            world,
            guest,
            room,
            before,
            after,
            backup,
        }
    }
}

pub(crate) fn why(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info();
    let reason = info.map_or_else(String::new, |info| info.reason);
    (status.code(), reason)
}

async fn s30_a_context_from_yesterdays_backup_sells_nothing_and_can_be_read(mode: Mode) {
    let Scene {
        world,
        guest,
        room,
        before,
        after,
        ..
    } = Scene::of(mode).await;
    let store = world.store("reservation").clone();
    // In one process that is noticed before anybody is let in; elsewhere when the others subscribe.
    if mode == Mode::Mesh {
        eventually(async || store.fenced().is_some()).await;
    }
    let fence = store.fenced().unwrap();
    assert!(fence.head < fence.seen, "{fence}");

    let wanted = guest.wants(world.id(), &room, nights(LATER.0, LATER.1));
    let refused = guest.book(wanted).await.unwrap_err();
    let regressed = (Code::Unavailable, "LOG_REGRESSED".to_owned());
    assert_eq!(why(&refused), regressed);

    // What is there is shown, and who looks at the view sees what was booked.
    let kept = guest.reservation(&before).await.unwrap();
    assert_eq!(kept.status(), ReservationStatus::Confirmed);
    let lost = guest.reservation(&after).await.unwrap_err();
    assert_eq!(lost.code(), Code::NotFound);
    let shown = guest.my_page().await.unwrap();
    assert!(shown.iter().any(|entry| entry.reservation_id == after));
    // The others go on.
    world.quiet().await;
    world.room(&world.host().await, |_| {}).await;
    world.quiet().await;
}

pub(crate) fn reservation() -> Context {
    let mut contexts = all::contexts().into_iter();
    contexts.find(|one| one.name == "reservation").unwrap()
}

impl Scene {
    /// Waits for the fence. Where the database is a file the process must let go of it then.
    pub(crate) async fn stand_still(&mut self) {
        let store = self.world.store("reservation").clone();
        eventually(async || store.fenced().is_some()).await;
        drop(store);
        if let Backup::File(_) = self.backup {
            self.world.crash().await;
        }
    }

    /// The context's database, as an operator opens it.
    async fn open(&self) -> Store {
        let config = self.world.config("reservation");
        let clock = Clock::Manual(self.world.clock.clone());
        let (database, dir, context) = (&config.database, &config.data_dir, reservation());
        let opened = open_store_on(&context, database, dir, clock, Faults::default());
        opened.await.unwrap()
    }

    /// Who still has what was lost: the file that was replaced, or the broker.
    async fn sources(&self, store: &Store) -> Vec<Source> {
        if let Backup::File(dir) = &self.backup {
            let file = dir.path().join("lost.db");
            let copy = Store::sqlite("reservation", &file, StoreOptions::default()).await;
            return vec![Source::Log(Arc::new(copy.unwrap()))];
        }
        let nats = &self.world.config("reservation").nats;
        let log: Arc<dyn chassis::messaging::log_reader::LogReader> = Arc::new(store.clone());
        let logs = [("reservation".to_owned(), log)].into();
        let bus = JetStream::connect(nats, "recover", logs).await.unwrap();
        let bus: Arc<dyn chassis::messaging::bus::Bus> = Arc::new(bus);
        eventually(async || bus.is_connected()).await;
        vec![Source::Bus(bus)]
    }

    /// What a recovery would do, and everything that was lost.
    pub(crate) async fn look(&self) -> Report {
        let store = self.open().await;
        let sources = self.sources(&store).await;
        let restores = reservation().restores;
        let report = recover(&store, &restores, &sources, May::Inspect).await;
        assert!(store.fenced().is_some());
        report.unwrap().expect("the store is fenced")
    }

    /// `reservation recover …`, with the databases and without a broker.
    pub(crate) async fn recover(&self, words: &[String]) -> ExitCode {
        let config = self.world.config("reservation");
        let mut all = vec!["recover".to_owned()];
        if let Some(url) = &config.database.database_url {
            all.extend(["--database-url".into(), url.expose_secret().into()]);
        }
        all.extend(["--data-dir".into(), config.data_dir.display().to_string()]);
        all.extend_from_slice(words);
        let matches = (SUBCOMMAND.command)().get_matches_from(all);
        let play = move || (SUBCOMMAND.run)("reservation", &[reservation()], &matches);
        tokio::task::spawn_blocking(play).await.unwrap()
    }

    /// Where a recovery is told to look.
    pub(crate) fn there(&self) -> Vec<String> {
        if let Backup::File(dir) = &self.backup {
            let file = dir.path().join("lost.db");
            return vec!["--from".into(), file.display().to_string()];
        }
        let nats = &self.world.config("reservation").nats;
        let url = nats.nats_url.as_ref().unwrap().expose_secret();
        let prefix = nats.nats_prefix.clone();
        vec![
            "--nats-url".into(),
            url.into(),
            "--nats-prefix".into(),
            prefix,
        ]
    }

    /// The context goes on by itself; where its database is a file it is started again.
    pub(crate) async fn go_on(&mut self) {
        self.world.restart().await;
        let store = self.world.store("reservation");
        eventually(async || store.fenced().is_none()).await;
        self.world.quiet().await;
    }

    pub(crate) async fn book_later(&self) -> Result<ReservationStatus, Status> {
        let period = nights(LATER.0, LATER.1);
        let wanted = self.guest.wants(self.world.id(), &self.room, period);
        Ok(self.guest.book(wanted).await?.status())
    }
}

async fn s30_what_was_lost_is_had_again_and_cannot_be_sold_twice(mode: Mode) {
    let mut scene = Scene::of(mode).await;
    scene.stand_still().await;
    let report = scene.look().await;
    assert!(report.is_whole(), "{report}");
    let lost = report.losses.iter().map(|loss| {
        let event = loss.event.as_ref().unwrap();
        let name = event.event_type.rsplit('.').next().unwrap();
        (
            loss.seq - report.head,
            event.subject.as_str(),
            event.version,
            name,
        )
    });
    let lost: Vec<_> = lost.collect();
    let after = scene.after.as_str();
    let expected = [
        (1, after, 1, "ReservationRequested"),
        (2, after, 2, "ReservationConfirmed"),
    ];
    assert_eq!(lost, expected);

    let look = [scene.there(), vec!["--dry-run".into()]].concat();
    assert_eq!(scene.recover(&look).await, ExitCode::SUCCESS);
    assert_eq!(scene.recover(&scene.there()).await, ExitCode::SUCCESS);
    // A repeat finds nothing to do.
    assert_eq!(scene.recover(&scene.there()).await, ExitCode::SUCCESS);
    scene.go_on().await;
    for id in [&scene.before, &scene.after] {
        let kept = scene.guest.reservation(id).await.unwrap();
        assert_eq!(kept.status(), ReservationStatus::Confirmed);
    }
    let again = scene.book_later().await.unwrap_err();
    assert_eq!(why(&again), (Code::FailedPrecondition, "SOLD_OUT".into()));
    scene.world.check().await;
}

async fn s30_what_nobody_has_any_more_is_refunded(mode: Mode) {
    let mut scene = Scene::of(mode).await;
    scene.stand_still().await;
    assert_eq!(scene.recover(&[]).await, ExitCode::FAILURE);
    let store = scene.open().await;
    let report = recover(&store, &[], &[], May::Recover).await.unwrap();
    let report = report.expect("the store is fenced");
    assert!(!report.recovered && store.fenced().is_some());
    let fates: Vec<_> = report.losses.iter().map(|loss| &loss.fate).collect();
    assert_eq!(fates, [&Fate::Gone, &Fate::Gone]);
    drop(store);
    let lose = ["--accept-losses".to_owned()];
    assert_eq!(scene.recover(&lose).await, ExitCode::SUCCESS);

    scene.go_on().await;
    let payment = scene.guest.payment(&scene.after).await.unwrap();
    assert_eq!(payment.status(), PaymentStatus::Refunded);
    let page = scene.guest.my_page().await.unwrap();
    let mut shown = page.iter();
    let shown = shown.find(|entry| entry.reservation_id == scene.after);
    assert_eq!(shown.unwrap().status(), ReservationStatus::Cancelled);
    // The night is free again, and sold once.
    let sold = scene.book_later().await.unwrap();
    assert_eq!(sold, ReservationStatus::Confirmed);
    let admin = scene.world.admin().await;
    let rebuilt = admin.views().rebuild(RebuildRequest {}).await;
    rebuilt.unwrap();

    scene.world.quiet().await;
    let broken = invariants::check(&scene.world.history().await);
    // All that is left of it is that somebody was told of it.
    let told = |broken: &&invariants::Broken| {
        broken.invariant == Invariant::I9NoPhantomEvent && broken.evidence.ends_with(&scene.after)
    };
    let other: Vec<_> = broken.iter().filter(|broken| !told(broken)).collect();
    assert!(other.is_empty(), "{other:#?}");
    assert!(!broken.is_empty());
}
