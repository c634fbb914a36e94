//! What was lost, and what became of it, for people.

use std::{collections::BTreeMap, fmt};

use chassis::{domain::event::Recorded, store::WriteFence};

/// What became of a lost event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on the log again, and its aggregate is what came of it.
    Restored,
    /// It is on the log again; its aggregate cannot be made of what is told, and is as it was before.
    Told,
    /// It contradicts what is there, and why.
    Impossible(String),
    /// Nobody has it any more.
    Gone,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restored => f.write_str("restored"),
            Self::Told => f.write_str("on the log, the aggregate is as it was"),
            Self::Impossible(why) => write!(f, "impossible: {why}"),
            Self::Gone => f.write_str("gone: nobody has it any more"),
        }
    }
}

/// An event that was lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// Its place.
    pub seq: i64,
    /// The event, if anybody has it.
    pub event: Option<Recorded>,
    /// What became of it.
    pub fate: Fate,
}

/// What was lost from a log, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The context.
    pub context: &'static str,
    /// Why it can only be read.
    pub fence: WriteFence,
    /// How far its log goes.
    pub head: i64,
    /// What was lost, in order.
    pub losses: Vec<Loss>,
    /// Whether it was recovered; if not nothing was changed.
    pub recovered: bool,
}

impl Report {
    /// Whether nothing is lost for good.
    pub fn is_whole(&self) -> bool {
        self.losses.iter().all(|loss| loss.fate == Fate::Restored)
    }

    fn count(&self, of: impl Fn(&Fate) -> bool) -> usize {
        self.losses.iter().filter(|loss| of(&loss.fate)).count()
    }

    /// From which version to which the lost events took each aggregate.
    fn aggregates(&self) -> BTreeMap<&str, (i64, i64)> {
        let mut versions: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
        for event in self.losses.iter().filter_map(|loss| loss.event.as_ref()) {
            let span = versions.entry(&event.subject);
            span.or_insert((event.version - 1, event.version)).1 = event.version;
        }
        versions
    }

    fn advise(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count(|fate| *fate == Fate::Gone) > 0 {
            writeln!(
                f,
                "  gone: look for a newer copy of the log (--from). With --accept-losses an EventLost takes the place of each;"
            )?;
            writeln!(
                f,
                "    payments of reservations that are gone are refunded by themselves."
            )?;
        }
        if self.count(|fate| matches!(fate, Fate::Impossible(_))) > 0 {
            writeln!(
                f,
                "  impossible: something else has happened in between, and stays. With --accept-losses an EventLost takes the"
            )?;
            writeln!(
                f,
                "    place of each, and payments that belong to it are refunded. Tell the customers."
            )?;
        }
        if self.count(|fate| *fate == Fate::Told) > 0 {
            writeln!(
                f,
                "  on the log only: --accept-losses leaves the aggregates as they are; docs/recovery.md says what to do then."
            )?;
        }
        writeln!(
            f,
            "  after --accept-losses: rebuild the views (ViewService.Rebuild) and try dead letters again (RedriveDeadLetters)."
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { context, fence, .. } = self;
        writeln!(f, "{context}: {fence}. Lost events: {}", self.losses.len())?;
        for Loss { seq, event, fate } in &self.losses {
            match event {
                None => writeln!(f, "  {seq}  {fate}")?,
                Some(event) => writeln!(
                    f,
                    "  {seq}  {} {} {} version {} correlation {}  {fate}",
                    event.at,
                    event.event_type,
                    event.subject,
                    event.version,
                    event.cause.correlation
                )?,
            }
        }
        for (subject, (from, to)) in self.aggregates() {
            writeln!(f, "  aggregate {subject}: version {from} to {to}")?;
        }
        if !self.is_whole() {
            self.advise(f)?;
        }
        let end = if self.recovered {
            "recovered"
        } else {
            "nothing was changed"
        };
        writeln!(f, "{context}: {end}")
    }
}
