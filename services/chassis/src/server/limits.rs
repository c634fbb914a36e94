//! The limits of a port, as flags.

use std::time::Duration;

use clap::Args;

use crate::{
    base::flag_values::{at_least_one, duration},
    server::source::Trusted,
};

/// The limits of a port. What exceeds them is refused at once, without harm to the other requests.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// Requests in flight; more are refused as UNAVAILABLE
    #[arg(long, env = "BERTH_MAX_IN_FLIGHT", default_value_t = 512, value_parser = at_least_one, value_name = "N")]
    pub max_in_flight: usize,
    /// Requests in flight from one connection; more are refused as UNAVAILABLE
    #[arg(long, env = "BERTH_MAX_IN_FLIGHT_PER_CONNECTION", default_value_t = 128, value_parser = at_least_one, value_name = "N")]
    pub max_in_flight_per_connection: usize,
    /// Requests in flight from one source (an address, or what a trusted proxy names); more are refused as UNAVAILABLE
    #[arg(long, env = "BERTH_MAX_IN_FLIGHT_PER_SOURCE", default_value_t = 128, value_parser = at_least_one, value_name = "N")]
    pub max_in_flight_per_source: usize,
    /// Open response streams, such as `Health.Watch`; one source may have a half of them, one connection a sixteenth
    #[arg(long, env = "BERTH_MAX_RESPONSE_STREAMS", default_value_t = 1024, value_parser = at_least_one, value_name = "N")]
    pub max_response_streams: usize,
    /// Bytes of responses that wait for their callers to receive them; more are refused as UNAVAILABLE
    #[arg(long, env = "BERTH_MAX_WAITING_BYTES", default_value_t = 64 * 1024 * 1024, value_parser = at_least_one, value_name = "N")]
    pub max_waiting_bytes: usize,
    /// The same for one source
    #[arg(long, env = "BERTH_MAX_WAITING_BYTES_PER_SOURCE", default_value_t = 16 * 1024 * 1024, value_parser = at_least_one, value_name = "N")]
    pub max_waiting_bytes_per_source: usize,
    /// The same for one connection
    #[arg(long, env = "BERTH_MAX_WAITING_BYTES_PER_CONNECTION", default_value_t = 4 * 1024 * 1024, value_parser = at_least_one, value_name = "N")]
    pub max_waiting_bytes_per_connection: usize,
    /// Streams of one connection; a well-behaved client waits before it opens more
    #[arg(long, env = "BERTH_MAX_STREAMS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_streams: u32,
    /// Connections; more are closed at once
    #[arg(long, env = "BERTH_MAX_CONNECTIONS", default_value_t = 4096, value_parser = at_least_one, value_name = "N")]
    pub max_connections: usize,
    /// Connections from one IP address; more are closed at once
    #[arg(long, env = "BERTH_MAX_CONNECTIONS_PER_IP", default_value_t = 1024, value_parser = at_least_one, value_name = "N")]
    pub max_connections_per_ip: usize,
    /// Longest time a request may take until its response is received; a caller may set a shorter deadline
    #[arg(long, env = "BERTH_REQUEST_TIMEOUT", default_value = "10s", value_parser = duration, value_name = "TIME")]
    pub request_timeout: Duration,
    /// Time in which a new connection must send its first bytes
    #[arg(long, env = "BERTH_PREFACE_TIMEOUT", default_value = "5s", value_parser = duration, value_name = "TIME")]
    pub preface_timeout: Duration,
    /// After this time a connection gets GOAWAY, so that load spreads over new replicas
    #[arg(long, env = "BERTH_CONNECTION_AGE", default_value = "30m", value_parser = duration, value_name = "TIME")]
    pub connection_age: Duration,
    /// Time that its last requests have after that
    #[arg(long, env = "BERTH_CONNECTION_AGE_GRACE", default_value = "30s", value_parser = duration, value_name = "TIME")]
    pub connection_age_grace: Duration,
    /// Bytes of a request message
    #[arg(long, env = "BERTH_MAX_REQUEST_BYTES", default_value_t = 256 * 1024, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_request_bytes: u32,
    /// Bytes of a response message
    #[arg(long, env = "BERTH_MAX_ANSWER_BYTES", default_value_t = 4 * 1024 * 1024, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_answer_bytes: u32,
    /// Who is believed about the source of a request.
    #[command(flatten)]
    pub trusted: Trusted,
}
