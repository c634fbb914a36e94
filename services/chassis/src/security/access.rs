//! Access: who may call which rpc, as the contracts declare it, enforced before a context sees the request.
//!
//! | contract | allowed | refused |
//! |---|---|---|
//! | `public` | everybody; a token, if there is one, must be valid | |
//! | `internal` | a service, alone or on behalf of a person | `UNAUTHENTICATED`/`SERVICE_IDENTITY_REQUIRED` |
//! | `roles` | a person with one of the roles, or an ADMIN | without a person: `UNAUTHENTICATED`/`UNAUTHENTICATED`; with another role: `PERMISSION_DENIED`/`ROLE_REQUIRED` |
//! | `owner_field` | the person it names, or an ADMIN | `NOT_FOUND`, as if it named a person that does not exist; `INVALID_ARGUMENT` if it is empty |
//!
//! Where a role is required, a service's identity alone is not enough: the person's token must accompany it, so that a person
//! cannot use a service to do what they may not do themselves. `PERMISSION_DENIED` is used for a missing role only: a mesh
//! counts it as a failure of the callee.
//!
//! The caller is an extension of the request ([`Caller`]), which only code of this process can set, or is proved by headers:
//! `authorization: Bearer <token>` for a person, `x-berth-service` for a service. The context receives both as [`Caller`];
//! the headers are removed.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Request,
    middleware::{Next, from_fn},
};
use bytes::{Buf, Bytes, BytesMut};
use http::header::AUTHORIZATION;
use http_body_util::BodyExt;
use tokio::time::Instant;
use tonic::{Code, Status, service::Routes};
use uuid::Uuid;

use crate::{
    base::{id::MemberId, random},
    contract::{
        headers,
        rpcs::{OwnerField, RPCS, Rpcs, Who},
    },
    error::{
        refusal::Kind,
        status::{coded, not_found, status, unavailable},
        violations::Violations,
    },
    security::{
        caller::Caller,
        owner_field,
        tokens::{Trust, Untrusted},
    },
};

/// Bytes before each message: whether it is compressed, and its length.
const FRAME_HEADER: usize = 5;

/// Enforces who may call which rpc. Clones are the same.
#[derive(Clone, Debug)]
pub struct Access {
    trust: Trust,
}

impl Access {
    /// Access for the callers whose tokens are trusted.
    pub fn new(trust: &Trust) -> Self {
        Self {
            trust: trust.clone(),
        }
    }

    /// Makes the routes of a context check every request.
    #[must_use]
    pub fn guard(&self, context: &str, routes: Routes) -> Routes {
        guard(&RPCS, &self.trust, context, routes)
    }
}

fn guard(rpcs: &'static Rpcs, trust: &Trust, context: &str, routes: Routes) -> Routes {
    let guard = Arc::new(Guard {
        rpcs,
        trust: trust.clone(),
        context: context.to_owned(),
    });
    let layer = from_fn(move |request: Request, next: Next| {
        let guard = guard.clone();
        async move {
            match guard.authorize(request).await {
                Ok(request) => next.run(request).await,
                Err(status) => status.into_http(),
            }
        }
    });
    Routes::from(routes.into_axum_router().layer(layer)).prepare()
}

/// Checks the requests of one context.
struct Guard {
    rpcs: &'static Rpcs,
    trust: Trust,
    context: String,
}

impl Guard {
    /// Returns the request with its [`Caller`] if the caller may make it.
    async fn authorize(&self, mut request: Request) -> Result<Request, Status> {
        let path = request.uri().path();
        let Some(rpc) = self.rpcs.get(path) else {
            return if path.starts_with("/berth.") {
                Err(Status::unimplemented(""))
            } else {
                Ok(request)
            };
        };
        if rpc.access == Who::Unguarded {
            return Ok(request);
        }
        let caller = self.identify(&mut request).await?;
        match &rpc.access {
            Who::Public | Who::Unguarded => {}
            Who::Internal => require_service(&caller)?,
            Who::Roles(roles, owner) => {
                let member = caller.member()?;
                if !caller.is_admin() {
                    if !roles.iter().any(|role| caller.roles.contains(role)) {
                        return Err(role_required());
                    }
                    if let Some(owner) = owner {
                        request = require_owner(member, owner, request).await?;
                    }
                }
            }
            Who::Nobody => {
                tracing::error!(
                    rpc = request.uri().path(),
                    "refused: the contract does not declare who may call it"
                );
                return Err(coded(
                    Code::PermissionDenied,
                    "CLOSED",
                    "the contract does not allow anybody to call this",
                ));
            }
        }
        request.extensions_mut().insert(caller);
        Ok(request)
    }

    /// Identifies the caller. A service identity without proof is dropped; a person's token must be valid.
    async fn identify(&self, request: &mut Request) -> Result<Caller, Status> {
        let mut caller = request
            .extensions_mut()
            .remove::<Caller>()
            .unwrap_or_default();
        let headers = request.headers_mut();
        if caller.member.is_none() {
            self.identify_person(headers, &mut caller).await?;
        }
        if caller.service.is_none() {
            self.identify_service(headers, &mut caller);
        }
        headers.remove(AUTHORIZATION);
        headers.remove(headers::SERVICE);
        if caller.request_id.is_empty() {
            let new = || random::id::<Uuid>().to_string();
            caller.request_id = headers::request_id(headers).unwrap_or_else(new);
        }
        if caller.traceparent.is_empty() {
            caller.traceparent = headers::traceparent(headers).unwrap_or_default();
        }
        let asked = headers::timeout(headers).and_then(|left| Instant::now().checked_add(left));
        caller.deadline = caller.deadline.into_iter().chain(asked).min();
        Ok(caller)
    }

    async fn identify_person(
        &self,
        headers: &http::HeaderMap,
        caller: &mut Caller,
    ) -> Result<(), Status> {
        let token = match headers::bearer(headers) {
            Ok(None) => return Ok(()),
            Ok(Some(token)) => token,
            Err(()) => return Err(not_a_bearer_token()),
        };
        let claims = self.trust.person(token).await.map_err(|untrusted| {
            tracing::debug!(context = self.context, why = %untrusted, "token refused");
            match untrusted {
                Untrusted::NothingKnown => unavailable(
                    "TRUST_UNAVAILABLE",
                    "the token cannot be verified at the moment; try again",
                ),
                _ => untrusted_token(),
            }
        })?;
        caller.member = Some(claims.sub);
        caller.roles.clone_from(&claims.roles);
        caller.token = Some(token.to_owned());
        Ok(())
    }

    fn identify_service(&self, headers: &http::HeaderMap, caller: &mut Caller) {
        let mut given = headers.get_all(headers::SERVICE).iter();
        let (Some(token), None) = (given.next(), given.next()) else {
            return;
        };
        match self
            .trust
            .service(token.to_str().unwrap_or_default(), &self.context)
        {
            Ok(service) => caller.service = Some(service),
            Err(untrusted) => {
                tracing::debug!(context = self.context, why = %untrusted, "service identity not trusted");
            }
        }
    }
}

fn require_service(caller: &Caller) -> Result<(), Status> {
    match caller.service {
        Some(_) => Ok(()),
        None => Err(status(
            Kind::Unauthenticated,
            "SERVICE_IDENTITY_REQUIRED",
            "only services of the platform may call this",
        )),
    }
}

fn untrusted_token() -> Status {
    status(
        Kind::Unauthenticated,
        "UNAUTHENTICATED",
        "the token is not valid; sign in again",
    )
}

fn not_a_bearer_token() -> Status {
    status(
        Kind::Unauthenticated,
        "UNAUTHENTICATED",
        "authorization must be given once, as `Bearer` and an access token",
    )
}

fn role_required() -> Status {
    coded(
        Code::PermissionDenied,
        "ROLE_REQUIRED",
        "this requires another role",
    )
}

fn malformed(why: &'static str) -> Status {
    status(Kind::Invalid, "MALFORMED_REQUEST", why)
}

/// Refuses a request whose owner field does not name the member. Returns the request unchanged.
async fn require_owner(
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
async fn one_message(mut body: Body) -> Result<Bytes, Status> {
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

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use tower::ServiceExt;

    use super::*;
    use crate::{
        base::clock::Clock,
        security::tokens::{Trust, TrustSettings},
    };

    static UNDECLARED: LazyLock<Rpcs> = LazyLock::new(crate::contract::rpcs::tests::undeclared);

    /// The status of a call of an ADMIN through a service.
    async fn call(rpcs: &'static Rpcs) -> Status {
        let trust = Trust::new(TrustSettings::default(), None, Clock::System);
        let routes = guard(rpcs, &trust, "room", open_routes());
        let mut request = http::Request::post("/berth.room.v1.RoomService/GetRoom")
            .body(Body::from(vec![0; FRAME_HEADER]))
            .unwrap();
        let member = MemberId::from_u128(1);
        request.extensions_mut().insert(Caller {
            service: Some("reservation".to_owned()),
            ..Caller::person(member, &[berth::common::v1::Role::Admin])
        });
        let response = routes.oneshot(request).await.unwrap();
        Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok(""))
    }

    /// Routes that accept every request.
    fn open_routes() -> Routes {
        let answer = || async { http::Response::new(Body::empty()) };
        Routes::from(axum::Router::new().fallback(answer))
    }

    #[tokio::test]
    async fn an_rpc_without_declared_access_is_closed_to_everybody() {
        assert_eq!(call(&RPCS).await.code(), Code::Ok);
        let status = call(&UNDECLARED).await;
        assert_eq!(
            (
                status.code(),
                crate::error::status::reason_of(&status).as_deref()
            ),
            (Code::PermissionDenied, Some("CLOSED"))
        );
    }

    static UNREADABLE: LazyLock<Rpcs> = LazyLock::new(|| Rpcs::read(&[b"no descriptors"]));

    #[tokio::test]
    async fn unreadable_contracts_are_closed() {
        assert_eq!(call(&UNREADABLE).await.code(), Code::Unimplemented);
    }
}
