//! Whether the owner field of a request names the caller.

use axum::{body::Body, extract::Request};
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use tonic::{Code, Status};

use crate::{
    base::id::MemberId,
    contract::rpcs::OwnerField,
    error::{
        refusal::Kind,
        status::{coded, not_found, status},
        violations::Violations,
    },
    security::owner_field,
};

/// Bytes before each message: whether it is compressed, and its length.
pub(super) const FRAME_HEADER: usize = 5;

fn malformed(why: &'static str) -> Status {
    status(Kind::Invalid, "MALFORMED_REQUEST", why)
}

/// Refuses a request whose owner field does not name the member. Returns the request unchanged.
pub(super) async fn require_owner(
    member: MemberId,
    owner: &OwnerField,
    request: Request,
) -> Result<Request, Status> {
    let (parts, body) = request.into_parts();
    let bytes = one_message(body).await?;
    let message = bytes.get(FRAME_HEADER..).unwrap_or_default();
    let named = owner_field::text_at(message, &owner.path)
        .map_err(|owner_field::Malformed| malformed("the request is not a message of this rpc"))?;
    if named.is_empty() {
        let mut violations = Violations::new();
        violations.add(&owner.field, "must be given");
        return Err(violations.into());
    }
    if std::str::from_utf8(named).map(str::parse) != Ok(Ok(member)) {
        return Err(not_found(&owner.what));
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Reads a request of one message, with its header. The port limits its length; anything after it is refused unread.
pub(super) async fn one_message(mut body: Body) -> Result<Bytes, Status> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(cut_off)?.into_data() else {
            continue;
        };
        bytes.extend_from_slice(&data);
        if end_of_message(&bytes)?.is_some_and(|end| bytes.len() > end) {
            return Err(malformed("the request is more than one message"));
        }
    }
    match end_of_message(&bytes)? {
        Some(end) if end == bytes.len() => Ok(bytes.freeze()),
        _ => Err(malformed("the request is not one whole message")),
    }
}

/// Where the first message ends, once its header has arrived.
fn end_of_message(bytes: &[u8]) -> Result<Option<usize>, Status> {
    let Some((mut header, _)) = bytes.split_at_checked(FRAME_HEADER) else {
        return Ok(None);
    };
    match header.get_u8() {
        0 => Ok(usize::try_from(header.get_u32())
            .ok()
            .and_then(|length| length.checked_add(FRAME_HEADER))),
        1 => Err(coded(
            Code::Unimplemented,
            "COMPRESSION_NOT_SUPPORTED",
            "compressed requests are not accepted",
        )),
        _ => Err(malformed("the header of the message is malformed")),
    }
}

/// The request exceeds a limit of the port, or was cut off.
fn cut_off(error: axum::Error) -> Status {
    Status::try_from_error(error.into_inner())
        .unwrap_or_else(|_| malformed("the request was cut off"))
}
