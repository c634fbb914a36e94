//! What the doctor can find: a code for each condition that is worth an alert, the worst first.

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// People are turned away, or what was promised them is at risk.
    Critical,
    /// It becomes critical if it lasts.
    Warning,
}

impl Severity {
    /// Its name, as it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

/// What is to be known about a code. `{…}` in a remedy stands for what the finding is about.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its name, as it is shown and for programs.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The exit code of the doctor if there is nothing worse.
    pub exit: u8,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $code:ident = $name:literal, $severity:ident, $exit:literal: $meaning:literal, $remedy:literal;)+) => {
        /// What the doctor can find, the worst first.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])+ $code,)+
        }

        impl Code {
            /// All codes, the worst first.
            pub const ALL: &[Self] = &[$(Self::$code),+];

            /// What is to be known about it.
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
    /// A consumer has seen more of a log than there is.
    LogRegressed = "LOG_REGRESSED", Critical, 10:
        "A consumer has consumed events that its producer does not have. The producer's database was restored from an older copy, or replaced. What happened since that copy is forgotten by the producer and known to the consumer; new events will be given numbers that the consumer takes for old ones and passes over.",
        "Bring the database of `{producer}` up to its last commit (the write-ahead log, the old primary, or a standby that was ahead). If that is lost, `berth recover --context {producer} --dry-run` says what can be had again, and without `--dry-run` puts it back: docs/recovery.md tells how.";
    /// Numbers are missing in a log.
    LogGap = "LOG_GAP", Critical, 11:
        "The log of a producer lacks events that must be there: its sequence numbers have a gap, or it ends before what it said. Consumers cannot pass that place.",
        "Restore the database of `{producer}`: rows of its table `log` were lost. Nothing in Berth deletes them. See \"Backup and restore\" in docs/operating.md.";
    /// A store has closed itself.
    StoreFenced = "STORE_FENCED", Critical, 12:
        "A context refuses commands, because what its store holds contradicts what others have seen.",
        "`berth recover --context {context} --dry-run` says what was lost and what can be had again; without `--dry-run` it is put back and the fence lifted: docs/recovery.md tells how. The fence must not be taken away by hand: what was sold would be sold again.";
    /// Several replicas of a context lead.
    TwoLeaders = "TWO_LEADERS", Critical, 13:
        "Several replicas of a context say that they lead. Those that share a database are fenced by it and do no harm for the few seconds that this may last; if it lasts, they have different databases.",
        "Compare `--database-url` (`--data-dir` with SQLite) of the replicas of `{context}`: all must have the same database. SQLite allows one replica only.";
    /// A store cannot be used.
    StoreFailing = "STORE_FAILING", Critical, 14:
        "The last commit of a store failed, or it cannot be read. Nothing is answered from it until it works again.",
        "Look at the disk (full? read-only?) or the database server of `{context}`, and at the log of the process. It goes on by itself when the store works; commits are tried again each half second.";
    /// A schema lacks migrations.
    SchemaBehind = "SCHEMA_BEHIND", Critical, 15:
        "The schema of a context lacks changes that its program needs. The process waits for them and is not ready.",
        "Run `{context} migrate` (or `berth migrate` for all contexts) with the `--database-url` of the process.";
    /// A process does not answer.
    ProcessUnreachable = "PROCESS_UNREACHABLE", Critical, 16:
        "Nobody answers at the admin port of a process, or not in time: it is not running, hangs, or is not reachable from here.",
        "Look whether `{process}` runs and what it said last (its log, or `kubectl logs`). If it runs, compare `{address}` with its `--admin-listen`.";
    /// A process does not let the doctor in.
    AccessRefused = "ACCESS_REFUSED", Critical, 17:
        "A process answers and does not believe that an operator asks: the service key is another one, the process has another name, or its clock is too far from the one here.",
        "Give the service key of the platform with `--service-key-file`, or for a local `berth` its data directory with `--data-dir`. Compare the clocks of both machines, and the name in `--admin {process}=…` with the process.";
    /// A process answers something else.
    AnswerUnreadable = "ANSWER_UNREADABLE", Critical, 18:
        "What answers at an address is not the admin port of the process that was expected there, or a version that does not know how to be inspected.",
        "Compare `--admin {process}={address}` with the `--admin-listen` of the process, and its version with the doctor's.";
    /// A process is not ready.
    NotReady = "NOT_READY", Critical, 19:
        "A process says that it may not be given work. Balancers pass it by.",
        "Read its reasons; other findings about it say more. If it is about to stop or has just been started, wait.";
    /// No replica of a context leads.
    NoLeader = "NO_LEADER", Critical, 20:
        "No replica of a context that answers leads: its events are not told, those of others not heard, and what is due is not done. After the death of a leader that lasts no longer than `--lease`.",
        "Look at the log of the replicas of `{context}` for `lease failed`; their database must let them write.";
    /// A context cannot hear another.
    LogUnknown = "LOG_UNKNOWN", Critical, 21:
        "A context listens to another and was not told where its log is, so it hears nothing of it.",
        "Add `{producer}=http://<its admin port>` to `--logs` (`BERTH_LOGS`) of `{process}` and start it again. It catches up by itself.";
    /// A consumer does not move.
    ConsumerStalled = "CONSUMER_STALLED", Critical, 22:
        "A consumer is behind its producer and did not move between two looks.",
        "Read its last error. If it cannot reach the producer, see `PEER_UNREACHABLE`; if its store fails, see `STORE_FAILING`. It catches up by itself.";
    /// Dead letters wait for an operator.
    DeadLettersParked = "DEAD_LETTERS_PARKED", Critical, 23:
        "Events failed so often that they are not tried again by themselves. Everything later about the same aggregates waits behind them.",
        "See why: `grpcurl -plaintext -H \"authorization: Bearer $TOKEN\" -d '{\"context\": \"{context}\"}' {host} berth.eventlog.v1.EventLogService/ListDeadLetters` with the access token of an ADMIN. Mend that, then the same with `…/RedriveDeadLetters`.";
    /// Calls to a peer are not let through.
    BreakerOpen = "BREAKER_OPEN", Warning, 30:
        "So many calls to a peer failed that it is left alone for a second at a time. Who needs its answer is told to come back later.",
        "Look at the process of the peer; other findings may name it. The breaker closes with the first call that succeeds.";
    /// A peer does not answer a process.
    PeerUnreachable = "PEER_UNREACHABLE", Warning, 31:
        "The last call of a process to a peer failed because it was not answered, or nobody told the process where the peer is.",
        "Compare the address with the port on which the peer listens (`--peers` and `--logs` of `{process}`), and look whether the peer runs and can be reached from there.";
    /// The bus is away.
    BusDisconnected = "BUS_DISCONNECTED", Warning, 32:
        "A process cannot reach the bus. Events still flow, more slowly: consumers ask the logs.",
        "Look at the NATS servers, and at `--nats-url` and the credentials of `{process}`. It connects again by itself.";
    /// A producer gives no sign of life on the bus.
    ProducerSilent = "PRODUCER_SILENT", Warning, 33:
        "The bus has brought no sign of life of a producer for a while: its leader is away, or what it says does not arrive.",
        "Look whether `{producer}` leads somewhere (see `NO_LEADER`) and is connected to the bus; and whether the permissions of NATS let it publish `berth.heads.{producer}.>` and `{process}` subscribe to it.";
    /// Clocks differ.
    ClockDiffers = "CLOCK_DIFFERS", Warning, 34:
        "The clock of a process, or of this machine, differs from that of the others. With more than 5 seconds services do not believe each other's tokens; deadlines come early or late.",
        "Synchronise the clock of that machine (`chronyc tracking`, `timedatectl`).";
    /// Work is overdue.
    Overdue = "OVERDUE", Warning, 35:
        "Work of a context has been due for long and is not done: holds do not lapse, payments are not asked for, or messages are not sent.",
        "If nobody leads, see `NO_LEADER`. Else what the work needs does not answer (a payment provider, a mail server): the log of `{process}` says it at level debug as `not yet`: `curl -X PUT -d info,chassis::runtime::deadlines=debug {address}/log`.";
    /// A consumer lags.
    ConsumerLags = "CONSUMER_LAGS", Warning, 36:
        "A consumer is far behind its producer, and moves.",
        "Wait, if it was away: it catches up. If it falls back further, its store is too slow for the load, or there is more to do than one leader can.";
    /// The bus is not told what is new.
    RelayLags = "RELAY_LAGS", Warning, 37:
        "Events of a log are not numbered, or not handed over to the bus, for longer than it should take. Until they are numbered nobody can read them.",
        "Look at the log of the leader of `{context}` for `relay failed`.";
    /// Dead letters are tried again.
    DeadLetters = "DEAD_LETTERS", Warning, 38:
        "Events could not be consumed and are tried again by themselves, up to eight times within about 13 seconds; later ones about the same aggregates wait behind them.",
        "See why, as with `DEAD_LETTERS_PARKED`: `grpcurl -plaintext -H \"authorization: Bearer $TOKEN\" -d '{\"context\": \"{context}\"}' {host} berth.eventlog.v1.EventLogService/ListDeadLetters`.";
    /// Processes have different versions.
    VersionMixed = "VERSION_MIXED", Warning, 39:
        "Processes of different versions are at work. That is as it should be while versions are exchanged, and only then.",
        "Finish the exchange, or take it back. See \"Rolling restart\" in docs/operating.md.";
}

impl Code {
    /// Its name.
    pub fn name(self) -> &'static str {
        self.about().name
    }

    /// Where it is described.
    pub fn section(self) -> String {
        format!("docs/operating.md#{}", self.name().to_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_worst_comes_first_and_each_has_an_exit_code_of_its_own() {
        let exits: Vec<u8> = Code::ALL.iter().map(|code| code.about().exit).collect();
        assert!(exits.is_sorted(), "{exits:?}");
        let different: BTreeSet<_> = exits.iter().collect();
        assert_eq!(different.len(), Code::ALL.len());
        assert!(exits.iter().all(|exit| (10..64).contains(exit)));
        let severities = Code::ALL.iter().map(|code| code.about().severity);
        assert!(severities.is_sorted());
    }
}
