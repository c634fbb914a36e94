//! What only who sees all processes can see: who leads, whose clock differs, whose version is another.

use std::collections::{BTreeMap, BTreeSet};

use chassis::base::time::SignedDuration;

use super::{
    super::{
        ask::{Answer, Silence},
        code::Code,
        finding::{Finding, plain},
    },
    Limits, instant, name, spell, told,
};

/// Contexts that nobody leads, or several, in both looks.
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
                    "no replica that answers leads",
                )),
                (2.., 2..) => Some(Finding::new(Code::TwoLeaders, format!("{names} lead"))),
                _ => None,
            }
            .map(|finding| finding.in_context(context))
        })
}

/// Who leads each context.
fn leading(look: &[Answer]) -> BTreeMap<&str, Vec<String>> {
    let mut leaders: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for told in told(look) {
        let of_context = leaders.entry(&told.context.context).or_default();
        if told.context.leads {
            of_context.push(format!(
                "{} at {}",
                told.answer.process, told.answer.address
            ));
        }
    }
    leaders
}

/// Processes of different versions.
pub(super) fn versions(look: &[Answer]) -> Option<Finding> {
    let mut versions: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for answer in look {
        if let Some(who) = answer
            .said
            .as_ref()
            .ok()
            .and_then(|said| said.process.as_ref())
        {
            let of_version = versions.entry(plain(&who.version)).or_default();
            of_version.insert(&answer.process);
        }
    }
    let spelt = versions.iter().map(|(version, processes)| {
        let processes: Vec<&str> = processes.iter().copied().collect();
        format!("{version}: {}", processes.join(", "))
    });
    let spelt: Vec<String> = spelt.collect();
    (versions.len() > 1).then(|| Finding::new(Code::VersionMixed, spelt.join("; ")))
}

/// How far a clock is ahead of the one here: somewhere in between.
struct Ahead<'a> {
    answer: &'a Answer,
    least: SignedDuration,
    most: SignedDuration,
}

impl Ahead<'_> {
    fn about(&self) -> SignedDuration {
        (self.least + self.most) / 2
    }

    /// How far it is at least from another one.
    fn beyond(&self, other: SignedDuration) -> SignedDuration {
        let below = other.saturating_sub(self.most);
        let above = self.least.saturating_sub(other);
        below.max(above)
    }
}

/// Clocks that differ: from most of the others if there are three or more, else from the one here.
pub(super) fn clocks(look: &[Answer], limits: &Limits) -> Vec<Finding> {
    let ahead: Vec<Ahead<'_>> = look.iter().filter_map(ahead).collect();
    let mut abouts: Vec<SignedDuration> = ahead.iter().map(Ahead::about).collect();
    abouts.sort();
    let middle = match abouts.len() {
        0..3 => SignedDuration::ZERO,
        many => abouts.get(many / 2).copied().unwrap_or_default(),
    };
    let differs = |by: SignedDuration, how: SignedDuration| {
        let way = if how.is_negative() { "behind" } else { "ahead" };
        format!("its clock is {} {way}", spell(by))
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
            "the clock of this machine differs from most by {}",
            spell(middle)
        );
        findings.push(Finding::new(Code::ClockDiffers, what));
    }
    findings
}

fn ahead(answer: &Answer) -> Option<Ahead<'_>> {
    let (shown, exact) = match &answer.said {
        Ok(said) => (
            instant(said.process.as_ref()?.current_time.as_ref())?,
            SignedDuration::ZERO,
        ),
        // Only its seconds are known.
        Err(Silence::Refused(_, shown)) => ((*shown)?, SignedDuration::from_secs(1)),
        Err(_) => return None,
    };
    Some(Ahead {
        answer,
        least: shown.duration_since(answer.answered),
        most: shown.duration_since(answer.asked).saturating_add(exact),
    })
}
