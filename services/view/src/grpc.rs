//! The gRPC service: one short method for each rpc.

use berth::view::v1::{
    GetRoomViewRequest, GetRoomViewResponse, ListMyPageRequest, ListMyPageResponse,
    ListRoomViewsRequest, ListRoomViewsResponse, RebuildRequest, RebuildResponse,
    view_service_server::{ViewService, ViewServiceServer},
};
use chassis::{Deps, accept, base::page::cut, error::status::not_found};
use tokio::sync::Mutex;
use tonic::{Request, Response, Status, service::Routes};

use crate::{codec, rebuild, views::queries};

/// The service. A rebuild reads the logs of these contexts.
pub(crate) fn routes(deps: &Deps, producers: &[String]) -> Routes {
    Routes::new(ViewServiceServer::new(Api {
        deps: deps.clone(),
        producers: producers.to_vec(),
        rebuilding: Mutex::new(()),
    }))
}

struct Api {
    deps: Deps,
    /// The contexts whose events the views consume.
    producers: Vec<String>,
    /// Locked while this process rebuilds.
    rebuilding: Mutex<()>,
}

#[tonic::async_trait]
impl ViewService for Api {
    async fn list_room_views(
        &self,
        request: Request<ListRoomViewsRequest>,
    ) -> Result<Response<ListRoomViewsResponse>, Status> {
        let (caller, request) = accept(request);
        let query = codec::room_view::query(&request)?;
        let size = query.size;
        let mut found = Vec::new();
        for row in queries::rooms(&self.deps.store, query).await? {
            let token = codec::room_view::page_token(&request, &row)?;
            found.push((codec::room_view::to_proto(&row, &caller)?, token));
        }
        let (found, next_page_token) = cut(found, size, |(_, token)| token.clone());
        Ok(Response::new(ListRoomViewsResponse {
            room_views: found.into_iter().map(|(view, _)| view).collect(),
            next_page_token,
        }))
    }

    async fn get_room_view(
        &self,
        request: Request<GetRoomViewRequest>,
    ) -> Result<Response<GetRoomViewResponse>, Status> {
        let (caller, request) = accept(request);
        let id = codec::room_view::room_id(&request)?;
        let row = queries::room(&self.deps.store, id).await?;
        let row = row.ok_or_else(|| not_found("room"))?;
        let room_view = Some(codec::room_view::to_proto(&row, &caller)?);
        Ok(Response::new(GetRoomViewResponse { room_view }))
    }

    async fn list_my_page(
        &self,
        request: Request<ListMyPageRequest>,
    ) -> Result<Response<ListMyPageResponse>, Status> {
        let (caller, request) = accept(request);
        let query = codec::my_page::query(caller.member()?, &request)?;
        let size = query.size;
        let mut found = Vec::new();
        for row in queries::my_page(&self.deps.store, query).await? {
            let token = codec::my_page::page_token(&row)?;
            found.push((codec::my_page::to_proto(&row)?, token));
        }
        let (found, next_page_token) = cut(found, size, |(_, token)| token.clone());
        Ok(Response::new(ListMyPageResponse {
            entries: found.into_iter().map(|(entry, _)| entry).collect(),
            next_page_token,
        }))
    }

    async fn rebuild(
        &self,
        _request: Request<RebuildRequest>,
    ) -> Result<Response<RebuildResponse>, Status> {
        let _lock = self
            .rebuilding
            .try_lock()
            .map_err(|_| rebuild::already_running())?;
        let rebuilt = rebuild::rebuild(&self.deps, &self.producers).await?;
        Ok(Response::new(RebuildResponse {
            events: rebuilt.events,
            equal: rebuilt.is_equal,
            digest: rebuilt.digest,
        }))
    }
}
