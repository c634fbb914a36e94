//! What the answers of all processes mean. Pure: two looks at the platform in, findings out.
//!
//! Much that looks wrong at one moment is only on its way: an event that was just recorded, a lease that changes hands. So
//! what compares processes, or a cursor with a head, must be seen in two looks, one after the other.

mod across;
mod process;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use berth::inspection::v1::Context;
use chassis::{
    Timestamp,
    base::time::{SignedDuration, from_proto},
};

use super::{ask::Answer, code::Code, finding::Finding};

/// From where on something is a finding.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How far clocks may be apart.
    pub clock: SignedDuration,
    /// How many events a consumer, or the bus, may be behind.
    pub lag: i64,
    /// How long work may be overdue.
    pub overdue: SignedDuration,
    /// How long a producer may give no sign of life on the bus.
    pub silence: SignedDuration,
    /// How long ago the failure of a peer still matters.
    pub recent: SignedDuration,
}

/// Whether a look leaves open what is wrong, so that a second one is needed.
pub fn is_doubtful(look: &[Answer]) -> bool {
    across::leaders(look, look).next().is_some() || work::is_unfinished(look)
}

/// What two looks mean, the worst first. Where one was enough it is both.
pub fn judge(first: &[Answer], second: &[Answer], limits: &Limits) -> Vec<Finding> {
    let mut findings: Vec<Finding> = second
        .iter()
        .flat_map(|answer| process::judge(answer, limits))
        .collect();
    findings.extend(across::clocks(second, limits));
    findings.extend(across::versions(second));
    findings.extend(across::leaders(first, second));
    findings.extend(work::judge(first, second, limits));
    let fenced: BTreeSet<String> = findings
        .iter()
        .filter(|finding| finding.code == Code::StoreFenced)
        .map(|finding| finding.context.clone())
        .collect();
    // Who takes no commands does no work either: that is no finding of its own.
    findings.retain(|finding| {
        let follows = matches!(
            finding.code,
            Code::NoLeader | Code::ConsumerStalled | Code::RelayLags
        );
        !(follows && fenced.contains(&finding.context))
    });
    findings.sort();
    findings.dedup();
    findings
}

/// A context, as one of the processes tells of it.
#[derive(Clone, Copy)]
struct Told<'a> {
    answer: &'a Answer,
    context: &'a Context,
}

/// All that processes tell of contexts.
fn told(look: &[Answer]) -> impl Iterator<Item = Told<'_>> {
    look.iter().flat_map(|answer| {
        let contexts = answer.said.iter().flat_map(|said| &said.contexts);
        contexts.map(move |context| Told { answer, context })
    })
}

/// Who speaks for each context: replicas share their store, so one is enough; the one that leads knows most.
fn speakers(look: &[Answer]) -> BTreeMap<&str, Told<'_>> {
    let mut speakers: BTreeMap<&str, Told<'_>> = BTreeMap::new();
    for told in told(look) {
        let known = speakers.entry(&told.context.context).or_insert(told);
        if told.context.leads && !known.context.leads {
            *known = told;
        }
    }
    speakers
}

/// An instant of an answer, if it is one.
fn instant(at: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(from_proto)
}

/// How long ago something was, by the clock of the process that tells it.
fn age(answer: &Answer, at: Option<&prost_types::Timestamp>) -> Option<SignedDuration> {
    let process = answer.said.as_ref().ok()?.process.as_ref()?;
    let now = instant(process.current_time.as_ref())?;
    Some(now.duration_since(instant(at)?))
}

/// The name of something of the platform. What cannot be one is not shown: it stands in commands to be copied.
fn name(text: &str) -> &str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=64).contains(&text.len()) && text.chars().all(is_name) {
        text
    } else {
        "(unreadable)"
    }
}

/// A duration for people, to the tenth of a second.
fn spell(duration: SignedDuration) -> String {
    let millis = duration.unsigned_abs().as_millis();
    let (seconds, tenths) = (millis / 1000, millis % 1000 / 100);
    match seconds {
        0..120 => format!("{seconds}.{tenths} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
