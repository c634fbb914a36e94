//! The report of a recovery.

use std::{collections::BTreeMap, fmt};

use chassis::{domain::event::Recorded, store::WriteFence};

/// The result for a lost event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is on the log again and was applied to its aggregate.
    Restored,
    /// It is on the log again. Its aggregate cannot be restored from events and is unchanged.
    Appended,
    /// It contradicts the current state; the text says why.
    Impossible(String),
    /// No source has it.
    Gone,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Restored => f.write_str("restored"),
            Self::Appended => f.write_str("on the log, the aggregate is unchanged"),
            Self::Impossible(why) => write!(f, "impossible: {why}"),
            Self::Gone => f.write_str("gone: no source has it"),
        }
    }
}

/// An event that was lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// Its position.
    pub seq: i64,
    /// The event, if a source has it.
    pub event: Option<Recorded>,
    /// The result.
    pub fate: Fate,
}

/// The lost events of a log, and the result for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The context.
    pub context: &'static str,
    /// Why the store is read-only.
    pub fence: WriteFence,
    /// Where its log ended.
    pub head: i64,
    /// The last event before the lost ones.
    pub fork: i64,
    /// Whether a source or the operator has shown it.
    pub fork_is_known: bool,
    /// How many events had taken the numbers of lost ones, and get new numbers.
    pub moved: usize,
    /// The lost events, in order.
    pub losses: Vec<Loss>,
    /// Whether it was recovered. If not, nothing was changed.
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

    /// The versions of each aggregate before and after its lost events.
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
                "  gone: look for a newer copy of the log (--from). With --accept-losses an EventLost replaces each;"
            )?;
            writeln!(
                f,
                "    payments of lost reservations are refunded automatically."
            )?;
        }
        if self.count(|fate| matches!(fate, Fate::Impossible(_))) > 0 {
            writeln!(
                f,
                "  impossible: later changes contradict the event, and stay. With --accept-losses an EventLost replaces"
            )?;
            writeln!(
                f,
                "    each, and its payments are refunded. Inform the customers."
            )?;
        }
        if self.count(|fate| *fate == Fate::Appended) > 0 {
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
        if self.moved > 0 {
            writeln!(
                f,
                "  {} events after {} had taken the numbers of lost ones, and follow behind them",
                self.moved, self.fork
            )?;
        }
        if !self.fork_is_known {
            writeln!(
                f,
                "  no source shows where the loss begins; it is assumed to begin after {} (--fork names another event)",
                self.fork
            )?;
        }
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
