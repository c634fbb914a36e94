//! What is known of every rpc from the contracts, and what is counted of each.

use std::{
    collections::HashMap,
    sync::{LazyLock, OnceLock},
    time::Instant,
};

use metrics::{Gauge, Histogram};
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::Code;
use tracing::Span;

/// One rpc, or all the unknown ones together.
#[derive(Debug)]
pub(super) struct Rpc {
    pub(super) service: String,
    pub(super) method: String,
    /// Whether it answers a stream.
    pub(super) streaming: bool,
    /// Whether it is asked by a stream.
    pub(super) client_streams: bool,
    /// Whether it is answered however much there is to do.
    pub(super) always: bool,
    in_flight: OnceLock<Gauge>,
    durations: [OnceLock<Histogram>; 17],
}

/// Every rpc of the platform by its path.
static RPCS: LazyLock<HashMap<String, Rpc>> = LazyLock::new(|| {
    let sets = [
        berth::DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    sets.into_iter().flat_map(rpcs).collect()
});
static UNKNOWN: LazyLock<Rpc> = LazyLock::new(|| Rpc::new("unknown", "unknown", false, true));

/// Every rpc of a descriptor set by its path.
fn rpcs(descriptors: &[u8]) -> Vec<(String, Rpc)> {
    let mut rpcs = Vec::new();
    for file in FileDescriptorSet::decode(descriptors)
        .unwrap_or_default()
        .file
    {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            for method in &service.method {
                let streams = (method.server_streaming(), method.client_streaming());
                let rpc = Rpc::new(&name, method.name(), streams.0, streams.1);
                rpcs.push((format!("/{name}/{}", method.name()), rpc));
            }
        }
    }
    rpcs
}

/// The services of a package of the contracts, for example `berth.room.v1`.
pub fn services_of(package: &str) -> Vec<String> {
    let in_package = |name: &&String| {
        name.strip_prefix(package)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    let mut services: Vec<String> = RPCS
        .values()
        .map(|rpc| &rpc.service)
        .filter(in_package)
        .cloned()
        .collect();
    services.sort();
    services.dedup();
    services
}

impl Rpc {
    fn new(service: &str, method: &str, streaming: bool, client_streams: bool) -> Self {
        Self {
            service: service.to_owned(),
            method: method.to_owned(),
            streaming,
            client_streams,
            always: service == "grpc.health.v1.Health",
            in_flight: OnceLock::new(),
            durations: Default::default(),
        }
    }

    /// The rpc of a path.
    pub(super) fn at(path: &str) -> &'static Self {
        RPCS.get(path).unwrap_or(&UNKNOWN)
    }

    fn in_flight(&self) -> &Gauge {
        self.in_flight.get_or_init(|| {
            metrics::gauge!("berth_rpc_in_flight", "service" => self.service.clone(), "method" => self.method.clone())
        })
    }

    fn count(&self, code: Code, seconds: f64) {
        let Some(histogram) = usize::try_from(i32::from(code))
            .ok()
            .and_then(|code| self.durations.get(code))
        else {
            return;
        };
        let histogram = histogram.get_or_init(|| {
            metrics::histogram!("berth_rpc_duration_seconds", "service" => self.service.clone(),
                "method" => self.method.clone(), "code" => name_of(code))
        });
        histogram.record(seconds);
    }
}

/// The record of one request: counted as in hand until it ends, one way or another.
#[derive(Debug)]
pub(super) struct Record {
    rpc: &'static Rpc,
    span: Span,
    began: Instant,
    ended: bool,
}

impl Record {
    pub(super) fn begin(rpc: &'static Rpc, span: Span) -> Self {
        rpc.in_flight().increment(1.0);
        Self {
            rpc,
            span,
            began: Instant::now(),
            ended: false,
        }
    }

    pub(super) fn span(&self) -> &Span {
        &self.span
    }

    pub(super) fn end(mut self, code: Code) {
        self.close(code);
    }

    fn close(&mut self, code: Code) {
        self.ended = true;
        self.rpc.in_flight().decrement(1.0);
        let took = self.began.elapsed().as_secs_f64();
        self.rpc.count(code, took);
        self.span.record("rpc.code", name_of(code));
        tracing::debug!(parent: &self.span, code = name_of(code), seconds = took, "answered");
    }
}

impl Drop for Record {
    /// Nobody waited for the end.
    fn drop(&mut self) {
        if !self.ended {
            self.close(Code::Cancelled);
        }
    }
}

/// A code as the protocol spells it.
fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rpcs_are_known_by_their_paths() {
        let rpc = Rpc::at("/berth.room.v1.RoomService/GetRoom");
        assert_eq!(rpc.service, "berth.room.v1.RoomService");
        assert!(!rpc.always && !rpc.streaming);
        let watch = Rpc::at("/grpc.health.v1.Health/Watch");
        assert!(watch.always && watch.streaming);
        assert_eq!(Rpc::at("/what/ever").method, "unknown");
    }

    #[test]
    fn a_package_has_services() {
        assert_eq!(services_of("berth.room.v1"), ["berth.room.v1.RoomService"]);
    }
}
