//! Reads the recorded history from the stores at the end of a story, and checks the invariants.

use std::collections::BTreeMap;

use berth::{message::v1::MessageWritten, offer::v1::Offer, view::v1::RebuildRequest};
use chassis::{
    Store, args, domain::event::Recorded, messaging::consumer::ATTEMPTS, store::DeadLetter,
};
use prost::Message;

use super::World;
use crate::{
    history::{History, ProviderLedger},
    invariants,
};

impl World {
    /// The whole log of a context.
    pub async fn log(&self, context: &str) -> Vec<Recorded> {
        log(self.store(context)).await
    }

    /// The recorded history.
    pub async fn history(&self) -> History {
        history(&|context| self.store(context).clone()).await
    }

    /// Waits until the platform is quiet and every retry is done. Then checks every invariant, and that no dead letter is
    /// left.
    pub async fn check(&self) {
        self.retried(ATTEMPTS).await;
        let mut history = self.history().await;
        history.view_differs = !self.rebuilds_equal().await;
        for runtime in self.runtimes() {
            for restorer in &runtime.context.restores {
                let differences = restorer.compare(&runtime.deps.store).await;
                history.unlike_log.extend(differences.expect("reads"));
            }
        }
        let broken = invariants::check(&history);
        assert!(broken.is_empty(), "{broken:#?}");
        for runtime in self.runtimes() {
            let letters = self.dead_letters(runtime.context.name).await;
            assert!(
                letters.is_empty(),
                "dead letters of {}: {letters:#?}",
                runtime.context.name
            );
        }
    }

    /// The dead letters of a context.
    pub async fn dead_letters(&self, context: &str) -> Vec<DeadLetter> {
        let store = self.store(context);
        let first = (String::new(), String::new(), 0);
        store.dead_letters(first, 1000).await.expect("reads")
    }

    /// Whether the view equals one that is rebuilt from the logs.
    async fn rebuilds_equal(&self) -> bool {
        let admin = self.admin().await;
        let rebuilt = admin.views().rebuild(RebuildRequest {}).await;
        rebuilt.expect("rebuilds").into_inner().equal
    }
}

/// The history recorded in the stores of a platform.
pub async fn history(store: &(dyn Fn(&str) -> Store + Sync)) -> History {
    let mut history = History::default();
    history
        .read_reservations(&log(&store("reservation")).await)
        .expect("decodes");
    history
        .read_payments(&log(&store("payment")).await)
        .expect("decodes");
    history.capacities = capacities(&log(&store("room")).await);
    history.claims = store("reservation").claims().await.expect("reads");
    let written = log(&store("message")).await.into_iter();
    for written in written.filter(|event| event.event_type.ends_with(".MessageWritten")) {
        let message = MessageWritten::decode(written.data)
            .expect("decodes")
            .message
            .unwrap_or_default();
        let event = format!("{}/{}", message.event_type, message.reservation_id);
        history.messages.push((event, message.recipient_id));
    }
    history.provider = provider(&store("payment")).await;
    history
}

/// The whole log of a store.
async fn log(store: &Store) -> Vec<Recorded> {
    let mut log: Vec<Recorded> = Vec::new();
    loop {
        let after = log.last().map_or(0, |last| last.seq);
        let page = store.log_after(after, 1000).await.expect("reads");
        if page.is_empty() {
            return log;
        }
        log.extend(page);
    }
}

/// The ledger of the simulated payment provider. Its changes are not published, so it is read from its table.
async fn provider(store: &Store) -> BTreeMap<String, ProviderLedger> {
    let sql = "SELECT id, state FROM aggregate WHERE kind = 'simulated-provider'";
    let rows = store.read(|conn| conn.query(sql, args![]));
    let rows = rows.await.expect("reads");
    let ledger = rows.iter().map(|row| {
        let state = row.text(1).expect("a state");
        let ledger = serde_json::from_str(state).expect("a ledger");
        (row.text(0).expect("an id").to_owned(), ledger)
    });
    ledger.collect()
}

/// The wrapper of the events that carry an offer as their second field.
#[derive(Clone, PartialEq, prost::Message)]
struct WithOffer {
    #[prost(message, optional, tag = "2")]
    offer: Option<Offer>,
}

fn capacities(log: &[Recorded]) -> BTreeMap<String, i32> {
    let mut capacities = BTreeMap::new();
    let terms = ["RoomRegistered", "RoomModified", "RoomDeleted"];
    for event in log
        .iter()
        .filter(|event| terms.iter().any(|name| event.event_type.ends_with(name)))
    {
        if let Some(offer) = WithOffer::decode(event.data.clone())
            .expect("decodes")
            .offer
        {
            let capacity = capacities.entry(offer.offer_id).or_insert(0);
            *capacity = offer.capacity.max(*capacity);
        }
    }
    capacities
}
