//! The two ports of a process: the public port carries the services of its contexts, the admin port carries health, metrics,
//! event logs and inspection.

use std::{io, net::SocketAddr, sync::Arc};

use berth::{
    common::v1::Role, eventlog::v1::event_log_service_server::EventLogServiceServer,
    inspection::v1::inspection_service_server::InspectionServiceServer,
};
use tokio::net::{TcpListener, TcpSocket};
use tonic::service::Routes;

use crate::{
    messaging::log_service::EventLogs,
    runtime::{
        context::Context, inspection::Inspection, options::Options, start_error::StartError,
        supervisor::TaskGroup,
    },
    security::tokens::Trust,
    server,
    server::{RequestPipeline, Services, admin, admin::Operators, health::Health, serve},
};

/// Length of the queue of new connections. After a restart all clients connect at once: with the usual 128 some of them
/// would believe that they are connected.
const BACKLOG: u32 = 1024;
const HEALTH: &str = "grpc.health.v1.Health";

/// Listens on an address. Returns the listener and the address in use.
pub(super) fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let bind = || -> io::Result<(TcpListener, SocketAddr)> {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bind().map_err(|error| StartError::Listen(address, error))
}

/// The gRPC services in the packages of some contexts.
pub(super) fn services_of(contexts: &[Context]) -> Vec<String> {
    let packages = contexts
        .iter()
        .map(|context| format!("berth.{}.v1", context.name));
    packages
        .flat_map(|package| server::services_of(&package))
        .collect()
}

/// The services of the public port beside those of the contexts: health and reflection.
pub(super) fn public_routes(contexts: &[Context], health: &Health) -> Result<Routes, StartError> {
    let mut services = services_of(contexts);
    services.push(HEALTH.to_owned());
    let routes = Routes::new(health.server());
    Ok(server::with_reflection(routes, &services)?)
}

/// The gRPC services of the admin port.
pub(super) fn admin_routes(
    health: &Health,
    logs: &EventLogs,
    inspection: &Inspection,
) -> Result<Routes, StartError> {
    let routes = Routes::new(health.server())
        .add_service(EventLogServiceServer::new(logs.clone()))
        .add_service(InspectionServiceServer::new(inspection.clone()));
    let services = [
        HEALTH,
        "berth.eventlog.v1.EventLogService",
        "berth.inspection.v1.InspectionService",
    ]
    .map(str::to_owned);
    Ok(server::with_reflection(routes, &services)?)
}

/// Serves the public port.
pub(super) fn serve_public(
    listener: TcpListener,
    services: Services,
    options: &Options,
) -> TaskGroup {
    let mut group = TaskGroup::default();
    let stop = group.stop_token();
    let limits = options.config.limits.clone();
    let pipeline = RequestPipeline::new(services, &limits, stop.clone());
    group.spawn(async move {
        serve(listener, pipeline, &limits, false, stop).await;
        Ok(())
    });
    group
}

/// Serves the admin port.
pub(super) fn serve_admin(
    listener: TcpListener,
    routes: Routes,
    trust: &Trust,
    options: &Options,
) -> TaskGroup {
    let mut group = TaskGroup::default();
    let stop = group.stop_token();
    let limits = options.config.limits.clone();
    let pipeline = RequestPipeline::new(Services::new(routes), &limits, stop.clone());
    let routes = admin::routes(options.log.clone(), operators(trust), pipeline);
    group.spawn(async move {
        serve(listener, routes, &limits, true, stop).await;
        Ok(())
    });
    group
}

fn operators(trust: &Trust) -> Operators {
    let trust = trust.clone();
    Arc::new(move |token| {
        let trust = trust.clone();
        Box::pin(async move {
            let claims = trust.person(&token).await.ok()?;
            let is_admin = claims.roles.contains(&Role::Admin);
            is_admin.then(|| claims.sub.to_string())
        })
    })
}
