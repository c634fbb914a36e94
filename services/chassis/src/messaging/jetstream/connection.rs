//! The connection to NATS. It is opened once and reconnects by itself.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event};
use rand::Rng;

use crate::messaging::jetstream::{
    settings::{NatsError, NatsSettings},
    subjects::Names,
};

/// How long the broker may take to respond.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// Queue length of a subscription. Further messages are dropped: the log has the events.
const SUBSCRIPTION_CAPACITY: usize = 2048;
/// Maximum number of messages that wait to be sent.
const SEND_CAPACITY: usize = 1024;
/// Longest delay between two attempts to connect.
const LONGEST_DELAY: Duration = Duration::from_secs(1);

/// Connects now or as soon as NATS is there.
pub(super) async fn connect(settings: &NatsSettings, process: &str) -> Result<Client, NatsError> {
    let servers = settings.servers()?;
    let mut options = ConnectOptions::new()
        .name(process)
        .custom_inbox_prefix(Names::inbox(process))
        .retry_on_initial_connect()
        .connection_timeout(Duration::from_secs(2))
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(Duration::from_secs(5))
        .client_capacity(SEND_CAPACITY)
        .subscription_capacity(SUBSCRIPTION_CAPACITY)
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(on_event());
    if let Some(file) = &settings.nats_credentials {
        options = authenticate(options, file)?;
    }
    if let Some(file) = &settings.nats_ca {
        options = options.add_root_certificates(readable(file)?.into());
    }
    if let (Some(cert), Some(key)) = (&settings.nats_cert, &settings.nats_key) {
        options = options.add_client_certificate(readable(cert)?.into(), readable(key)?.into());
    }
    Ok(options.connect(servers).await?)
}

/// Adds the credentials of a file: a credentials file, an nkey seed or `user:password`.
fn authenticate(options: ConnectOptions, file: &Path) -> Result<ConnectOptions, NatsError> {
    let failed = |error| NatsError::File(file.display().to_string(), error);
    let text = std::fs::read_to_string(file).map_err(failed)?;
    let text = text.trim();
    if text.contains("-----BEGIN NATS USER JWT-----") {
        options.credentials(text).map_err(failed)
    } else if let Some((user, password)) = text.split_once(':') {
        Ok(options.user_and_password(user.to_owned(), password.to_owned()))
    } else if text.starts_with("SU") && text.chars().all(|c| c.is_ascii_alphanumeric()) {
        Ok(options.nkey(text.to_owned()))
    } else {
        let what = "it holds neither credentials, nor an nkey seed, nor user:password";
        Err(failed(std::io::Error::other(what)))
    }
}

/// Checks that a file can be read, so that a missing one fails the start and not the first connection.
fn readable(file: &Path) -> Result<&Path, NatsError> {
    match std::fs::File::open(file) {
        Ok(_) => Ok(file),
        Err(error) => Err(NatsError::File(file.display().to_string(), error)),
    }
}

/// The delay before an attempt to connect: doubled each time, with jitter.
fn reconnect_delay(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.min(10)).unwrap_or(10);
    let longest = Duration::from_millis(2_u64.saturating_pow(doublings)).min(LONGEST_DELAY);
    longest.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// Logs and counts the events of the connection.
fn on_event() -> impl Fn(Event) -> std::future::Ready<()> + Send + Sync + 'static {
    connected(false);
    // An error that repeats is logged once.
    let last_logged: Arc<Mutex<String>> = Arc::default();
    move |event| {
        let text = event.to_string();
        let mut last_logged = last_logged.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Connected => {
                connected(true);
                last_logged.clear();
                tracing::info!("NATS is connected");
            }
            Event::Disconnected | Event::Closed => {
                connected(false);
                tracing::warn!("NATS is {text}");
            }
            Event::SlowConsumer(_) => {
                metrics::counter!("berth_bus_dropped_total").increment(1);
                tracing::debug!("NATS: {text}");
            }
            _ if *last_logged == text => {}
            _ => {
                tracing::warn!("NATS: {text}");
                *last_logged = text;
            }
        }
        std::future::ready(())
    }
}

fn connected(is: bool) {
    metrics::gauge!("berth_bus_connected").set(f64::from(u8::from(is)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnect_delay_grows_to_a_limit() {
        assert!(reconnect_delay(0) <= Duration::from_millis(1));
        for attempt in [10, 100, usize::MAX] {
            let delay = reconnect_delay(attempt);
            assert!(delay >= LONGEST_DELAY / 2 && delay <= LONGEST_DELAY);
        }
    }

    #[test]
    fn each_form_of_credentials_is_recognized() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let read = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            authenticate(ConnectOptions::new(), file.path())
        };
        assert!(read("room:secret\n").is_ok());
        assert!(read("SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n").is_ok());
        for wrong in ["", "who am I", "-----BEGIN NATS USER JWT-----"] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("cannot be used"), "{error}");
        }
        let missing = authenticate(ConnectOptions::new(), Path::new("/nowhere"));
        assert!(missing.is_err());
    }
}
