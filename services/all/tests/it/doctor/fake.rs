//! A fake process that sends arbitrary answers.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use berth::inspection::v1::{
    Context, InspectRequest, InspectResponse, Process, Store,
    inspection_service_server::{InspectionService, InspectionServiceServer},
};
use chassis::{Timestamp, base::time::to_proto};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

type Respond = dyn Fn(u32) -> Result<InspectResponse, Status> + Send + Sync;

/// Creates an answer from the number of earlier requests.
#[derive(Clone)]
struct Fake {
    respond: Arc<Respond>,
    times: Arc<Mutex<u32>>,
}

#[tonic::async_trait]
impl InspectionService for Fake {
    async fn inspect(
        &self,
        _: Request<InspectRequest>,
    ) -> Result<Response<InspectResponse>, Status> {
        let mut times = self.times.lock().unwrap();
        let said = (self.respond)(*times);
        *times += 1;
        said.map(Response::new)
    }
}

/// A running fake; stopped when dropped.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    _server: JoinSet<()>,
}

/// Starts a fake process.
pub(super) async fn fake(
    respond: impl Fn(u32) -> Result<InspectResponse, Status> + Send + Sync + 'static,
) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fake = Fake {
        respond: Arc::new(respond),
        times: Arc::default(),
    };
    let server = Server::builder().add_service(InspectionServiceServer::new(fake));
    let serve = async move {
        let incoming = TcpListenerStream::new(listener);
        server.serve_with_incoming(incoming).await.unwrap();
    };
    Running {
        address,
        _server: JoinSet::from_iter([serve]),
    }
}

/// A healthy process.
pub(super) fn process(name: &str, at: Timestamp) -> Process {
    Process {
        process: name.to_owned(),
        instance: "6f1e5d3c-0000-4000-8000-000000000001".to_owned(),
        version: "0.1.0".to_owned(),
        start_time: Some(to_proto(at)),
        current_time: Some(to_proto(at)),
        ready: true,
        not_ready_reasons: Vec::new(),
    }
}

/// A healthy context without work.
pub(super) fn context(name: &str) -> Context {
    Context {
        context: name.to_owned(),
        store: Some(Store {
            engine: 1,
            writable: true,
            ..Store::default()
        }),
        leads: true,
        ..Context::default()
    }
}
