//! One request is followed by its trace id: through the spans of every process, and to the lines of their logs.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use berth::reservation::v1::ReservationStatus;
use mesh::{Env, Mesh, MeshOptions};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
};
use stories::{people::Line, world::nights};
use tokio::{
    task::JoinSet,
    time::{interval, timeout},
};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::{
    TURN,
    fake::MOMENT,
    stage::{first, id, people_on, register},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The spans of the trace: the process of each, and its name.
#[derive(Clone, Debug, Default)]
struct Collector(Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>);

impl Collector {
    /// Collects on a port of its own until the tasks are dropped.
    fn start(&self) -> (SocketAddr, JoinSet<()>) {
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = incoming.local_addr().unwrap();
        let server = Server::builder().add_service(TraceServiceServer::new(self.clone()));
        let serving = async { server.serve_with_incoming(incoming).await.unwrap() };
        (address, JoinSet::from_iter([serving]))
    }

    fn spans(&self) -> BTreeMap<String, BTreeSet<String>> {
        self.0.lock().unwrap().clone()
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_process in request.into_inner().resource_spans {
            let resource = of_process.resource.unwrap();
            let process = text(&resource.attributes, "service.name").unwrap();
            let spans = of_process
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans);
            let ours = spans.filter(|span| {
                span.trace_id == u128::from_str_radix(TRACE, 16).unwrap().to_be_bytes()
            });
            let names = ours.map(|span| {
                let part = ["rpc.method", "event.type"];
                let part = part.iter().find_map(|key| text(&span.attributes, key));
                format!("{} {}", span.name, part.unwrap_or_default())
            });
            self.0
                .lock()
                .unwrap()
                .entry(process)
                .or_default()
                .extend(names);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Requirement: D-O9.
#[tokio::test(flavor = "multi_thread")]
async fn a_booking_is_one_trace_through_every_context() {
    let _turn = TURN.lock().await;
    let collector = Collector::default();
    let (address, _serving) = collector.start();
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")),
        ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned()),
        ("BERTH_LOG", "info,chassis::server=debug".to_owned()),
    ];
    let options = MeshOptions {
        postgres: None,
        env: Env::from(env.map(|(name, value)| (name.to_owned(), value))),
        ..MeshOptions::default()
    };
    let mesh = Mesh::start(options).await.unwrap();
    // A client that traces what it does.
    let line = Line::to(mesh.channel().unwrap()).in_trace(TRACEPARENT);
    let (host, guest) = people_on(&line).await;
    let room = register(&host, 1).await.unwrap();
    let wanted = guest.wants(id(), &room, nights("2027-04-10", "2027-04-12"));
    let booked = guest.book(wanted).await.unwrap();
    assert_eq!(booked.status(), ReservationStatus::Confirmed);

    // Requests to each context, calls between contexts, and what events cause.
    let expected = [
        ("member", "rpc Join"),
        ("room", "rpc RegisterRoom"),
        ("room", "rpc GetOffer"),
        ("reservation", "rpc RequestReservation"),
        ("payment", "rpc ChargePayment"),
        ("message", "event berth.reservation.v1.ReservationConfirmed"),
        ("view", "event berth.reservation.v1.ReservationConfirmed"),
    ];
    let found = async {
        let mut looks = interval(Duration::from_millis(100));
        loop {
            looks.tick().await;
            let spans = collector.spans();
            let has = |(process, name): &(&str, &str)| {
                spans
                    .get(*process)
                    .is_some_and(|names| names.contains(*name))
            };
            if expected.iter().all(has) {
                return;
            }
        }
    };
    let found = timeout(MOMENT, found).await;
    assert!(found.is_ok(), "{:#?}", collector.spans());
    for (context, method) in [
        ("member", "Join"),
        ("reservation", "RequestReservation"),
        ("payment", "ChargePayment"),
    ] {
        let log = first(&mesh, context).log();
        let is_it = |line: &str| line.contains(TRACE) && line.contains(method);
        assert!(log.lines().any(is_it), "{context}: {log}");
    }
    mesh.stop().await.unwrap();
}
