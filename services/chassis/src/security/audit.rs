//! The audit trail of rpcs: who has changed what as an operator, and with which outcome.
//!
//! The contract says which rpcs these are: those that only an ADMIN may call, and every other rpc that an ADMIN calls, unless it
//! changes nothing. So a new rpc is recorded without any code of its own.

use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};
use tonic::{Code, Status};

use crate::{
    contract::{headers, rpcs::Rpc},
    error::status::{code_name, internal},
    security::{caller::Caller, ownership},
    telemetry::audit::{self, Change},
};

/// The longest description of what is acted upon, in bytes.
const LONGEST_SUBJECT: usize = 1000;
/// The longest id that is shown.
const LONGEST_ID: usize = 64;
/// How deep messages are read.
const DEPTH: usize = 4;

/// One change by an operator. It is recorded once: with its outcome, or as cancelled if it is dropped before.
#[derive(Debug)]
pub(super) struct Record {
    actor: String,
    service: String,
    action: String,
    subject: String,
    outcome: Code,
    request_id: String,
}

impl Drop for Record {
    fn drop(&mut self) {
        audit::record(&Change {
            actor: &self.actor,
            service: &self.service,
            action: &self.action,
            subject: &self.subject,
            outcome: code_name(self.outcome),
            request_id: &self.request_id,
        });
    }
}

impl Record {
    /// Begins the record of a call, if it is to be recorded.
    pub(super) fn begin(rpc: &Rpc, caller: &Caller) -> Option<Self> {
        let actor = caller.member?;
        let is_recorded = !rpc.reads_only() && (rpc.is_for_operators() || caller.is_admin());
        is_recorded.then(|| Self {
            actor: actor.to_string(),
            service: caller.service.clone().unwrap_or_default(),
            action: format!("{}/{}", rpc.service, rpc.method),
            subject: String::new(),
            outcome: Code::Cancelled,
            request_id: caller.request_id.clone(),
        })
    }

    /// Reads from the request what is acted upon. Returns the request unchanged.
    pub(super) async fn read(&mut self, rpc: &Rpc, request: Request) -> Result<Request, Status> {
        let Some(message) = rpc.request.clone().filter(|_| !rpc.client_streaming) else {
            return Ok(request);
        };
        let (parts, body) = request.into_parts();
        let bytes = ownership::one_message(body).await?;
        let content = bytes.get(ownership::FRAME_HEADER..).unwrap_or_default();
        // The context refuses a message that cannot be decoded.
        if let Ok(message) = DynamicMessage::decode(message, content) {
            self.subject = subject(&message);
        }
        Ok(Request::from_parts(parts, Body::from(bytes)))
    }

    /// Ends it with an outcome.
    pub(super) fn end(mut self, outcome: Code) {
        self.outcome = outcome;
    }

    /// Ends it with the outcome that a response says. Returns the response unchanged.
    pub(super) async fn end_with(self, rpc: &Rpc, response: Response) -> Response {
        let status = response.headers().get(headers::STATUS);
        if let Some(status) = status.map(|code| Code::from_bytes(code.as_bytes())) {
            self.end(status);
            return response;
        }
        if rpc.server_streaming {
            self.end(Code::Ok);
            return response;
        }
        let (parts, body) = response.into_parts();
        match body.collect().await {
            Ok(whole) => {
                let status = whole.trailers().and_then(Status::from_header_map);
                self.end(status.map_or(Code::Unknown, |status| status.code()));
                Response::from_parts(parts, Body::new(whole))
            }
            Err(error) => {
                self.end(Code::Internal);
                internal(&error).into_http::<Body>().into_response()
            }
        }
    }
}

/// What a request acts upon: its ids, and the numbers and choices in it. Other texts are left out, because they may be secret
/// or personal.
fn subject(message: &DynamicMessage) -> String {
    let mut parts = Vec::new();
    describe(message, "", DEPTH, &mut parts);
    let mut text = parts.join(" ");
    text.truncate(text.floor_char_boundary(LONGEST_SUBJECT));
    text
}

fn describe(message: &DynamicMessage, prefix: &str, depth: usize, parts: &mut Vec<String>) {
    for (field, value) in message.fields() {
        let name = format!("{prefix}{}", field.name());
        match (value, depth.checked_sub(1)) {
            (Value::Message(inner), Some(depth)) => {
                describe(inner, &format!("{name}."), depth, parts);
            }
            (Value::List(values), _) => {
                let shown = values.iter().filter_map(|value| show(&field, value));
                let shown: Vec<_> = shown.collect();
                if !shown.is_empty() {
                    parts.push(format!("{name}={}", shown.join(",")));
                }
            }
            (value, _) => parts.extend(show(&field, value).map(|shown| format!("{name}={shown}"))),
        }
    }
}

/// A value, unless it may be secret or personal.
fn show(field: &FieldDescriptor, value: &Value) -> Option<String> {
    match value {
        Value::Bool(value) => Some(value.to_string()),
        Value::I32(value) => Some(value.to_string()),
        Value::I64(value) => Some(value.to_string()),
        Value::U32(value) => Some(value.to_string()),
        Value::U64(value) => Some(value.to_string()),
        Value::EnumNumber(number) => match field.kind() {
            Kind::Enum(of) => of.get_value(*number).map(|value| value.name().to_owned()),
            _ => None,
        },
        Value::String(text) if is_id(field.name()) => {
            let is_plain =
                text.len() <= LONGEST_ID && text.bytes().all(|byte| byte.is_ascii_graphic());
            Some(if is_plain {
                text.clone()
            } else {
                "?".to_owned()
            })
        }
        _ => None,
    }
}

/// Whether a field of this name names something.
fn is_id(field: &str) -> bool {
    field.ends_with("_id") || field.ends_with("_ids") || ["context", "subject"].contains(&field)
}

#[cfg(test)]
mod tests {
    use berth::{common::v1::Role, member::v1 as member, offer::v1::DateRange, room::v1 as room};
    use prost::Message;
    use prost_reflect::DescriptorPool;

    use super::*;

    fn subject_of(name: &str, message: &impl Message) -> String {
        let pool = DescriptorPool::decode(berth::DESCRIPTORS).unwrap();
        let descriptor = pool.get_message_by_name(name).unwrap();
        subject(&DynamicMessage::decode(descriptor, &message.encode_to_vec()[..]).unwrap())
    }

    #[test]
    fn ids_numbers_and_choices_are_shown_and_secrets_are_not() {
        let roles = member::SetRolesRequest {
            member_id: "018f3c1a-7e2b-7c4d-9a5e-3b2f1d0c9e8a".into(),
            roles: vec![Role::Host.into(), Role::Admin.into()],
        };
        assert_eq!(
            subject_of("berth.member.v1.SetRolesRequest", &roles),
            "member_id=018f3c1a-7e2b-7c4d-9a5e-3b2f1d0c9e8a roles=ROLE_HOST,ROLE_ADMIN"
        );
        let password = member::ChangePasswordRequest {
            member_id: "two lines\nin one".into(),
            old_password: "canary".into(),
            new_password: "canary".into(),
        };
        let shown = subject_of("berth.member.v1.ChangePasswordRequest", &password);
        assert_eq!(shown, "member_id=?");
    }

    #[test]
    fn a_subject_has_a_bounded_length() {
        let room = room::Room {
            room_id: "x".repeat(LONGEST_ID),
            blackouts: vec![DateRange::default(); 10_000],
            units: 3,
            ..Default::default()
        };
        let request = room::RegisterRoomRequest { room: Some(room) };
        let shown = subject_of("berth.room.v1.RegisterRoomRequest", &request);
        assert!(
            shown.len() <= LONGEST_SUBJECT && shown.contains("room.units=3"),
            "{shown}"
        );
    }
}
