//! Findings about a single process.

use berth::inspection::v1::{BreakerState, Bus, Context, Peer, Process, Store};
use chassis::base::time::SignedDuration;

use super::{
    super::{
        code::Code,
        finding::{Finding, plain},
        inspector::{Answer, NoAnswer},
    },
    limits::Limits,
    reading::{age, human, name},
};

/// The findings about a process.
pub(super) fn diagnose(answer: &Answer, limits: &Limits) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &answer.response {
        Err(no_answer) => findings.push(unavailable(no_answer)),
        Ok(response) => {
            findings.extend(response.process.iter().filter_map(unready));
            for context in &response.contexts {
                findings.extend(store(context));
                findings.extend(missing_logs(context));
            }
            for peer in &response.peers {
                findings.extend(peer_findings(answer, peer, limits));
            }
            findings.extend(
                response
                    .bus
                    .iter()
                    .flat_map(|bus| bus_findings(answer, bus, limits)),
            );
        }
    }
    let of = |finding: Finding| finding.of(&answer.process, &answer.address);
    findings.into_iter().map(of).collect()
}

fn unavailable(no_answer: &NoAnswer) -> Finding {
    let (code, why) = match no_answer {
        NoAnswer::Unreachable(why) => (Code::ProcessUnreachable, why),
        NoAnswer::Refused(why, _) => (Code::AccessRefused, why),
        NoAnswer::Unreadable(why) => (Code::AnswerUnreadable, why),
    };
    Finding::new(code, why.as_str())
}

fn unready(process: &Process) -> Option<Finding> {
    let reasons: Vec<String> = process
        .not_ready_reasons
        .iter()
        .map(|why| plain(why))
        .collect();
    (!process.ready).then(|| Finding::new(Code::NotReady, reasons.join("; ")))
}

fn store(context: &Context) -> Vec<Finding> {
    let Some(Store {
        writable,
        error,
        missing_migrations,
        fence_reason,
        ..
    }) = &context.store
    else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    if !error.is_empty() {
        findings.push(Finding::new(Code::StoreFailing, plain(error)));
    } else if !writable {
        findings.push(Finding::new(Code::StoreFailing, "its last commit failed"));
    }
    if !missing_migrations.is_empty() {
        let missing = plain(&missing_migrations.join(", "));
        findings.push(Finding::new(
            Code::SchemaBehind,
            format!("missing migrations: {missing}"),
        ));
    }
    if !fence_reason.is_empty() {
        findings.push(Finding::new(Code::StoreFenced, plain(fence_reason)));
    }
    let here = |finding: Finding| finding.in_context(name(&context.context));
    findings.into_iter().map(here).collect()
}

fn missing_logs(context: &Context) -> impl Iterator<Item = Finding> {
    context.missing_producers.iter().map(|producer| {
        let producer = name(producer);
        let what = format!("the address of the log of {producer} is not configured");
        Finding::new(Code::LogUnknown, what)
            .in_context(name(&context.context))
            .from(producer)
    })
}

fn peer_findings(answer: &Answer, peer: &Peer, limits: &Limits) -> Vec<Finding> {
    let mut findings = Vec::new();
    let called = name(&peer.peer);
    if peer.breaker_state() == BreakerState::Open {
        let what = format!("calls to {called} are blocked");
        findings.push(Finding::new(Code::BreakerOpen, what));
    }
    let ago = age(answer, peer.last_failure_time.as_ref());
    let is_lost = ago.is_some_and(|ago| ago <= limits.recent);
    if !peer.in_process && peer.address.is_empty() {
        let what = format!("the address of {called} is not configured");
        findings.push(Finding::new(Code::PeerUnreachable, what));
    } else if is_lost {
        let at = match plain(&peer.address) {
            here if here.is_empty() => "in this process".to_owned(),
            address => format!("at {address}"),
        };
        let ago = human(ago.unwrap_or(SignedDuration::ZERO));
        let why = plain(&peer.last_failure);
        let what = format!("a call to {called} {at} failed {ago} ago: {why}");
        findings.push(Finding::new(Code::PeerUnreachable, what));
    }
    findings
}

fn bus_findings(answer: &Answer, bus: &Bus, limits: &Limits) -> Vec<Finding> {
    if !bus.connected {
        return vec![Finding::new(
            Code::BusDisconnected,
            "no connection to the bus",
        )];
    }
    let silent = bus.heartbeats.iter().filter_map(|beat| {
        let ago = age(answer, beat.receive_time.as_ref())?;
        let producer = name(&beat.producer);
        let what = format!("no heartbeat of {producer} for {}", human(ago));
        let silent = Finding::new(Code::ProducerSilent, what).from(producer);
        (ago > limits.silence).then_some(silent)
    });
    silent.collect()
}
