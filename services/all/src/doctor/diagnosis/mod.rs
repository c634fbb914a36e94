//! Turns the answers of all processes into findings. Pure: two samples of the platform in, findings out.
//!
//! Some differences are normal for a moment: an event that was just recorded, a lease that moves to another replica. So
//! a finding that compares processes, or a cursor with a high-water mark, must hold in two samples, one after the other.

mod platform;
mod process;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use berth::inspection::v1::Context;
use chassis::{
    Timestamp,
    base::time::{SignedDuration, from_proto},
};

use super::{code::Code, finding::Finding, inspector::Answer};

/// The thresholds of findings.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest allowed difference between clocks.
    pub clock: SignedDuration,
    /// The largest allowed lag of a consumer or of the bus, in events.
    pub lag: i64,
    /// How long work may be overdue.
    pub overdue: SignedDuration,
    /// The longest allowed time without a heartbeat of a producer on the bus.
    pub silence: SignedDuration,
    /// How long the failure of a peer is reported.
    pub recent: SignedDuration,
}

/// Whether a sample is ambiguous, so that a second one is needed.
pub fn needs_second_sample(sample: &[Answer]) -> bool {
    platform::leaders(sample, sample).next().is_some() || work::is_unfinished(sample)
}

/// The findings of two samples, the worst first. If one sample was enough it is passed twice.
pub fn diagnose(first: &[Answer], second: &[Answer], limits: &Limits) -> Vec<Finding> {
    let mut findings: Vec<Finding> = second
        .iter()
        .flat_map(|answer| process::diagnose(answer, limits))
        .collect();
    findings.extend(platform::clocks(second, limits));
    findings.extend(platform::versions(second));
    findings.extend(platform::leaders(first, second));
    findings.extend(work::diagnose(first, second, limits));
    let fenced: BTreeSet<String> = findings
        .iter()
        .filter(|finding| finding.code == Code::StoreFenced)
        .map(|finding| finding.context.clone())
        .collect();
    // A fenced context does no work. That follows from the fence and is no finding of its own.
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

/// A context as reported by one process.
#[derive(Clone, Copy)]
struct ContextReport<'a> {
    answer: &'a Answer,
    context: &'a Context,
}

/// The contexts of all processes that answered.
fn reports(sample: &[Answer]) -> impl Iterator<Item = ContextReport<'_>> {
    sample.iter().flat_map(|answer| {
        let contexts = answer
            .response
            .iter()
            .flat_map(|response| &response.contexts);
        contexts.map(move |context| ContextReport { answer, context })
    })
}

/// One report for each context: replicas share their store, so one is enough; the leader knows most.
fn leading_reports(sample: &[Answer]) -> BTreeMap<&str, ContextReport<'_>> {
    let mut leading_reports: BTreeMap<&str, ContextReport<'_>> = BTreeMap::new();
    for report in reports(sample) {
        let known = leading_reports
            .entry(&report.context.context)
            .or_insert(report);
        if report.context.leads && !known.context.leads {
            *known = report;
        }
    }
    leading_reports
}

/// A timestamp of an answer, if it is valid.
fn instant(at: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(from_proto)
}

/// The age of a timestamp by the clock of the process that reported it.
fn age(answer: &Answer, at: Option<&prost_types::Timestamp>) -> Option<SignedDuration> {
    let process = answer.response.as_ref().ok()?.process.as_ref()?;
    let now = instant(process.current_time.as_ref())?;
    Some(now.duration_since(instant(at)?))
}

/// A name reported by a process. An invalid one is not shown, because it appears in commands that operators copy.
fn name(text: &str) -> &str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=64).contains(&text.len()) && text.chars().all(is_name) {
        text
    } else {
        "(unreadable)"
    }
}

/// A duration in a readable unit.
fn human(duration: SignedDuration) -> String {
    let millis = duration.unsigned_abs().as_millis();
    let (seconds, tenths) = (millis / 1000, millis % 1000 / 100);
    match seconds {
        0..120 => format!("{seconds}.{tenths} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
