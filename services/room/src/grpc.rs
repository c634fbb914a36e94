//! The gRPC services: one short method for each rpc.

use berth::{
    offer::v1::{
        GetOfferRequest, GetOfferResponse,
        offer_service_server::{OfferService, OfferServiceServer},
    },
    room::v1::{
        self as v1, CreateReviewRequest, CreateReviewResponse, DeleteReviewRequest,
        DeleteReviewResponse, DeleteRoomRequest, DeleteRoomResponse, GetRoomRequest,
        GetRoomResponse, ListReviewsRequest, ListReviewsResponse, ListRoomsRequest,
        ListRoomsResponse, ModifyReviewRequest, ModifyReviewResponse, ModifyRoomRequest,
        ModifyRoomResponse, RegisterRoomRequest, RegisterRoomResponse,
        room_service_server::{RoomService, RoomServiceServer},
    },
};
use chassis::{
    Caller, Deps, ReservationId, Store, accept, base::page::cut, error::status::not_found,
};
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    codec,
    domain::{Review, Room, RoomId, review, room},
    views,
};

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

impl Api {
    async fn execute_room(
        &self,
        id: RoomId,
        command: room::Command,
        caller: &Caller,
    ) -> Result<v1::Room, Status> {
        let done = self.store.execute(id, command, &caller.cause()).await?;
        Ok(codec::room::to_proto(id, &done.now))
    }

    /// Returns none if the review is deleted.
    async fn execute_review(
        &self,
        id: ReservationId,
        command: review::Command,
        caller: &Caller,
    ) -> Result<Option<v1::Review>, Status> {
        let done = self.store.execute(id, command, &caller.cause()).await?;
        Ok(codec::review::to_proto(id, &done.now))
    }
}

#[tonic::async_trait]
impl RoomService for Api {
    async fn register_room(
        &self,
        request: Request<RegisterRoomRequest>,
    ) -> Result<Response<RegisterRoomResponse>, Status> {
        let (caller, request) = accept(request);
        let (id, command) = codec::room::register(request)?;
        let room = self.execute_room(id, command, &caller).await?;
        Ok(Response::new(RegisterRoomResponse { room: Some(room) }))
    }

    async fn modify_room(
        &self,
        request: Request<ModifyRoomRequest>,
    ) -> Result<Response<ModifyRoomResponse>, Status> {
        let (caller, request) = accept(request);
        let (id, command) = codec::room::modify(codec::by(&caller)?, request)?;
        let room = self.execute_room(id, command, &caller).await?;
        Ok(Response::new(ModifyRoomResponse { room: Some(room) }))
    }

    async fn delete_room(
        &self,
        request: Request<DeleteRoomRequest>,
    ) -> Result<Response<DeleteRoomResponse>, Status> {
        let (caller, request) = accept(request);
        let (id, command) = codec::room::delete(codec::by(&caller)?, &request)?;
        let room = self.execute_room(id, command, &caller).await?;
        Ok(Response::new(DeleteRoomResponse { room: Some(room) }))
    }

    async fn get_room(
        &self,
        request: Request<GetRoomRequest>,
    ) -> Result<Response<GetRoomResponse>, Status> {
        let (_, request) = accept(request);
        let id: RoomId = codec::id("room_id", &request.room_id)?;
        let room = self.store.load::<Room>(id).await?;
        let room = room.ok_or_else(|| not_found("room"))?;
        let room = Some(codec::room::to_proto(id, &room));
        Ok(Response::new(GetRoomResponse { room }))
    }

    async fn list_rooms(
        &self,
        request: Request<ListRoomsRequest>,
    ) -> Result<Response<ListRoomsResponse>, Status> {
        let (_, request) = accept(request);
        let (host, page) = codec::room::list(&request)?;
        let found = self
            .store
            .read(move |conn| Box::pin(views::rooms(conn, host, page)));
        let (found, next_page_token) = cut(found.await?, page.size, codec::page_token);
        let ids = found.into_iter().map(|(_, id)| id).collect();
        let rooms = self.store.load_all::<Room>(ids).await?;
        // A room may have been deleted after the list was read.
        let listed = rooms.iter().filter(|(_, room)| !room.state.withdrawn);
        Ok(Response::new(ListRoomsResponse {
            rooms: listed
                .map(|(id, room)| codec::room::to_proto(*id, room))
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
        let review = self.execute_review(id, command, &caller).await?;
        Ok(Response::new(CreateReviewResponse { review }))
    }

    async fn modify_review(
        &self,
        request: Request<ModifyReviewRequest>,
    ) -> Result<Response<ModifyReviewResponse>, Status> {
        let (caller, request) = accept(request);
        let (id, command) = codec::review::modify(codec::by(&caller)?, request)?;
        let review = self.execute_review(id, command, &caller).await?;
        Ok(Response::new(ModifyReviewResponse { review }))
    }

    async fn delete_review(
        &self,
        request: Request<DeleteReviewRequest>,
    ) -> Result<Response<DeleteReviewResponse>, Status> {
        let (caller, request) = accept(request);
        let (id, command) = codec::review::delete(codec::by(&caller)?, &request)?;
        self.execute_review(id, command, &caller).await?;
        Ok(Response::new(DeleteReviewResponse {}))
    }

    async fn list_reviews(
        &self,
        request: Request<ListReviewsRequest>,
    ) -> Result<Response<ListReviewsResponse>, Status> {
        let (_, request) = accept(request);
        let (room, page) = codec::review::list(&request)?;
        let found = self
            .store
            .read(move |conn| Box::pin(views::reviews(conn, room, page)));
        let (found, next_page_token) = cut(found.await?, page.size, codec::page_token);
        let ids = found.into_iter().map(|(_, id)| id).collect();
        let reviews = self.store.load_all::<Review>(ids).await?;
        Ok(Response::new(ListReviewsResponse {
            reviews: reviews
                .iter()
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
        let offer = Some(codec::room::to_offer(id, &room.state));
        Ok(Response::new(GetOfferResponse { offer }))
    }
}
