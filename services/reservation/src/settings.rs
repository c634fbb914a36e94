//! The settings of the context.

use chassis::base::time::SignedDuration;

use crate::domain::booking::Rules;

/// The rules that an operator configures.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// Minutes for which a reservation is held without a payment.
    #[arg(long, env = "BERTH_HOLD_MINUTES", default_value_t = 15, value_parser = clap::value_parser!(i64).range(1..=10_080))]
    hold_minutes: i64,
    /// Hours in which a host can approve a reservation; ends at the start of the stay at the latest.
    #[arg(long, env = "BERTH_APPROVAL_HOURS", default_value_t = 24, value_parser = clap::value_parser!(i64).range(1..=8_760))]
    approval_hours: i64,
    /// Open reservations that a customer may have at the same time.
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
