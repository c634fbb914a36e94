//! The one screen as a gRPC service.

use berth::view::v1::{
    GetRoomViewRequest, GetRoomViewResponse, ListMyPageRequest, ListMyPageResponse,
    ListRoomViewsRequest, ListRoomViewsResponse, RebuildRequest, RebuildResponse,
    view_service_server::{ViewService, ViewServiceServer},
};
use chassis::{Deps, StoreError, Violations, base::page, error::status::not_found};
use tokio::sync::Mutex;
use tonic::{Request, Response, Status, service::Routes};

use crate::{codec, rebuild, views::query};

pub(crate) fn routes(deps: &Deps) -> Routes {
    Routes::new(ViewServiceServer::new(Api {
        deps: deps.clone(),
        rebuilding: Mutex::new(()),
    }))
}

struct Api {
    deps: Deps,
    /// Held while this process rebuilds.
    rebuilding: Mutex<()>,
}

#[tonic::async_trait]
impl ViewService for Api {
    async fn list_room_views(
        &self,
        request: Request<ListRoomViewsRequest>,
    ) -> Result<Response<ListRoomViewsResponse>, Status> {
        let (caller, request) = chassis::accept(request);
        let rooms = codec::rooms(&request)?;
        let size = rooms.limit - 1;
        let found = query::rooms(&self.deps.store, rooms).await?;
        let line = |row| -> Result<_, StoreError> {
            let token = codec::room_token(&request, row)?;
            Ok((codec::room_view(row, &caller)?, token))
        };
        let lines = found.iter().map(line).collect::<Result<Vec<_>, _>>()?;
        let (lines, next_page_token) = page::cut(lines, size, |(_, token)| token.clone());
        Ok(Response::new(ListRoomViewsResponse {
            room_views: lines.into_iter().map(|(view, _)| view).collect(),
            next_page_token,
        }))
    }

    async fn get_room_view(
        &self,
        request: Request<GetRoomViewRequest>,
    ) -> Result<Response<GetRoomViewResponse>, Status> {
        let (caller, request) = chassis::accept(request);
        let mut violations = Violations::new();
        let id = violations.parse::<chassis::OfferId>("room_id", &request.room_id);
        let id = violations.check(id)?.to_string();
        let row = query::room(&self.deps.store, id).await?;
        let row = row.ok_or_else(|| not_found("room"))?;
        Ok(Response::new(GetRoomViewResponse {
            room_view: Some(codec::room_view(&row, &caller)?),
        }))
    }

    async fn list_my_page(
        &self,
        request: Request<ListMyPageRequest>,
    ) -> Result<Response<ListMyPageResponse>, Status> {
        let (caller, request) = chassis::accept(request);
        let my_page = codec::my_page(caller.member()?, &request)?;
        let size = my_page.limit - 1;
        let found = query::my_page(&self.deps.store, my_page).await?;
        let line = |row| -> Result<_, StoreError> {
            Ok((codec::my_page_entry(row)?, codec::my_page_token(row)?))
        };
        let lines = found.iter().map(line).collect::<Result<Vec<_>, _>>()?;
        let (lines, next_page_token) = page::cut(lines, size, |(_, token)| token.clone());
        Ok(Response::new(ListMyPageResponse {
            entries: lines.into_iter().map(|(entry, _)| entry).collect(),
            next_page_token,
        }))
    }

    async fn rebuild(
        &self,
        _request: Request<RebuildRequest>,
    ) -> Result<Response<RebuildResponse>, Status> {
        let _alone = self.rebuilding.try_lock().map_err(|_| rebuild::running())?;
        let rebuilt = rebuild::rebuild(&self.deps).await?;
        Ok(Response::new(RebuildResponse {
            events: rebuilt.events,
            equal: rebuilt.equal,
            digest: rebuilt.digest,
        }))
    }
}
