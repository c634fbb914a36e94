//! The settings of the context.

use chassis::{Timestamp, base::time::SignedDuration, security::claims::LONGEST_LIFE};
use clap::Args;
use secrecy::SecretString;

use crate::domain::values::Email;

/// Settings of the member context.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Lifetime of an access token in seconds.
    #[arg(long, env = "BERTH_ACCESS_TOKEN_SECONDS", default_value_t = 900,
          value_parser = clap::value_parser!(u32).range(60..=LONGEST_LIFE.as_secs()))]
    pub(crate) access_token_seconds: u32,
    /// Lifetime of a refresh token in days.
    #[arg(long, env = "BERTH_REFRESH_TOKEN_DAYS", default_value_t = 30,
          value_parser = clap::value_parser!(u16).range(1..=365))]
    pub(crate) refresh_token_days: u16,
    /// E-mail address of the first ADMIN, whose account is created at the first start.
    #[arg(long, env = "BERTH_ADMIN_EMAIL", requires = "admin_password")]
    pub(crate) admin_email: Option<Email>,
    /// Password of the first ADMIN, 10 to 200 characters, not easy to guess. Ignored once the account exists.
    #[arg(
        long,
        env = "BERTH_ADMIN_PASSWORD",
        hide_env_values = true,
        requires = "admin_email"
    )]
    pub(crate) admin_password: Option<SecretString>,
}

impl Settings {
    /// When an access token issued now expires.
    pub(crate) fn access_token_expiry(&self, now: Timestamp) -> Timestamp {
        now.saturating_add(self.access_token_lifetime())
            .unwrap_or(now)
    }

    /// When a refresh token issued now expires.
    pub(crate) fn refresh_token_expiry(&self, now: Timestamp) -> Timestamp {
        let hours = i64::from(self.refresh_token_days) * 24;
        now.saturating_add(SignedDuration::from_hours(hours))
            .unwrap_or(now)
    }

    fn access_token_lifetime(&self) -> SignedDuration {
        SignedDuration::from_secs(self.access_token_seconds.into())
    }
}

#[cfg(test)]
mod tests {
    use chassis::runtime::settings::{Settings as Read, SettingsType};
    use clap::Command;

    use super::*;

    #[test]
    fn debug_output_hides_the_password_of_the_first_admin() {
        let types = [SettingsType::of::<Settings>()];
        let line = [
            "x",
            "--admin-email",
            "root@localhost",
            "--admin-password",
            "canary canary",
        ];
        let matches = Settings::augment_args(Command::new("x")).get_matches_from(line);
        let settings = Read::read(&types, &matches).unwrap().get::<Settings>();
        let shown = format!("{:?}", settings.unwrap());
        assert!(shown.contains("root@localhost"), "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
