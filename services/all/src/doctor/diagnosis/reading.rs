//! Reads the answers of a sample: the reports about contexts, times and names.

use std::collections::BTreeMap;

use berth::inspection::v1::Context;
use chassis::{
    Timestamp,
    base::time::{SignedDuration, from_proto},
};

use super::super::inspector::Answer;

/// A context as reported by one process.
#[derive(Clone, Copy)]
pub(super) struct ContextReport<'a> {
    pub(super) answer: &'a Answer,
    pub(super) context: &'a Context,
}

/// The contexts of all processes that answered.
pub(super) fn reports(sample: &[Answer]) -> impl Iterator<Item = ContextReport<'_>> {
    sample.iter().flat_map(|answer| {
        let contexts = answer
            .response
            .iter()
            .flat_map(|response| &response.contexts);
        contexts.map(move |context| ContextReport { answer, context })
    })
}

/// One report for each context: replicas share their store, so one is enough; the leader knows most.
pub(super) fn leading_reports(sample: &[Answer]) -> BTreeMap<&str, ContextReport<'_>> {
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
pub(super) fn instant(at: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(from_proto)
}

/// The age of a timestamp by the clock of the process that reported it.
pub(super) fn age(answer: &Answer, at: Option<&prost_types::Timestamp>) -> Option<SignedDuration> {
    let process = answer.response.as_ref().ok()?.process.as_ref()?;
    let now = instant(process.current_time.as_ref())?;
    Some(now.duration_since(instant(at)?))
}

/// A name reported by a process. An invalid one is not shown, because it appears in commands that operators copy.
pub(super) fn name(text: &str) -> &str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=64).contains(&text.len()) && text.chars().all(is_name) {
        text
    } else {
        "(unreadable)"
    }
}

/// A duration in a readable unit.
pub(super) fn human(duration: SignedDuration) -> String {
    let millis = duration.unsigned_abs().as_millis();
    let (seconds, tenths) = (millis / 1000, millis % 1000 / 100);
    match seconds {
        0..120 => format!("{seconds}.{tenths} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
