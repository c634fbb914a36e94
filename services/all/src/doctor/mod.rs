//! `berth doctor`: asks every process how it is, compares what they say, and tells what is wrong and what to do about it.
//!
//! It only asks. It is useful while half of the processes are dead: it says which, and goes on; no process is waited for
//! longer than `--timeout`. Its exit code is that of the worst finding ([`Code`]), 0 if nothing is wrong.

mod ask;
mod code;
mod finding;
mod judge;
mod show;

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
    security::service_identity::{BadServiceKey, ServiceKey},
};
use clap::{ArgMatches, Args, Command, FromArgMatches};

pub use self::{
    ask::{Answer, Asker, Silence, Target},
    code::{About, Code, Severity},
    finding::Finding,
    judge::{Limits, is_doubtful, judge},
    show::Report,
};

/// What the command line calls it.
pub const NAME: &str = "doctor";

/// What the doctor is told.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// The processes to ask, by their admin ports: `reservation=http://127.0.0.1:9202,room=…`; replicas have the same name
    #[arg(
        long,
        env = "BERTH_DOCTOR_ADMIN",
        default_value = "berth=http://127.0.0.1:8081",
        value_delimiter = ',',
        value_name = "ADDRESSES"
    )]
    pub admin: Vec<Target>,
    /// File with the key by which services know each other; without one that of a local `berth` is looked for in its data
    /// directory
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
    /// Tells it to programs: one JSON object
    #[arg(long, env = "BERTH_DOCTOR_JSON")]
    pub json: bool,
    /// How long a process may take to answer
    #[arg(long, env = "BERTH_DOCTOR_TIMEOUT", default_value = "2s", value_parser = duration, value_name = "TIME")]
    pub timeout: Duration,
    /// How long after the first look the second one is taken, if the first leaves open what is wrong
    #[arg(long, env = "BERTH_DOCTOR_PAUSE", default_value = "2s", value_parser = duration, value_name = "TIME")]
    pub pause: Duration,
    /// How far clocks may be apart
    #[arg(long, env = "BERTH_DOCTOR_MAX_CLOCK_DIFFERENCE", default_value = "2s", value_parser = duration, value_name = "TIME")]
    pub max_clock_difference: Duration,
    /// How many events a consumer, or the bus, may be behind
    #[arg(long, env = "BERTH_DOCTOR_MAX_LAG", default_value_t = 1000, value_parser = clap::value_parser!(i64).range(0..), value_name = "N")]
    pub max_lag: i64,
    /// How long work may be overdue
    #[arg(long, env = "BERTH_DOCTOR_MAX_OVERDUE", default_value = "1m", value_parser = duration, value_name = "TIME")]
    pub max_overdue: Duration,
    /// How long a producer may give no sign of life on the bus
    #[arg(long, env = "BERTH_DOCTOR_MAX_SILENCE", default_value = "10s", value_parser = duration, value_name = "TIME")]
    pub max_silence: Duration,
    /// How long ago a call to a peer that failed still matters
    #[arg(long, env = "BERTH_DOCTOR_RECENT", default_value = "5m", value_parser = duration, value_name = "TIME")]
    pub recent: Duration,
}

impl Settings {
    /// The key to ask with: the one that is named, or else that of a local platform if there is one.
    fn key(&self) -> Result<Option<ServiceKey>, BadServiceKey> {
        let own = |dir: &Path| dir.join(OWN_KEY);
        match &self.service_key_file {
            Some(file) => ServiceKey::read(file).map(Some),
            None => match ServiceKey::read(&own(&self.data_dir)) {
                // A platform that is not there has no key; that nobody answers tells more.
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

    /// Examines the platform, by a clock.
    pub async fn examine(&self, clock: Clock) -> Result<Report, BadServiceKey> {
        let asker = Asker {
            key: self.key()?,
            clock,
            patience: self.timeout,
        };
        let first = asker.ask(&self.admin).await;
        let second = if is_doubtful(&first) {
            tokio::time::sleep(self.pause).await;
            asker.ask(&self.admin).await
        } else {
            first.clone()
        };
        let findings = judge(&first, &second, &self.limits());
        Ok(Report {
            answers: second,
            findings,
        })
    }
}

/// The subcommand.
pub fn command() -> Command {
    let about = "Asks every process how it is, compares what they say, and tells what is wrong and what to do about it";
    Settings::augment_args(Command::new(NAME))
        .about(about)
        .after_help("The exit code is that of the worst finding, 0 if nothing is wrong: see docs/operating.md")
}

/// Examines, tells, and answers the exit code.
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
    // Who closes the pipe has read enough.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::from(report.exit_code())
}
