//! Contexts that break their contracts: whatever they do wrong must be found.
use berth::{
    message::v1::{
        ListMessagesRequest, ListMessagesResponse, MarkMessageReadRequest, MarkMessageReadResponse,
        Message,
        message_service_server::{MessageService, MessageServiceServer},
    },
    view::v1::{
        GetRoomViewRequest, GetRoomViewResponse, ListMyPageRequest, ListMyPageResponse,
        ListRoomViewsRequest, ListRoomViewsResponse, MyPageEntry, RebuildRequest, RebuildResponse,
        view_service_server::{ViewService, ViewServiceServer},
    },
};
use chassis::{
    Context, Kind, accept,
    error::status::{not_found, status},
};
use contract::{
    rows::{ROWS, Row, Whose, gaps},
    world::{PASSWORD, Person, World, id},
};
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    hostile::spoil,
    rpcs::{what_others_find, what_owners_find, who_comes_in},
};

/// All contexts, two of them broken.
fn contexts() -> Vec<Context> {
    let broken = |context: Context| match context.name {
        "message" => {
            Context::named("message").routes(|_| Routes::new(MessageServiceServer::new(Told)))
        }
        "view" => Context::named("view").routes(|_| Routes::new(ViewServiceServer::new(Seen))),
        _ => context,
    };
    all::contexts().into_iter().map(broken).collect()
}

/// Tells who asks for a message of somebody else that there is one.
struct Told;

#[tonic::async_trait]
impl MessageService for Told {
    async fn list_messages(
        &self,
        _: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        // To everybody.
        let message = Message {
            message_id: id("message"),
            reservation_id: id("paid"),
            ..Message::default()
        };
        Ok(Response::new(ListMessagesResponse {
            messages: vec![message],
            ..ListMessagesResponse::default()
        }))
    }

    async fn mark_message_read(
        &self,
        request: Request<MarkMessageReadRequest>,
    ) -> Result<Response<MarkMessageReadResponse>, Status> {
        let (caller, request) = accept(request);
        let owner = caller.member.map(|member| member.to_string()) == Some(Person::Guest.id());
        match (request.message_id == id("message"), owner) {
            (true, false) => Err(status(Kind::NotFound, "NOT_FOUND", "not yours")),
            _ => Err(not_found("message")),
        }
    }
}

/// Shows too much, too little, or breaks.
struct Seen;

#[tonic::async_trait]
impl ViewService for Seen {
    async fn list_room_views(
        &self,
        request: Request<ListRoomViewsRequest>,
    ) -> Result<Response<ListRoomViewsResponse>, Status> {
        assert!(!request.into_inner().page_token.contains('\0'), "no NUL");
        Ok(Response::new(ListRoomViewsResponse::default()))
    }

    async fn get_room_view(
        &self,
        _: Request<GetRoomViewRequest>,
    ) -> Result<Response<GetRoomViewResponse>, Status> {
        let why = "SQL syntax near x in src/views.rs";
        Err(status(Kind::Invalid, "INVALID_REQUEST", why))
    }

    async fn list_my_page(
        &self,
        _: Request<ListMyPageRequest>,
    ) -> Result<Response<ListMyPageResponse>, Status> {
        let entry = MyPageEntry {
            title: PASSWORD.into(),
            ..MyPageEntry::default()
        };
        Ok(Response::new(ListMyPageResponse {
            entries: vec![entry],
            ..ListMyPageResponse::default()
        }))
    }

    async fn rebuild(
        &self,
        _: Request<RebuildRequest>,
    ) -> Result<Response<RebuildResponse>, Status> {
        Err(Status::permission_denied("nobody may"))
    }
}

fn finds(found: &[String], says: &str) {
    assert!(
        found.iter().any(|wrong| wrong.contains(says)),
        "{found:?}, not {says}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_context_does_wrong_is_found() {
    let world = World::start(contexts()).await.unwrap();
    let is_broken = |row: &&Row| row.rpc.starts_with("message.") || row.rpc.starts_with("view.");
    let rows: Vec<Row> = ROWS.iter().filter(is_broken).copied().collect();
    let found = who_comes_in(&world, &rows).await;
    finds(&found, "GetRoomView by Nobody: tells of SQL");
    finds(&found, "GetRoomView by Guest: tells of src/");
    finds(&found, "Rebuild by Admin: answers (PermissionDenied");
    finds(
        &found,
        "Rebuild by Admin: answers PermissionDenied without a reason",
    );

    let found = what_others_find(&world, &rows).await;
    finds(&found, "ListMessages by Stranger: tells");
    finds(&found, "MarkMessageRead by Stranger: tells Answer");
    finds(&found, "ListMyPage by Stranger: tells correct horse");

    let found = what_owners_find(&world, &rows).await;
    finds(&found, "MarkMessageRead by Guest: answers NotFound");
    finds(&found, "ListMyPage by Guest: does not show paid");

    let views = ROWS.iter().find(|row| row.rpc.ends_with("ListRoomViews"));
    let (_, found) = spoil(&world, views.unwrap()).await;
    finds(&found, "page_token NUL: answers Internal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_rpc_without_a_row_is_found() {
    let world = World::start(contexts()).await.unwrap();
    let all = || ROWS.iter().copied();
    let without: Vec<Row> = all().filter(|row| !row.rpc.ends_with("GetRoom")).collect();
    finds(
        &gaps(&world, &without),
        "room.v1.RoomService.GetRoom: has no row",
    );
    let open = all().map(|row| Row {
        whose: Whose::Nobodys,
        ..row
    });
    let open: Vec<Row> = open.collect();
    finds(
        &gaps(&world, &open),
        "GetPayment: Nobodys is not its contract",
    );
    let more = Row {
        rpc: "offer.v1.OfferService.GetOffer",
        whose: Whose::Nobodys,
        request: |_| serde_json::json!({}),
        made: None,
    };
    let more: Vec<Row> = all().chain([more]).collect();
    finds(&gaps(&world, &more), "GetOffer: is not on the public port");
}
