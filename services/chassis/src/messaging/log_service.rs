//! `EventLogService`: serves the event logs of a process to other processes, and its dead letters to operators.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use berth::eventlog::v1::{
    self as proto, DeadLetter, ListDeadLettersRequest, ListDeadLettersResponse, ReadRequest,
    ReadResponse, RedriveDeadLettersRequest, RedriveDeadLettersResponse,
    event_log_service_server::EventLogService,
};
use tonic::{Request, Response, Status};

use crate::{
    base::{page, time},
    domain::{
        consumer_name::ConsumerName,
        event::Recorded,
        position::{Position, Reported},
    },
    error::{
        refusal::Kind,
        status::{not_found, status, unavailable},
        violations::Violations,
    },
    security::{
        caller::{Caller, accept},
        service_identity::DOCTOR,
    },
    store,
    store::Store,
};

/// How far beyond the end of a log a cursor may be: no log loses more events than this. Without a limit one consumer could
/// move the end of the log out of reach.
const FURTHEST: i64 = 1_000_000_000;
/// Maximum size of a page, so that it fits into a message. A page holds at least one event.
const PAGE_BYTES: usize = 2 * 1024 * 1024;

/// The logs of the contexts of this process, available once the stores are open.
#[derive(Clone, Debug, Default)]
pub struct EventLogs(Arc<OnceLock<BTreeMap<String, Store>>>);

impl EventLogs {
    /// Logs that are not available yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the stores, once.
    pub fn open(&self, stores: impl IntoIterator<Item = Store>) {
        let stores = stores.into_iter();
        let named = stores.map(|store| (store.context().to_owned(), store));
        // Only the first call counts.
        let _ = self.0.set(named.collect());
    }

    fn store(&self, context: &str) -> Result<&Store, Status> {
        let stores = self
            .0
            .get()
            .ok_or_else(|| unavailable("STARTING", "the stores are not open yet"))?;
        stores.get(context).ok_or_else(|| not_found("context"))
    }
}

#[tonic::async_trait]
impl EventLogService for EventLogs {
    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let (caller, request) = accept(request);
        let reader = reader(&caller)?;
        let store = self.store(&request.context)?;
        let mut violations = Violations::new();
        let limit = limit(&mut violations, "limit", request.limit, 256);
        violations.require(request.after >= 0, "after", "must not be negative");
        let cursor = request.cursor.map(Position::try_from).transpose();
        violations.require(cursor.is_ok(), "cursor", "must be a position");
        let cursor = cursor.unwrap_or_default();
        let may_report =
            cursor.is_none() || ConsumerName::from(&*request.consumer).belongs_to(reader);
        violations.require(may_report, "consumer", "must be one of the calling context");
        if let Some(cursor) = cursor {
            let end = store.high_water_mark().await?.seq;
            let is_plausible = cursor.seq.saturating_sub(end) <= FURTHEST;
            violations.require(
                is_plausible,
                "cursor",
                "is too far beyond the end of the log",
            );
        }
        let limit = violations.check(limit)?;
        let events = store.log_after(request.after, limit).await?;
        // Read after the events, so that it is never lower than theirs.
        let reported = match cursor {
            Some(cursor) => {
                let compared = store.compare(cursor, &request.consumer, store::APPLIED);
                compared.await?
            }
            None => Reported {
                high_water_mark: store.high_water_mark().await?,
                resume: None,
            },
        };
        Ok(Response::new(ReadResponse {
            events: truncate(events).into_iter().map(Into::into).collect(),
            head: Some(reported.high_water_mark.into()),
            resume: reported.resume.map(|cursor| proto::Resume {
                cursor: Some(cursor.at.into()),
                skip_after: cursor.skip.after,
                skip_to: cursor.skip.to,
            }),
        }))
    }

    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Result<Response<ListDeadLettersResponse>, Status> {
        let request = request.into_inner();
        let store = self.store(&request.context)?;
        let mut violations = Violations::new();
        let size = limit(&mut violations, "page_size", request.page_size, 100);
        let after = position(&mut violations, &request.page_token);
        let (size, after) = violations.check(size.zip(after))?;
        let letters = store.dead_letters(after, size + 1).await?;
        let (letters, next_page_token) = page::cut(letters, size, token);
        Ok(Response::new(ListDeadLettersResponse {
            next_page_token,
            dead_letters: letters.into_iter().map(dead_letter).collect(),
        }))
    }

    async fn redrive_dead_letters(
        &self,
        request: Request<RedriveDeadLettersRequest>,
    ) -> Result<Response<RedriveDeadLettersResponse>, Status> {
        let request = request.into_inner();
        let store = self.store(&request.context)?;
        let redriven = store.redrive(request.subject).await?;
        if redriven == 0 {
            return Err(status(
                Kind::NotFound,
                "NO_DEAD_LETTERS",
                "there are no such dead letters",
            ));
        }
        tracing::info!(context = %request.context, redriven, "dead letters redriven");
        Ok(Response::new(RedriveDeadLettersResponse {
            redriven: i32::try_from(redriven).unwrap_or(i32::MAX),
        }))
    }
}

/// The context that reads a log. An operator inspects processes, but does not read what their logs contain.
fn reader(caller: &Caller) -> Result<&str, Status> {
    let service = caller.service.as_deref();
    service.filter(|name| *name != DOCTOR).ok_or_else(|| {
        let message = "only contexts of the platform may read a log";
        status(Kind::Unauthenticated, "SERVICE_IDENTITY_REQUIRED", message)
    })
}

/// Validates a limit: 1 to 1000, or 0 for the default.
fn limit(violations: &mut Violations, field: &str, value: i32, default: i64) -> Option<i64> {
    match value {
        0 => Some(default),
        1..=1000 => Some(value.into()),
        _ => {
            violations.add(field, format!("must be 1 to 1000, or 0 for {default}"));
            None
        }
    }
}

/// Truncates events to what fits into a message.
fn truncate(mut events: Vec<Recorded>) -> Vec<Recorded> {
    let mut bytes = 0;
    let fit = events.iter().take_while(|event| {
        let first = bytes == 0;
        bytes += event.data.len() + 512;
        first || bytes <= PAGE_BYTES
    });
    let fit = fit.count();
    events.truncate(fit);
    events
}

/// Decodes a page token: the consumer, producer and sequence number of the last dead letter of the page before.
fn position(violations: &mut Violations, token: &str) -> Option<(String, String, i64)> {
    if token.is_empty() {
        return Some(<(String, String, i64)>::default());
    }
    let [consumer, producer, seq] = violations.page_token(token)?;
    let seq = seq.parse().ok();
    violations.require(seq.is_some(), "page_token", "must be a next_page_token");
    Some((consumer, producer, seq?))
}

fn token(last: &store::DeadLetter) -> String {
    page::token([
        last.consumer.as_str(),
        &*last.event.producer,
        &last.event.seq.to_string(),
    ])
}

fn dead_letter(letter: store::DeadLetter) -> DeadLetter {
    DeadLetter {
        consumer: letter.consumer.to_string(),
        event: Some(letter.event.into()),
        reason: letter.reason,
        attempts: i32::try_from(letter.attempts).unwrap_or(i32::MAX),
        parked: letter.parked,
        next_attempt_time: (!letter.parked).then(|| time::to_proto(letter.next_attempt)),
    }
}
