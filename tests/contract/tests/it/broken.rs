//! Contexts that violate their contracts: the checks must find every violation.
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
    requests::{Owner, REQUESTS, RequestCase, uncovered},
    world::{PASSWORD, Person, World, id},
};
use tonic::{Request, Response, Status, service::Routes};

use crate::{
    hostile::send_mutations,
    rpcs::{access_violations, denials_to_owners, leaks_to_others},
};

/// All contexts, two of them broken.
fn contexts() -> Vec<Context> {
    let broken = |context: Context| match context.name {
        "message" => Context::named("message")
            .routes(|_| Routes::new(MessageServiceServer::new(LeakyMessages))),
        "view" => {
            Context::named("view").routes(|_| Routes::new(ViewServiceServer::new(FaultyViews)))
        }
        _ => context,
    };
    all::contexts().into_iter().map(broken).collect()
}

/// Distinguishes messages of others from messages that do not exist.
struct LeakyMessages;

#[tonic::async_trait]
impl MessageService for LeakyMessages {
    async fn list_messages(
        &self,
        _: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        // Returned to every caller.
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

/// Returns too much, too little, or fails.
struct FaultyViews;

#[tonic::async_trait]
impl ViewService for FaultyViews {
    async fn list_room_views(
        &self,
        request: Request<ListRoomViewsRequest>,
    ) -> Result<Response<ListRoomViewsResponse>, Status> {
        let token = request.into_inner().page_token;
        assert!(!token.contains('\0'), "no NUL");
        if token.len() > 10_000 {
            let why = format!("no such page: {}", &token[..2_000]);
            return Err(status(Kind::Invalid, "INVALID_REQUEST", why));
        }
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
async fn every_violation_of_a_context_is_found() {
    let world = World::start(contexts()).await.unwrap();
    let is_broken =
        |case: &&RequestCase| case.rpc.starts_with("message.") || case.rpc.starts_with("view.");
    let cases: Vec<RequestCase> = REQUESTS.iter().filter(is_broken).copied().collect();
    let found = access_violations(&world, &cases).await;
    finds(&found, "GetRoomView by Anonymous: reveals SQL");
    finds(&found, "GetRoomView by Guest: reveals src/");
    finds(&found, "Rebuild by Admin: returns (PermissionDenied");
    finds(
        &found,
        "Rebuild by Admin: returns PermissionDenied without a reason",
    );

    let found = leaks_to_others(&world, &cases).await;
    finds(&found, "ListMessages by OtherGuest: contains");
    finds(
        &found,
        "MarkMessageRead by OtherGuest: distinguishes Outcome",
    );
    finds(&found, "ListMyPage by OtherGuest: contains correct horse");

    let found = denials_to_owners(&world, &cases).await;
    finds(&found, "MarkMessageRead by Guest: returns NotFound");
    finds(&found, "ListMyPage by Guest: does not show paid");

    let views = REQUESTS
        .iter()
        .find(|case| case.rpc.ends_with("ListRoomViews"));
    let (_, found) = send_mutations(&world, views.unwrap()).await;
    finds(&found, "page_token NUL: returns Internal");
    finds(&found, "page_token long: has a status of");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_rpc_without_a_case_is_found() {
    let world = World::start(contexts()).await.unwrap();
    let all = || REQUESTS.iter().copied();
    let without: Vec<RequestCase> = all()
        .filter(|case| !case.rpc.ends_with("GetRoom"))
        .collect();
    finds(
        &uncovered(&world, &without),
        "room.v1.RoomService.GetRoom: has no case",
    );
    let open = all().map(|case| RequestCase {
        owner: Owner::Unowned,
        ..case
    });
    let open: Vec<RequestCase> = open.collect();
    finds(
        &uncovered(&world, &open),
        "GetPayment: Unowned contradicts its contract",
    );
    let more = RequestCase {
        rpc: "offer.v1.OfferService.GetOffer",
        owner: Owner::Unowned,
        request: |_| serde_json::json!({}),
        generated: None,
    };
    let more: Vec<RequestCase> = all().chain([more]).collect();
    finds(
        &uncovered(&world, &more),
        "GetOffer: is not on the public port",
    );
}
