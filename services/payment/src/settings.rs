//! The settings of the context.

use std::time::Duration;

use secrecy::SecretString;

/// Settings of the payment context.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Settings {
    /// Timeout of a call to the payment provider, in milliseconds; a later outcome is queried by the job.
    #[arg(
        long = "payment-provider-timeout-ms",
        env = "BERTH_PAYMENT_PROVIDER_TIMEOUT_MS",
        default_value_t = 2000,
        value_parser = clap::value_parser!(u64).range(1..=60_000)
    )]
    provider_timeout_ms: u64,

    /// The secret with which the payment provider signs its notifications. Without it every notification is refused.
    #[arg(
        long = "payment-webhook-secret",
        env = "BERTH_PAYMENT_WEBHOOK_SECRET",
        hide_env_values = true
    )]
    pub(crate) webhook_secret: Option<SecretString>,
}

impl Settings {
    /// The timeout of a call to the provider.
    pub(crate) fn provider_timeout(&self) -> Duration {
        Duration::from_millis(self.provider_timeout_ms)
    }
}
