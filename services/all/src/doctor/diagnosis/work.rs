//! Findings about the work of contexts: logs, consumers, dead letters, and overdue work.

use std::collections::BTreeMap;

use berth::inspection::v1::{Consumer, Context, EventLog};

use super::{
    super::{
        code::Code,
        finding::{Finding, plain},
        inspector::Answer,
    },
    limits::Limits,
    reading::{ContextReport, age, human, leading_reports, name},
};

/// The logs, by context.
type Logs<'a> = BTreeMap<&'a str, &'a EventLog>;
/// Consumers, by context, name and producer.
type Consumers<'a> = BTreeMap<(&'a str, &'a str, &'a str), &'a Consumer>;

/// Whether a consumer or the relay is behind. That is often so for a moment, so a second sample is needed.
pub(super) fn is_unfinished(sample: &[Answer]) -> bool {
    let (logs, consumers) = (logs(sample), consumers(sample));
    let is_behind = |consumer: &&Consumer| match (consumer.cursor, own_head(&logs, consumer)) {
        (None, _) => false,
        (Some(cursor), Some(head)) => cursor != head || has_other_events(&logs, consumer),
        (Some(cursor), None) => cursor < consumer.high_water_mark,
    };
    logs.values().any(|log| has_unpublished(log)) || consumers.values().any(is_behind)
}

/// Compares two samples of logs and consumers.
pub(super) fn diagnose(first: &[Answer], second: &[Answer], limits: &Limits) -> Vec<Finding> {
    let before = Indexed {
        logs: logs(first),
        consumers: consumers(first),
    };
    let after = Indexed {
        logs: logs(second),
        consumers: consumers(second),
    };
    let mut findings = Vec::new();
    for (context, report) in leading_reports(second) {
        let mut found = dead_letters(report.context);
        found.extend(overdue(report, limits));
        if let Some(log) = &report.context.log {
            found.extend(damage(log));
            let then = before.logs.get(context);
            found.extend(relay(report.context, then.copied(), log, limits));
        }
        for consumer in &report.context.consumers {
            let key = key(context, consumer);
            let then = before.consumers.get(&key);
            found.extend(
                then.and_then(|then| progress((&before, then), (&after, consumer), limits)),
            );
        }
        let ContextReport { answer, .. } = report;
        let of = |finding: Finding| {
            finding
                .of(&answer.process, &answer.address)
                .in_context(name(context))
        };
        findings.extend(found.into_iter().map(of));
    }
    findings
}

/// The logs and consumers of one sample.
struct Indexed<'a> {
    logs: Logs<'a>,
    consumers: Consumers<'a>,
}

fn logs(sample: &[Answer]) -> Logs<'_> {
    leading_reports(sample)
        .into_iter()
        .filter_map(|(context, report)| Some((context, report.context.log.as_ref()?)))
        .collect()
}

fn consumers(sample: &[Answer]) -> Consumers<'_> {
    leading_reports(sample)
        .into_iter()
        .flat_map(|(context, report)| {
            let consumers = report.context.consumers.iter();
            consumers.map(move |consumer| (key(context, consumer), consumer))
        })
        .collect()
}

fn key<'a>(context: &'a str, consumer: &'a Consumer) -> (&'a str, &'a str, &'a str) {
    (context, &consumer.consumer, &consumer.producer)
}

/// The high-water mark of the log that a consumer reads: reported by the producer, else by the consumer.
fn head(logs: &Logs<'_>, consumer: &Consumer) -> i64 {
    own_head(logs, consumer).unwrap_or(consumer.high_water_mark)
}

fn own_head(logs: &Logs<'_>, consumer: &Consumer) -> Option<i64> {
    let log = logs.get(consumer.producer.as_str());
    log.map(|log| log.head)
}

/// Whether a consumer is at the end of a log and has applied other events than it has.
fn has_other_events(logs: &Logs<'_>, consumer: &Consumer) -> bool {
    logs.get(consumer.producer.as_str()).is_some_and(|log| {
        let is_at_end = consumer.cursor == Some(log.head);
        is_at_end && !consumer.digest.is_empty() && consumer.digest != log.digest
    })
}

fn has_unpublished(log: &EventLog) -> bool {
    log.unnumbered > 0 || log.published.is_some_and(|published| published < log.head)
}

/// Compares the positions of a consumer in two samples.
fn progress(
    (before, then): (&Indexed<'_>, &Consumer),
    (after, now): (&Indexed<'_>, &Consumer),
    limits: &Limits,
) -> Option<Finding> {
    let (cursor_then, cursor) = (then.cursor?, now.cursor?);
    let (consumer, producer) = (name(&now.consumer), name(&now.producer));
    let head = head(&after.logs, now);
    // The cursor is from the first sample and the head from the second, so a greater cursor is a regression.
    let is_beyond = |head: i64| cursor_then > head;
    let (code, what) = if own_head(&after.logs, now).is_some_and(is_beyond) {
        let what = format!(
            "{consumer} has applied {cursor_then} events of {producer}, whose log ends at {head}"
        );
        (Code::LogRegressed, what)
    } else if has_other_events(&after.logs, now) {
        let what = format!(
            "{consumer} has applied other events of {producer} up to {cursor} than its log has"
        );
        (Code::LogRegressed, what)
    } else if cursor >= head {
        return None;
    } else {
        let stalled = cursor == cursor_then && cursor < self::head(&before.logs, then);
        let lag = head.saturating_sub(cursor);
        let position = format!("{consumer} has applied {cursor} of {head} events of {producer}");
        let why = match plain(&now.last_error) {
            none if none.is_empty() => String::new(),
            why => format!("; last error: {why}"),
        };
        if now.gap && stalled {
            (
                Code::LogGap,
                format!("{position}, and the log lacks the next one"),
            )
        } else if stalled {
            (
                Code::ConsumerStalled,
                format!("{position} and does not move{why}"),
            )
        } else if lag > limits.lag {
            (Code::ConsumerLags, format!("{position}{why}"))
        } else {
            return None;
        }
    };
    Some(Finding::new(code, what).from(producer))
}

/// A gap in the sequence numbers of a log.
fn damage(log: &EventLog) -> Option<Finding> {
    let what = format!("its log lacks {} of its latest events", log.missing);
    (log.missing != 0).then(|| Finding::new(Code::LogGap, what))
}

/// Whether the relay numbers new events and publishes them to the bus.
fn relay(
    context: &Context,
    then: Option<&EventLog>,
    now: &EventLog,
    limits: &Limits,
) -> Option<Finding> {
    let then = then?;
    let numbered = now.unnumbered == 0 || now.unnumbered < then.unnumbered || now.head > then.head;
    if then.unnumbered > 0 && !numbered {
        let what = format!("{} events have no sequence number yet", now.unnumbered);
        return Some(Finding::new(Code::RelayLags, what));
    }
    let (before, published) = (then.published?, now.published?);
    let stalled = published <= before && before < then.head && published < now.head;
    let far = now.head.saturating_sub(published) > limits.lag;
    let what = format!(
        "{published} of {} events have been published to the bus",
        now.head
    );
    (context.leads && (stalled || far)).then(|| Finding::new(Code::RelayLags, what))
}

fn dead_letters(context: &Context) -> Vec<Finding> {
    let mut findings = Vec::new();
    for letters in &context.dead_letters {
        let (consumer, producer) = (name(&letters.consumer), name(&letters.producer));
        let mut add = |code, count: i64, what: &str| {
            if count > 0 {
                let what = format!("{count} events of {producer} {what} in {consumer}");
                findings.push(Finding::new(code, what).from(producer));
            }
        };
        add(Code::DeadLettersParked, letters.parked, "are parked");
        add(Code::DeadLetters, letters.waiting, "are retried");
    }
    findings
}

fn overdue(report: ContextReport<'_>, limits: &Limits) -> Option<Finding> {
    let due = report.context.due.as_ref()?;
    let ago = age(report.answer, due.longest_due_time.as_ref())?;
    let what = format!("{} are due, the earliest since {}", due.count, human(ago));
    (due.count > 0 && ago > limits.overdue).then(|| Finding::new(Code::Overdue, what))
}
