//! The services: one short method for each rpc.

use berth::{
    offer::v1::{
        GetOfferRequest, GetOfferResponse,
        offer_service_server::{OfferService, OfferServiceServer},
    },
    room::v1::{
        CreateReviewRequest, CreateReviewResponse, DeleteReviewRequest, DeleteReviewResponse,
        DeleteRoomRequest, DeleteRoomResponse, GetRoomRequest, GetRoomResponse, ListReviewsRequest,
        ListReviewsResponse, ListRoomsRequest, ListRoomsResponse, ModifyReviewRequest,
        ModifyReviewResponse, ModifyRoomRequest, ModifyRoomResponse, RegisterRoomRequest,
        RegisterRoomResponse,
        room_service_server::{RoomService, RoomServiceServer},
    },
};
use chassis::{Deps, Store, accept, base::page, error::status::not_found};
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    codec,
    domain::{Review, Room, RoomId},
    views,
};

/// The routes of this context.
pub(crate) fn routes(deps: &Deps) -> Routes {
    let api = Api {
        store: deps.store.clone(),
    };
    Routes::new(RoomServiceServer::new(api.clone())).add_service(OfferServiceServer::new(api))
}

#[derive(Clone, Debug)]
struct Api {
    store: Store,
}

#[tonic::async_trait]
impl RoomService for Api {
    async fn register_room(
        &self,
        request: Request<RegisterRoomRequest>,
    ) -> Result<Response<RegisterRoomResponse>, Status> {
        let (caller, request) = accept(request);
        let (id, command) = codec::room::register(request)?;
        let done = self
            .store
            .execute::<Room>(id, command, &caller.cause())
            .await?;
        let room = Some(codec::shown::to_proto(id, &done.now));
        Ok(Response::new(RegisterRoomResponse { room }))
    }

    async fn modify_room(
        &self,
        request: Request<ModifyRoomRequest>,
    ) -> Result<Response<ModifyRoomResponse>, Status> {
        let (caller, request) = accept(request);
        let (id, command) = codec::room::modify(codec::by(&caller)?, request)?;
        let done = self
            .store
            .execute::<Room>(id, command, &caller.cause())
            .await?;
        let room = Some(codec::shown::to_proto(id, &done.now));
        Ok(Response::new(ModifyRoomResponse { room }))
    }

    async fn delete_room(
        &self,
        request: Request<DeleteRoomRequest>,
    ) -> Result<Response<DeleteRoomResponse>, Status> {
        let (caller, request) = accept(request);
        let (id, command) = codec::room::delete(codec::by(&caller)?, &request)?;
        let done = self
            .store
            .execute::<Room>(id, command, &caller.cause())
            .await?;
        let room = Some(codec::shown::to_proto(id, &done.now));
        Ok(Response::new(DeleteRoomResponse { room }))
    }

    async fn get_room(
        &self,
        request: Request<GetRoomRequest>,
    ) -> Result<Response<GetRoomResponse>, Status> {
        let (_, request) = accept(request);
        let id: RoomId = codec::id("room_id", &request.room_id)?;
        let room = self.store.load::<Room>(id).await?;
        let room = room.ok_or_else(|| not_found("room"))?;
        let room = Some(codec::shown::to_proto(id, &room));
        Ok(Response::new(GetRoomResponse { room }))
    }

    async fn list_rooms(
        &self,
        request: Request<ListRoomsRequest>,
    ) -> Result<Response<ListRoomsResponse>, Status> {
        let (_, request) = accept(request);
        let (host, wanted) = codec::room::list(&request)?;
        let found = self
            .store
            .read(move |conn| Box::pin(views::rooms(conn, host, wanted)));
        let (found, next_page_token) = page::cut(found.await?, wanted.size, codec::token);
        let ids = found.into_iter().map(|(_, id)| id).collect();
        let rooms = self.store.load_all::<Room>(ids).await?;
        // One may have been deleted since the list was read.
        let listed = rooms.iter().filter(|(_, room)| !room.state.withdrawn);
        Ok(Response::new(ListRoomsResponse {
            rooms: listed
                .map(|(id, room)| codec::shown::to_proto(*id, room))
                .collect(),
            next_page_token,
        }))
    }

    async fn create_review(
        &self,
        request: Request<CreateReviewRequest>,
    ) -> Result<Response<CreateReviewResponse>, Status> {
        let (caller, request) = accept(request);
        let (id, command) = codec::review::create(request)?;
        let done = self
            .store
            .execute::<Review>(id, command, &caller.cause())
            .await?;
        let review = codec::review::to_proto(id, &done.now);
        Ok(Response::new(CreateReviewResponse { review }))
    }

    async fn modify_review(
        &self,
        request: Request<ModifyReviewRequest>,
    ) -> Result<Response<ModifyReviewResponse>, Status> {
        let (caller, request) = accept(request);
        let (id, command) = codec::review::modify(codec::by(&caller)?, request)?;
        let done = self
            .store
            .execute::<Review>(id, command, &caller.cause())
            .await?;
        let review = codec::review::to_proto(id, &done.now);
        Ok(Response::new(ModifyReviewResponse { review }))
    }

    async fn delete_review(
        &self,
        request: Request<DeleteReviewRequest>,
    ) -> Result<Response<DeleteReviewResponse>, Status> {
        let (caller, request) = accept(request);
        let (id, command) = codec::review::delete(codec::by(&caller)?, &request)?;
        self.store
            .execute::<Review>(id, command, &caller.cause())
            .await?;
        Ok(Response::new(DeleteReviewResponse {}))
    }

    async fn list_reviews(
        &self,
        request: Request<ListReviewsRequest>,
    ) -> Result<Response<ListReviewsResponse>, Status> {
        let (_, request) = accept(request);
        let (room, wanted) = codec::review::list(&request)?;
        let found = self
            .store
            .read(move |conn| Box::pin(views::reviews(conn, room, wanted)));
        let (found, next_page_token) = page::cut(found.await?, wanted.size, codec::token);
        let ids = found.into_iter().map(|(_, id)| id).collect();
        let reviews = self.store.load_all::<Review>(ids).await?;
        let shown = reviews.iter();
        Ok(Response::new(ListReviewsResponse {
            reviews: shown
                .filter_map(|(id, review)| codec::review::to_proto(*id, review))
                .collect(),
            next_page_token,
        }))
    }
}

#[tonic::async_trait]
impl OfferService for Api {
    async fn get_offer(
        &self,
        request: Request<GetOfferRequest>,
    ) -> Result<Response<GetOfferResponse>, Status> {
        let (_, request) = accept(request);
        let id: RoomId = codec::id("offer_id", &request.offer_id)?;
        let room = self.store.load::<Room>(id).await?;
        let room = room.ok_or_else(|| not_found("offer"))?;
        let offer = Some(codec::shown::to_offer(id, &room.state));
        Ok(Response::new(GetOfferResponse { offer }))
    }
}
