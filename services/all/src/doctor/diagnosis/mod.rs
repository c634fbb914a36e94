//! Turns the answers of all processes into findings. Pure: two samples of the platform in, findings out.
//!
//! Some differences are normal for a moment: an event that was just recorded, a lease that moves to another replica. So
//! a finding about leaders, or that compares a cursor with a high-water mark, must hold in two samples, one after the other.

mod limits;
mod platform;
mod process;
mod reading;
mod work;

use std::collections::BTreeSet;

pub use self::limits::Limits;
use super::{code::Code, finding::Finding, inspector::Answer};

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
