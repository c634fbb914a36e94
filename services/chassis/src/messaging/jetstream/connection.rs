//! The connection to NATS: made once, kept for ever.

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

/// At most so many messages wait for one subscription. What comes then is dropped: the log has it.
const WAITING: usize = 2048;
/// At most so many messages wait to be sent.
const TO_SEND: usize = 1024;
/// Longest rest between two tries to connect.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Connects, now or as soon as it is possible.
pub(super) async fn connect(settings: &NatsSettings, process: &str) -> Result<Client, NatsError> {
    let servers = settings.servers()?;
    let mut options = ConnectOptions::new()
        .name(process)
        .custom_inbox_prefix(Names::inbox(process))
        .retry_on_initial_connect()
        .connection_timeout(Duration::from_secs(2))
        .request_timeout(Some(super::PATIENCE))
        .ping_interval(Duration::from_secs(5))
        .client_capacity(TO_SEND)
        .subscription_capacity(WAITING)
        .reconnect_delay_callback(rest)
        .event_callback(watch());
    if let Some(file) = &settings.nats_credentials {
        options = known_by(options, file)?;
    }
    if let Some(file) = &settings.nats_ca {
        options = options.add_root_certificates(readable(file)?.into());
    }
    if let (Some(cert), Some(key)) = (&settings.nats_cert, &settings.nats_key) {
        options = options.add_client_certificate(readable(cert)?.into(), readable(key)?.into());
    }
    Ok(options.connect(servers).await?)
}

/// A credentials file, an nkey seed or `user:password`, whichever it is.
fn known_by(options: ConnectOptions, file: &Path) -> Result<ConnectOptions, NatsError> {
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
        let what = "neither credentials, nor an nkey seed, nor user:password";
        Err(failed(std::io::Error::other(what)))
    }
}

/// A file that is missing is told at once and not at the first connection.
fn readable(file: &Path) -> Result<&Path, NatsError> {
    match std::fs::File::open(file) {
        Ok(_) => Ok(file),
        Err(error) => Err(NatsError::File(file.display().to_string(), error)),
    }
}

/// Twice as long each time, and never all at once.
fn rest(attempt: usize) -> Duration {
    let doublings = u32::try_from(attempt.min(10)).unwrap_or(10);
    let longest = Duration::from_millis(2_u64.saturating_pow(doublings)).min(LONGEST_REST);
    longest.mul_f64(rand::rng().random_range(0.5..=1.0))
}

/// Tells and counts what happens to the connection.
fn watch() -> impl Fn(Event) -> std::future::Ready<()> + Send + Sync + 'static {
    connected(false);
    // The same trouble at every try is told once.
    let told: Arc<Mutex<String>> = Arc::default();
    move |event| {
        let text = event.to_string();
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Connected => {
                connected(true);
                told.clear();
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
            _ if *told == text => {}
            _ => {
                tracing::warn!("NATS: {text}");
                *told = text;
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
    fn a_rest_grows_and_is_never_long() {
        assert!(rest(0) <= Duration::from_millis(1));
        for attempt in [10, 100, usize::MAX] {
            assert!(rest(attempt) >= LONGEST_REST / 2 && rest(attempt) <= LONGEST_REST);
        }
    }

    #[test]
    fn what_a_process_is_known_by_is_told_apart() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let known = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            known_by(ConnectOptions::new(), file.path())
        };
        assert!(known("room:secret\n").is_ok());
        assert!(known("SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY\n").is_ok());
        for wrong in ["", "who am I", "-----BEGIN NATS USER JWT-----"] {
            let error = known(wrong).unwrap_err().to_string();
            assert!(error.contains("cannot be used"), "{error}");
        }
        let missing = known_by(ConnectOptions::new(), Path::new("/nowhere"));
        assert!(missing.is_err());
    }
}
