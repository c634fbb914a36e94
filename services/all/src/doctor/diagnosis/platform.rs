//! Findings that compare all processes: leaders, clocks and versions.

use std::collections::{BTreeMap, BTreeSet};

use chassis::base::time::SignedDuration;

use super::{
    super::{
        code::Code,
        finding::{Finding, plain},
        inspector::{Answer, NoAnswer},
    },
    limits::Limits,
    reading::{human, instant, name, reports},
};

/// Contexts without a leader, or with several, in both samples.
pub(super) fn leaders<'a>(
    first: &'a [Answer],
    second: &'a [Answer],
) -> impl Iterator<Item = Finding> + 'a {
    let before = leading(first);
    leading(second)
        .into_iter()
        .filter_map(move |(context, leaders)| {
            let context = name(context);
            let then = before.get(context)?;
            let names = leaders.join(", ");
            match (then.len(), leaders.len()) {
                (0, 0) => Some(Finding::new(
                    Code::NoLeader,
                    "none of the replicas that answer leads",
                )),
                (2.., 2..) => Some(Finding::new(Code::TwoLeaders, format!("{names} lead"))),
                _ => None,
            }
            .map(|finding| finding.in_context(context))
        })
}

/// The leaders of each context.
fn leading(sample: &[Answer]) -> BTreeMap<&str, Vec<String>> {
    let mut leaders: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for report in reports(sample) {
        let of_context = leaders.entry(&report.context.context).or_default();
        if report.context.leads {
            of_context.push(format!(
                "{} at {}",
                report.answer.process, report.answer.address
            ));
        }
    }
    leaders
}

/// Processes of different versions.
pub(super) fn versions(sample: &[Answer]) -> Option<Finding> {
    let mut versions: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for answer in sample {
        if let Some(who) = answer
            .response
            .as_ref()
            .ok()
            .and_then(|response| response.process.as_ref())
        {
            let of_version = versions.entry(plain(&who.version)).or_default();
            of_version.insert(&answer.process);
        }
    }
    let lines = versions.iter().map(|(version, processes)| {
        let processes: Vec<&str> = processes.iter().copied().collect();
        format!("{version}: {}", processes.join(", "))
    });
    let lines: Vec<String> = lines.collect();
    (versions.len() > 1).then(|| Finding::new(Code::VersionMixed, lines.join("; ")))
}

/// How far a clock is ahead of the clock here: between these bounds, because the request takes time.
struct Ahead<'a> {
    answer: &'a Answer,
    least: SignedDuration,
    most: SignedDuration,
}

impl Ahead<'_> {
    fn about(&self) -> SignedDuration {
        (self.least + self.most) / 2
    }

    /// The smallest possible difference from another offset.
    fn beyond(&self, other: SignedDuration) -> SignedDuration {
        let below = other.saturating_sub(self.most);
        let above = self.least.saturating_sub(other);
        below.max(above)
    }
}

/// Clocks that differ from the median of three or more processes, or from the clock here.
pub(super) fn clocks(sample: &[Answer], limits: &Limits) -> Vec<Finding> {
    let ahead: Vec<Ahead<'_>> = sample.iter().filter_map(ahead).collect();
    let mut abouts: Vec<SignedDuration> = ahead.iter().map(Ahead::about).collect();
    abouts.sort();
    let middle = match abouts.len() {
        0..3 => SignedDuration::ZERO,
        many => abouts.get(many / 2).copied().unwrap_or_default(),
    };
    let differs = |by: SignedDuration, how: SignedDuration| {
        let way = if how.is_negative() { "behind" } else { "ahead" };
        format!("its clock is {} {way}", human(by))
    };
    let mut findings: Vec<Finding> = ahead
        .iter()
        .filter(|clock| clock.beyond(middle) > limits.clock)
        .map(|clock| {
            let how = clock.about().saturating_sub(middle);
            Finding::new(Code::ClockDiffers, differs(clock.beyond(middle), how))
                .of(&clock.answer.process, &clock.answer.address)
        })
        .collect();
    if middle.abs() > limits.clock {
        let what = format!(
            "the clock of this machine differs from most others by {}",
            human(middle)
        );
        findings.push(Finding::new(Code::ClockDiffers, what));
    }
    findings
}

fn ahead(answer: &Answer) -> Option<Ahead<'_>> {
    let (shown, exact) = match &answer.response {
        Ok(response) => (
            instant(response.process.as_ref()?.current_time.as_ref())?,
            SignedDuration::ZERO,
        ),
        // The HTTP header `date` has full seconds only.
        Err(NoAnswer::Refused(_, shown)) => ((*shown)?, SignedDuration::from_secs(1)),
        Err(_) => return None,
    };
    Some(Ahead {
        answer,
        least: shown.duration_since(answer.answered),
        most: shown.duration_since(answer.asked).saturating_add(exact),
    })
}
