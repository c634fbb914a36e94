//! A platform with a context that fails on request.

use std::{path::Path, sync::Arc, time::Duration};

use berth::view::v1::{
    GetRoomViewRequest, GetRoomViewResponse, ListMyPageRequest, ListMyPageResponse,
    ListRoomViewsRequest, ListRoomViewsResponse, RebuildRequest, RebuildResponse,
    view_service_client::ViewServiceClient,
    view_service_server::{ViewService, ViewServiceServer},
};
use chassis::{
    Context, Platform, Source, Store, domain::event::Cause, runtime::options::Options,
    server::limits::Limits,
};
use tokio::sync::Semaphore;
use tonic::{
    Code, Request, Response, Status,
    service::Routes,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_types::StatusExt;

use crate::counter::{Command, Seat, SeatId};

/// A `ViewService` without data; the page token of a request chooses its behaviour.
#[derive(Clone)]
struct Screen {
    store: Store,
    gate: Arc<Gate>,
}

/// Blocks requests with the page token `slow`.
pub(crate) struct Gate {
    come: Semaphore,
    go: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            come: Semaphore::new(0),
            go: Semaphore::new(0),
        }
    }
}

impl Gate {
    /// Waits until a request has arrived.
    pub(crate) async fn comes(&self) {
        self.come.acquire().await.unwrap().forget();
    }

    /// Releases one request.
    pub(crate) fn lets_go(&self) {
        self.go.add_permits(1);
    }

    pub(crate) async fn pass(&self) {
        self.come.add_permits(1);
        self.go.acquire().await.unwrap().forget();
    }
}

#[tonic::async_trait]
impl ViewService for Screen {
    async fn list_room_views(
        &self,
        request: Request<ListRoomViewsRequest>,
    ) -> Result<Response<ListRoomViewsResponse>, Status> {
        let mut answer = ListRoomViewsResponse::default();
        let source = request.extensions().get::<Source>().cloned();
        match request.into_inner().page_token.as_str() {
            "slow" => self.gate.pass().await,
            "panic" => panic!("secret"),
            "source" => answer.next_page_token = source.unwrap().to_string(),
            "mebibyte" => answer.next_page_token = "x".repeat(1024 * 1024),
            "large" => answer.next_page_token = "x".repeat(5 * 1024 * 1024),
            "write" => {
                let command = Command::Take {
                    hall: "a".into(),
                    capacity: 10,
                };
                let seat = SeatId::from_u128(1);
                self.store
                    .execute::<Seat>(seat, command, &Cause::default())
                    .await?;
            }
            _ => {}
        }
        Ok(Response::new(answer))
    }

    async fn get_room_view(
        &self,
        _: Request<GetRoomViewRequest>,
    ) -> Result<Response<GetRoomViewResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_my_page(
        &self,
        _: Request<ListMyPageRequest>,
    ) -> Result<Response<ListMyPageResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn rebuild(
        &self,
        _: Request<RebuildRequest>,
    ) -> Result<Response<RebuildResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// A context with this service; its requests can be blocked at the gate.
pub(crate) fn screen(gate: &Arc<Gate>) -> Context {
    let gate = gate.clone();
    Context::named("view").routes(move |deps| {
        Routes::new(ViewServiceServer::new(Screen {
            store: deps.store.clone(),
            gate: gate.clone(),
        }))
    })
}

/// A platform with this context, on ports and a directory of its own.
pub(crate) struct Stage {
    pub(crate) platform: Platform,
    pub(crate) gate: Arc<Gate>,
    pub(crate) dir: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn with(limits: impl FnOnce(&mut Limits)) -> Self {
        Self::on(|options| limits(&mut options.config.limits)).await
    }

    pub(crate) async fn on(change: impl FnOnce(&mut Options)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let gate = Arc::new(Gate::default());
        let platform = raise(dir.path(), &gate, change).await;
        Self {
            platform,
            gate,
            dir,
        }
    }

    pub(crate) fn client(&self) -> ViewServiceClient<Channel> {
        ViewServiceClient::new(channel(self.platform.public()))
    }
}

pub(crate) async fn raise(
    dir: &Path,
    gate: &Arc<Gate>,
    change: impl FnOnce(&mut Options),
) -> Platform {
    let mut options = Options::in_dir(dir);
    change(&mut options);
    let contexts = vec![screen(gate), Context::named("room")];
    Platform::start(contexts, options).await.unwrap()
}

/// A connection of its own.
pub(crate) fn channel(address: std::net::SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}

pub(crate) fn ask(how: &str) -> ListRoomViewsRequest {
    ListRoomViewsRequest {
        page_token: how.to_owned(),
        ..ListRoomViewsRequest::default()
    }
}

/// Code and reason of an error.
pub(crate) fn why<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.unwrap_err();
    let info = status.get_details_error_info();
    (
        status.code(),
        info.map_or_else(String::new, |info| info.reason),
    )
}

/// Longer than any test here should take.
pub(crate) const MOMENT: Duration = Duration::from_secs(10);

/// The health of a service.
pub(crate) async fn health(address: std::net::SocketAddr, service: &str) -> ServingStatus {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    let mut client = HealthClient::new(channel(address));
    client.check(request).await.unwrap().get_ref().status()
}
