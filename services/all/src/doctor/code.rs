//! The codes of findings: one for each condition that is worth an alert, the worst first.

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Requests fail, or bookings and payments are at risk.
    Critical,
    /// It becomes critical if it lasts.
    Warning,
}

impl Severity {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// The description of a code. `{…}` in a remedy stands for the subject of the finding.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its name in reports.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The exit code of the doctor if this is the worst finding.
    pub exit: u8,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $code:ident = $name:literal, $severity:ident, $exit:literal: $meaning:literal, $remedy:literal;)+) => {
        /// A kind of finding, the worst first.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])+ $code,)+
        }

        impl Code {
            /// All codes, the worst first.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            /// Its description.
            pub fn about(self) -> About {
                match self {
                    $(Self::$code => About {
                        name: $name,
                        severity: Severity::$severity,
                        exit: $exit,
                        meaning: $meaning,
                        remedy: $remedy,
                    },)+
                }
            }
        }
    };
}

codes! {
    /// A consumer has applied events that the log does not have.
    LogRegressed = "LOG_REGRESSED", Critical, 10:
        "A consumer has applied events that its producer does not have. The producer's database was restored from an older copy, or replaced. The events after that copy are lost at the producer and known to the consumer. New events may have taken their sequence numbers.",
        "Bring the database of `{producer}` up to its last commit (the write-ahead log, the old primary, or a standby that was ahead). If that is lost, `berth recover --context {producer} --dry-run` reports what can be recovered; without `--dry-run` it recovers it. See docs/recovery.md.";
    /// A log has a gap.
    LogGap = "LOG_GAP", Critical, 11:
        "The log of a producer lacks events: its sequence numbers have a gap, or it ends before its reported end. Consumers cannot pass the gap.",
        "Restore the database of `{producer}`: rows of its table `log` were lost. Berth never deletes them. See \"Backup and restore\" in docs/operating.md.";
    /// A store has set its write fence.
    StoreFenced = "STORE_FENCED", Critical, 12:
        "A context refuses commands, because its log ends before a position that consumers or the bus have already seen.",
        "`berth recover --context {context} --dry-run` reports what was lost and what can be recovered; without `--dry-run` it recovers the events and lifts the write fence. See docs/recovery.md. Do not remove the write fence by hand: inventory that is sold would be sold again.";
    /// Several replicas of a context lead.
    TwoLeaders = "TWO_LEADERS", Critical, 13:
        "Several replicas of a context report that they lead. Replicas with the same database exclude each other by a lease, so this lasts a few seconds at most and does no harm. If it lasts longer, they have different databases.",
        "Compare `--database-url` (`--data-dir` with SQLite) of the replicas of `{context}`: all need the same database. SQLite allows one replica only.";
    /// A store cannot be used.
    StoreFailing = "STORE_FAILING", Critical, 14:
        "The last commit of a store failed, or the store cannot be read. The context answers no requests until the store works again.",
        "Check the disk (full? read-only?) or the database server of `{context}`, and the log of the process. The context continues by itself when the store works; it retries a commit every half second.";
    /// A schema lacks migrations.
    SchemaBehind = "SCHEMA_BEHIND", Critical, 15:
        "The schema of a context lacks migrations that its program needs. The process waits for them and is not ready.",
        "Run `{context} migrate` (or `berth migrate` for all contexts) with the `--database-url` of the process.";
    /// A process does not answer.
    ProcessUnreachable = "PROCESS_UNREACHABLE", Critical, 16:
        "The admin port of a process does not answer in time: the process does not run, hangs, or is not reachable from here.",
        "Check whether `{process}` runs, and read the end of its log (or `kubectl logs`). If it runs, compare `{address}` with its `--admin-listen`.";
    /// A process rejects the doctor's token.
    AccessRefused = "ACCESS_REFUSED", Critical, 17:
        "A process answers and refuses the doctor's token: the service key differs, the process has another name, or its clock differs too much from the clock here.",
        "Pass the key of the doctor with `--service-key-file`, or for a local `berth` its data directory with `--data-dir`. Compare the clocks of both machines, and the name in `--admin {process}=…` with the name of the process.";
    /// A response is invalid.
    AnswerUnreadable = "ANSWER_UNREADABLE", Critical, 18:
        "The address is not the admin port of the expected process, or the process has a version that cannot be inspected.",
        "Compare `--admin {process}={address}` with the `--admin-listen` of the process, and its version with the version of the doctor.";
    /// A process is not ready.
    NotReady = "NOT_READY", Critical, 19:
        "A process reports that it is not ready. Balancers send it no requests.",
        "Read its reasons; other findings about it give details. If it is starting or stopping, wait.";
    /// No replica of a context leads.
    NoLeader = "NO_LEADER", Critical, 20:
        "No replica of a context leads, among those that answer. The context publishes no events, consumes none, and does no scheduled work. After the death of a leader this lasts no longer than `--lease`.",
        "Search the log of the replicas of `{context}` for `lease failed`. Check that their database accepts writes.";
    /// The address of a producer's log is not configured.
    LogUnknown = "LOG_UNKNOWN", Critical, 21:
        "A context consumes the events of a producer, but the address of the producer's log is not configured. It receives none of these events.",
        "Add `{producer}=http://<its admin port>` to `--logs` (`BERTH_LOGS`) of `{process}` and restart it. It catches up by itself.";
    /// A consumer makes no progress.
    ConsumerStalled = "CONSUMER_STALLED", Critical, 22:
        "A consumer is behind its producer and made no progress between two samples.",
        "Read its last error. If it cannot reach the producer, see `PEER_UNREACHABLE`; if its store fails, see `STORE_FAILING`. It catches up by itself.";
    /// Dead letters are parked for an operator.
    DeadLettersParked = "DEAD_LETTERS_PARKED", Critical, 23:
        "Events failed so often that they are no longer retried automatically. Later events of the same aggregates wait behind them.",
        "Read the reason: `grpcurl -plaintext -H \"authorization: Bearer $TOKEN\" -d '{\"context\": \"{context}\"}' {host} berth.eventlog.v1.EventLogService/ListDeadLetters` with the access token of an ADMIN. Fix the cause, then call `…/RedriveDeadLetters`.";
    /// The circuit breaker of a peer is open.
    BreakerOpen = "BREAKER_OPEN", Warning, 30:
        "Many calls to a peer failed, so its circuit breaker blocks calls for a second at a time. Requests that need the peer fail with UNAVAILABLE.",
        "Check the process of the peer; other findings may name it. The breaker closes with the first call that succeeds.";
    /// A peer does not answer a process.
    PeerUnreachable = "PEER_UNREACHABLE", Warning, 31:
        "The last call of a process to a peer got no answer, or the address of the peer is not configured.",
        "Compare the address with the port on which the peer listens (`--peers` and `--logs` of `{process}`), and check that the peer runs and is reachable from there.";
    /// The bus cannot be reached.
    BusDisconnected = "BUS_DISCONNECTED", Warning, 32:
        "A process cannot reach the bus. Events still arrive, more slowly: consumers read the logs of their producers.",
        "Check the NATS servers, and `--nats-url` and the credentials of `{process}`. It reconnects by itself.";
    /// A producer sends no heartbeats on the bus.
    ProducerSilent = "PRODUCER_SILENT", Warning, 33:
        "No heartbeat of a producer has arrived on the bus for a while: its leader is down, or its messages do not arrive.",
        "Check whether `{producer}` has a leader (see `NO_LEADER`) that is connected to the bus, and whether the permissions of NATS let it publish `berth.heads.{producer}.>` and let `{process}` subscribe to it.";
    /// Clocks differ.
    ClockDiffers = "CLOCK_DIFFERS", Warning, 34:
        "The clock of a process, or of this machine, differs from the clocks of the others. With a difference of more than 5 seconds services reject each other's tokens, and deadlines fire early or late.",
        "Synchronise the clock of that machine (`chronyc tracking`, `timedatectl`).";
    /// Work is overdue.
    Overdue = "OVERDUE", Warning, 35:
        "Scheduled work of a context is long overdue: holds do not lapse, payments are not requested, or messages are not sent.",
        "If there is no leader, see `NO_LEADER`. Otherwise a service that the work needs does not answer (a payment provider, a mail server). The log of `{process}` reports it at level debug as `not yet`, with the log filter `info,chassis::runtime::deadlines=debug` (see \"The log filter\" in docs/operating.md).";
    /// A consumer lags.
    ConsumerLags = "CONSUMER_LAGS", Warning, 36:
        "A consumer is far behind its producer, and makes progress.",
        "If it was down, wait: it catches up. If it falls back further, its store is too slow for the load, or the load is more than one leader can handle.";
    /// New events are not published.
    RelayLags = "RELAY_LAGS", Warning, 37:
        "New events of a log have no sequence number, or have not been published to the bus, for longer than expected. Consumers cannot read events without a number.",
        "Search the log of the leader of `{context}` for `relay failed`.";
    /// Dead letters are retried.
    DeadLetters = "DEAD_LETTERS", Warning, 38:
        "Events could not be applied and are retried automatically, for about ten minutes. Later events of the same aggregates wait behind them.",
        "Read the reason, as for `DEAD_LETTERS_PARKED`: `grpcurl -plaintext -H \"authorization: Bearer $TOKEN\" -d '{\"context\": \"{context}\"}' {host} berth.eventlog.v1.EventLogService/ListDeadLetters`.";
    /// Processes have different versions.
    VersionMixed = "VERSION_MIXED", Warning, 39:
        "Processes have different versions. That is normal during a rolling restart, and only then.",
        "Finish the rolling restart, or roll back. See \"Rolling restart\" in docs/operating.md.";
}

impl Code {
    /// Its name.
    pub fn name(self) -> &'static str {
        self.about().name
    }

    /// Its section in the operations manual.
    pub fn section(self) -> String {
        format!("docs/operating.md#{}", self.name().to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_sorted_by_severity_and_have_distinct_exit_codes() {
        let exits: Vec<u8> = Code::ALL.iter().map(|code| code.about().exit).collect();
        assert!(exits.is_sorted(), "{exits:?}");
        let different: BTreeSet<_> = exits.iter().collect();
        assert_eq!(different.len(), Code::ALL.len());
        assert!(exits.iter().all(|exit| (10..64).contains(exit)));
        let severities = Code::ALL.iter().map(|code| code.about().severity);
        assert!(severities.is_sorted());
    }
}
