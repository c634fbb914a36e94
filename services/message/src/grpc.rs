//! The gRPC service: one short method for each rpc.

use berth::message::v1::{
    ListMessagesRequest, ListMessagesResponse, MarkMessageReadRequest, MarkMessageReadResponse,
    message_service_server::{MessageService, MessageServiceServer},
};
use chassis::{Deps, Store, base::page};
use tonic::{Request, Response, Status, service::Routes};

use crate::{codec, domain::Message, views};

pub(crate) fn routes(deps: &Deps) -> Routes {
    let store = deps.store.clone();
    Routes::new(MessageServiceServer::new(Api { store }))
}

struct Api {
    store: Store,
}

#[tonic::async_trait]
impl MessageService for Api {
    async fn list_messages(
        &self,
        request: Request<ListMessagesRequest>,
    ) -> Result<Response<ListMessagesResponse>, Status> {
        let (caller, request) = chassis::accept(request);
        let inbox = codec::list(caller.member()?, &request)?;
        let size = inbox.limit - 1;
        let ids = views::inbox(&self.store, inbox).await?;
        let found = self.store.load_all::<Message>(ids).await?;
        let (messages, next_page_token) = page::cut(found, size, codec::page_token);
        Ok(Response::new(ListMessagesResponse {
            messages: messages
                .iter()
                .map(|(id, message)| codec::to_proto(*id, message))
                .collect(),
            next_page_token,
        }))
    }

    async fn mark_message_read(
        &self,
        request: Request<MarkMessageReadRequest>,
    ) -> Result<Response<MarkMessageReadResponse>, Status> {
        let (caller, request) = chassis::accept(request);
        let (id, command) = codec::mark_read(caller.member()?, &request)?;
        let done = self
            .store
            .execute::<Message>(id, command, &caller.cause())
            .await?;
        Ok(Response::new(MarkMessageReadResponse {
            message: Some(codec::to_proto(id, &done.now)),
        }))
    }
}
