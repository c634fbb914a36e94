//! The settings of the context.

use chassis::base::time::SignedDuration;

use crate::domain::booking::Rules;

/// The rules of the house that an operator may change.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// Minutes for which a reservation is held without being paid.
    #[arg(long, env = "BERTH_HOLD_MINUTES", default_value_t = 15, value_parser = clap::value_parser!(i64).range(1..=10_080))]
    hold_minutes: i64,
    /// Hours a host has to approve a reservation; never beyond its start.
    #[arg(long, env = "BERTH_APPROVAL_HOURS", default_value_t = 24, value_parser = clap::value_parser!(i64).range(1..=8_760))]
    approval_hours: i64,
    /// Open reservations a customer may have.
    #[arg(long, env = "MAX_RESERVATION_PER_PERSON", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    max_reservation_per_person: u32,
}

impl Settings {
    /// The rules.
    pub(crate) fn rules(&self) -> Rules {
        Rules {
            hold: SignedDuration::from_mins(self.hold_minutes),
            approval: SignedDuration::from_hours(self.approval_hours),
            per_person: self.max_reservation_per_person,
        }
    }
}
