//! Whether the contexts do their work: logs, consumers, dead letters, and what is due.

use std::collections::BTreeMap;

use berth::inspection::v1::{Consumer, Context, EventLog};

use super::{
    super::{
        ask::Answer,
        code::Code,
        finding::{Finding, plain},
    },
    Limits, Told, age, name, speakers, spell,
};

/// The logs, by context.
type Logs<'a> = BTreeMap<&'a str, &'a EventLog>;
/// Consumers, by context, name and producer.
type Consumers<'a> = BTreeMap<(&'a str, &'a str, &'a str), &'a Consumer>;

/// Whether anything is behind, as it often is for a moment.
pub(super) fn is_unfinished(look: &[Answer]) -> bool {
    let (logs, consumers) = (logs(look), consumers(look));
    let is_behind = |consumer: &&Consumer| match (consumer.cursor, own_head(&logs, consumer)) {
        (None, _) => false,
        (Some(cursor), Some(head)) => cursor != head,
        (Some(cursor), None) => cursor < consumer.heard_head,
    };
    logs.values().any(|log| is_untold(log)) || consumers.values().any(is_behind)
}

/// What is wrong with the work of the contexts.
pub(super) fn judge(first: &[Answer], second: &[Answer], limits: &Limits) -> Vec<Finding> {
    let before = Sample {
        logs: logs(first),
        consumers: consumers(first),
    };
    let after = Sample {
        logs: logs(second),
        consumers: consumers(second),
    };
    let mut findings = Vec::new();
    for (context, told) in speakers(second) {
        let mut found = letters(told.context);
        found.extend(overdue(told, limits));
        if let Some(log) = &told.context.log {
            found.extend(damage(log));
            let then = before.logs.get(context);
            found.extend(relay(told.context, then.copied(), log, limits));
        }
        for consumer in &told.context.consumers {
            let key = key(context, consumer);
            let then = before.consumers.get(&key);
            found.extend(
                then.and_then(|then| progress((&before, then), (&after, consumer), limits)),
            );
        }
        let Told { answer, .. } = told;
        let of = |finding: Finding| {
            finding
                .of(&answer.process, &answer.address)
                .in_context(name(context))
        };
        findings.extend(found.into_iter().map(of));
    }
    findings
}

/// One look at logs and consumers.
struct Sample<'a> {
    logs: Logs<'a>,
    consumers: Consumers<'a>,
}

fn logs(look: &[Answer]) -> Logs<'_> {
    let told = speakers(look).into_iter();
    told.filter_map(|(context, told)| Some((context, told.context.log.as_ref()?)))
        .collect()
}

fn consumers(look: &[Answer]) -> Consumers<'_> {
    let told = speakers(look).into_iter().flat_map(|(context, told)| {
        let consumers = told.context.consumers.iter();
        consumers.map(move |consumer| (key(context, consumer), consumer))
    });
    told.collect()
}

fn key<'a>(context: &'a str, consumer: &'a Consumer) -> (&'a str, &'a str, &'a str) {
    (context, &consumer.consumer, &consumer.producer)
}

/// How far the log has come that a consumer reads: as its producer says, else as the consumer heard.
fn head(logs: &Logs<'_>, consumer: &Consumer) -> i64 {
    own_head(logs, consumer).unwrap_or(consumer.heard_head)
}

fn own_head(logs: &Logs<'_>, consumer: &Consumer) -> Option<i64> {
    let log = logs.get(consumer.producer.as_str());
    log.map(|log| log.head)
}

fn is_untold(log: &EventLog) -> bool {
    log.unnumbered > 0 || log.handed_over.is_some_and(|told| told < log.head)
}

/// What a consumer did between two looks.
fn progress(
    (before, then): (&Sample<'_>, &Consumer),
    (after, now): (&Sample<'_>, &Consumer),
    limits: &Limits,
) -> Option<Finding> {
    let (cursor_then, cursor) = (then.cursor?, now.cursor?);
    let (consumer, producer) = (name(&now.consumer), name(&now.producer));
    let head = head(&after.logs, now);
    // The cursor was read before the head, so it cannot be beyond it by being newer.
    let is_beyond = |head: i64| cursor_then > head;
    let (code, what) = if own_head(&after.logs, now).is_some_and(is_beyond) {
        let what =
            format!("{consumer} has consumed {cursor_then} events of {producer}, which has {head}");
        (Code::LogRegressed, what)
    } else if cursor >= head {
        return None;
    } else {
        let stands = cursor == cursor_then && cursor < self::head(&before.logs, then);
        let lag = head.saturating_sub(cursor);
        let place = format!("{consumer} is at {cursor} of {head} of {producer}");
        let why = match plain(&now.last_error) {
            none if none.is_empty() => String::new(),
            why => format!("; it failed last with: {why}"),
        };
        if now.gap && stands {
            (
                Code::LogGap,
                format!("{place}, and the log lacks what comes next"),
            )
        } else if stands {
            (
                Code::ConsumerStalled,
                format!("{place} and does not move{why}"),
            )
        } else if lag > limits.lag {
            (Code::ConsumerLags, format!("{place}{why}"))
        } else {
            return None;
        }
    };
    Some(Finding::new(code, what).from(producer))
}

/// Whether the numbers of a log have gaps.
fn damage(log: &EventLog) -> Option<Finding> {
    let what = format!("its log lacks {} of its last events", log.missing);
    (log.missing != 0).then(|| Finding::new(Code::LogGap, what))
}

/// Whether what is new is numbered and told to the bus.
fn relay(
    context: &Context,
    then: Option<&EventLog>,
    now: &EventLog,
    limits: &Limits,
) -> Option<Finding> {
    let then = then?;
    let numbered = now.unnumbered == 0 || now.unnumbered < then.unnumbered || now.head > then.head;
    if then.unnumbered > 0 && !numbered {
        let what = format!("{} events have no number yet", now.unnumbered);
        return Some(Finding::new(Code::RelayLags, what));
    }
    let (before, told) = (then.handed_over?, now.handed_over?);
    let stands = told <= before && before < then.head && told < now.head;
    let far = now.head.saturating_sub(told) > limits.lag;
    let what = format!("the bus was told of {told} of {} events", now.head);
    (context.leads && (stands || far)).then(|| Finding::new(Code::RelayLags, what))
}

fn letters(context: &Context) -> Vec<Finding> {
    let mut findings = Vec::new();
    for letters in &context.dead_letters {
        let (consumer, producer) = (name(&letters.consumer), name(&letters.producer));
        let mut add = |code, count: i64, what: &str| {
            if count > 0 {
                let what = format!("{count} events of {producer} {what} in {consumer}");
                findings.push(Finding::new(code, what).from(producer));
            }
        };
        add(
            Code::DeadLettersParked,
            letters.parked,
            "wait for an operator",
        );
        add(Code::DeadLetters, letters.waiting, "are tried again");
    }
    findings
}

fn overdue(told: Told<'_>, limits: &Limits) -> Option<Finding> {
    let due = told.context.due.as_ref()?;
    let ago = age(told.answer, due.longest_due_time.as_ref())?;
    let what = format!("{} are due, the first for {}", due.count, spell(ago));
    (due.count > 0 && ago > limits.overdue).then(|| Finding::new(Code::Overdue, what))
}
