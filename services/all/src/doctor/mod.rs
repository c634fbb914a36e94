//! `berth doctor`: inspects every process, compares the answers, and reports problems with their remedies.
//!
//! It changes nothing. It works while processes are down: it reports them and continues, and waits for no process longer
//! than `--timeout`. Its exit code is that of the worst finding ([`Code`]), 0 without findings.

mod code;
mod diagnosis;
mod finding;
mod inspector;
mod report;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use chassis::{
    Clock,
    base::{flag_values::duration, time::SignedDuration},
    cli::usage,
    runtime::start::OWN_KEY,
    security::service_identity::{BadServiceKey, DOCTOR, ServiceKey},
};
use clap::{ArgMatches, Args, Command, FromArgMatches};

pub use self::{
    code::{About, Code, Severity},
    diagnosis::{Limits, diagnose, needs_second_sample},
    finding::Finding,
    inspector::{Answer, Inspector, NoAnswer, Target},
    report::Report,
};

/// The name of the subcommand.
pub const NAME: &str = "doctor";

/// The settings of the doctor.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// The processes to inspect, by their admin ports: `reservation=http://127.0.0.1:9202,room=…`; replicas have the same name
    #[arg(
        long,
        env = "BERTH_DOCTOR_ADMIN",
        default_value = "berth=http://127.0.0.1:8081",
        value_delimiter = ',',
        value_name = "ADDRESSES"
    )]
    pub admin: Vec<Target>,
    /// File with the private key of the doctor; without it the key of a local `berth` is read from its data directory
    #[arg(long, env = "BERTH_SERVICE_KEY_FILE", value_name = "FILE")]
    pub service_key_file: Option<PathBuf>,
    /// The data directory of a local `berth`
    #[arg(
        long,
        env = "BERTH_DATA_DIR",
        default_value = "./data",
        value_name = "DIR"
    )]
    pub data_dir: PathBuf,
    /// Print the report as one JSON object
    #[arg(long, env = "BERTH_DOCTOR_JSON")]
    pub json: bool,
    /// Timeout of each process
    #[arg(long, env = "BERTH_DOCTOR_TIMEOUT", default_value = "2s", value_parser = duration, value_name = "TIME")]
    pub timeout: Duration,
    /// Pause before the second sample, which is taken if the first one is ambiguous
    #[arg(long, env = "BERTH_DOCTOR_PAUSE", default_value = "2s", value_parser = duration, value_name = "TIME")]
    pub pause: Duration,
    /// Largest allowed difference between clocks
    #[arg(long, env = "BERTH_DOCTOR_MAX_CLOCK_DIFFERENCE", default_value = "2s", value_parser = duration, value_name = "TIME")]
    pub max_clock_difference: Duration,
    /// Largest allowed lag of a consumer or of the bus, in events
    #[arg(long, env = "BERTH_DOCTOR_MAX_LAG", default_value_t = 1000, value_parser = clap::value_parser!(i64).range(0..), value_name = "N")]
    pub max_lag: i64,
    /// How long scheduled work may be overdue
    #[arg(long, env = "BERTH_DOCTOR_MAX_OVERDUE", default_value = "1m", value_parser = duration, value_name = "TIME")]
    pub max_overdue: Duration,
    /// Longest allowed time without a heartbeat of a producer on the bus
    #[arg(long, env = "BERTH_DOCTOR_MAX_SILENCE", default_value = "10s", value_parser = duration, value_name = "TIME")]
    pub max_silence: Duration,
    /// How long a failed call to a peer is reported
    #[arg(long, env = "BERTH_DOCTOR_RECENT", default_value = "5m", value_parser = duration, value_name = "TIME")]
    pub recent: Duration,
}

impl Settings {
    /// The key of the doctor: from the given file, or else from a local platform if there is one.
    fn key(&self) -> Result<Option<ServiceKey>, BadServiceKey> {
        let own = |dir: &Path| dir.join(OWN_KEY);
        match &self.service_key_file {
            Some(file) => ServiceKey::read(DOCTOR, file).map(Some),
            None => match ServiceKey::read(DOCTOR, &own(&self.data_dir)) {
                // Without a local platform there is no key. PROCESS_UNREACHABLE is the better report then.
                Err(BadServiceKey::Unreadable(error))
                    if error.kind() == io::ErrorKind::NotFound =>
                {
                    Ok(None)
                }
                key => key.map(Some),
            },
        }
    }

    fn limits(&self) -> Limits {
        let signed = |time: Duration| SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Limits {
            clock: signed(self.max_clock_difference),
            lag: self.max_lag,
            overdue: signed(self.max_overdue),
            silence: signed(self.max_silence),
            recent: signed(self.recent),
        }
    }

    /// Examines the platform.
    pub async fn examine(&self, clock: Clock) -> Result<Report, BadServiceKey> {
        let inspector = Inspector {
            key: self.key()?,
            clock,
            timeout: self.timeout,
        };
        let first = inspector.inspect_all(&self.admin).await;
        let second = if needs_second_sample(&first) {
            tokio::time::sleep(self.pause).await;
            inspector.inspect_all(&self.admin).await
        } else {
            first.clone()
        };
        let findings = diagnose(&first, &second, &self.limits());
        Ok(Report {
            answers: second,
            findings,
        })
    }
}

/// The subcommand.
pub fn command() -> Command {
    let about =
        "Inspects every process, compares the answers, and reports problems with their remedies";
    Settings::augment_args(Command::new(NAME))
        .about(about)
        .after_help(
            "The exit code is that of the worst finding, 0 without findings: see docs/operating.md",
        )
}

/// Examines the platform, prints the report, and returns the exit code.
pub fn examine(matches: &ArgMatches) -> ExitCode {
    let settings = match Settings::from_arg_matches(matches) {
        Ok(settings) => settings,
        Err(error) => return usage::refuse(&error),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return usage::fail(&error),
    };
    let report = match runtime.block_on(settings.examine(Clock::System)) {
        Ok(report) => report,
        Err(error) => {
            usage::fail(&error);
            return ExitCode::from(usage::USAGE);
        }
    };
    let text = if settings.json {
        report.json() + "\n"
    } else {
        report.text()
    };
    // A closed pipe is no error: its reader has read enough.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::from(report.exit_code())
}
