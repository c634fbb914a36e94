//! A context is restored from an old backup while the others are up to date.

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

stories::stories! { one, mesh: [
    a_context_restored_from_an_old_backup_is_read_only,
    recovered_reservations_cannot_be_sold_twice,
    reservations_without_any_copy_are_refunded,
] }

/// A period that is booked after the backup.
pub(crate) const LATER: (&str, &str) = ("2027-03-20", "2027-03-22");

pub(crate) struct Scene {
    pub(crate) world: World,
    pub(crate) guest: Person,
    pub(crate) room: Room,
    /// The reservations from before and after the backup.
    pub(crate) before: String,
    pub(crate) after: String,
    /// The backup, with the database that it has replaced.
    pub(crate) backup: Backup,
}

impl Scene {
    /// Books, makes a backup, books again, and restores the backup.
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
        world.restore("reservation", &backup).await;
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

/// Scenario: S30.
async fn a_context_restored_from_an_old_backup_is_read_only(mode: Mode) {
    let Scene {
        world,
        guest,
        room,
        before,
        after,
        ..
    } = Scene::of(mode).await;
    let store = world.store("reservation").clone();
    // One process detects the regression before it is ready; in the mesh it is detected when the others subscribe.
    if mode == Mode::Mesh {
        eventually(async || store.fenced().is_some()).await;
    }
    let fence = store.fenced().unwrap();
    assert!(fence.head < fence.seen, "{fence}");

    let wanted = guest.wants(world.id(), &room, nights(LATER.0, LATER.1));
    let refused = guest.book(wanted).await.unwrap_err();
    let regressed = (Code::Unavailable, "LOG_REGRESSED".to_owned());
    assert_eq!(why(&refused), regressed);

    // Reservations in the backup can be read, and the view still shows the lost one.
    let kept = guest.reservation(&before).await.unwrap();
    assert_eq!(kept.status(), ReservationStatus::Confirmed);
    let lost = guest.reservation(&after).await.unwrap_err();
    assert_eq!(lost.code(), Code::NotFound);
    let shown = guest.my_page().await.unwrap();
    assert!(shown.iter().any(|entry| entry.reservation_id == after));
    // The other contexts keep working.
    world.quiet().await;
    world.room(&world.host().await, |_| {}).await;
    world.quiet().await;
}

pub(crate) fn reservation() -> Context {
    let mut contexts = all::contexts().into_iter();
    contexts.find(|one| one.name == "reservation").unwrap()
}

impl Scene {
    /// Waits for the write fence. If the database is a file, the process is stopped then, so that it can be opened.
    pub(crate) async fn until_fenced(&mut self) {
        let store = self.world.store("reservation").clone();
        eventually(async || store.fenced().is_some()).await;
        drop(store);
        if let Backup::File(_) = self.backup {
            self.world.crash().await;
        }
    }

    /// Opens the context's database as an operator does.
    async fn open(&self) -> Store {
        let config = self.world.config("reservation");
        let clock = Clock::Manual(self.world.clock.clone());
        let (database, dir, context) = (&config.database, &config.data_dir, reservation());
        let opened = open_store_on(&context, database, dir, clock, Faults::default());
        opened.await.unwrap()
    }

    /// The sources that still have the lost events: the replaced file, or the broker.
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

    /// Inspects the losses without recovering them.
    pub(crate) async fn inspect(&self) -> Report {
        let store = self.open().await;
        let sources = self.sources(&store).await;
        let restores = reservation().restores;
        let report = recover(&store, &restores, &sources, None, May::Inspect).await;
        assert!(store.fenced().is_some());
        report.unwrap().expect("the store is fenced")
    }

    /// Runs `reservation recover …` on the context's database.
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

    /// The flags with the source of a recovery.
    pub(crate) fn source_flags(&self) -> Vec<String> {
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

    /// Waits until the write fence is lifted and the platform is quiet. Starts the context again if it was stopped.
    pub(crate) async fn resume(&mut self) {
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

/// Scenario: S30.
async fn recovered_reservations_cannot_be_sold_twice(mode: Mode) {
    let mut scene = Scene::of(mode).await;
    scene.until_fenced().await;
    let report = scene.inspect().await;
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

    let dry_run = [scene.source_flags(), vec!["--dry-run".into()]].concat();
    assert_eq!(scene.recover(&dry_run).await, ExitCode::SUCCESS);
    assert_eq!(
        scene.recover(&scene.source_flags()).await,
        ExitCode::SUCCESS
    );
    // A repeat changes nothing.
    assert_eq!(
        scene.recover(&scene.source_flags()).await,
        ExitCode::SUCCESS
    );
    scene.resume().await;
    for id in [&scene.before, &scene.after] {
        let kept = scene.guest.reservation(id).await.unwrap();
        assert_eq!(kept.status(), ReservationStatus::Confirmed);
    }
    let again = scene.book_later().await.unwrap_err();
    assert_eq!(why(&again), (Code::FailedPrecondition, "SOLD_OUT".into()));
    scene.world.check().await;
}

/// Scenario: S30.
async fn reservations_without_any_copy_are_refunded(mode: Mode) {
    let mut scene = Scene::of(mode).await;
    scene.until_fenced().await;
    assert_eq!(scene.recover(&[]).await, ExitCode::FAILURE);
    let store = scene.open().await;
    let report = recover(&store, &[], &[], None, May::Recover).await.unwrap();
    let report = report.expect("the store is fenced");
    assert!(!report.recovered && store.fenced().is_some());
    let fates: Vec<_> = report.losses.iter().map(|loss| &loss.fate).collect();
    assert_eq!(fates, [&Fate::Gone, &Fate::Gone]);
    drop(store);
    let lose = ["--accept-losses".to_owned()];
    assert_eq!(scene.recover(&lose).await, ExitCode::SUCCESS);

    scene.resume().await;
    let payment = scene.guest.payment(&scene.after).await.unwrap();
    assert_eq!(payment.status(), PaymentStatus::Refunded);
    let page = scene.guest.my_page().await.unwrap();
    let mut shown = page.iter();
    let shown = shown.find(|entry| entry.reservation_id == scene.after);
    assert_eq!(shown.unwrap().status(), ReservationStatus::Cancelled);
    // The period is free again and can be sold.
    let sold = scene.book_later().await.unwrap();
    assert_eq!(sold, ReservationStatus::Confirmed);
    let admin = scene.world.admin().await;
    let rebuilt = admin.views().rebuild(RebuildRequest {}).await;
    rebuilt.unwrap();

    scene.world.quiet().await;
    let broken = invariants::check(&scene.world.history().await);
    // The only trace of the lost reservation is a message about it.
    let is_message = |broken: &&invariants::Broken| {
        broken.invariant == Invariant::I9NoPhantomEvent && broken.evidence.ends_with(&scene.after)
    };
    let other: Vec<_> = broken.iter().filter(|broken| !is_message(broken)).collect();
    assert!(other.is_empty(), "{other:#?}");
    assert!(!broken.is_empty());
}
