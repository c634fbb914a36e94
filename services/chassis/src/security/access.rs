//! Access: who may call which rpc, as the contracts declare it, enforced before a context sees the request.
//!
//! | contract | who passes | who does not |
//! |---|---|---|
//! | `public` | anybody; a token, if one is given, must be good | |
//! | `internal` | a service, alone or on behalf of a person | `UNAUTHENTICATED`/`SERVICE_IDENTITY_REQUIRED` |
//! | `roles` | a person with one of the roles, or an ADMIN | nobody: `UNAUTHENTICATED`/`UNAUTHENTICATED`; another role: `PERMISSION_DENIED`/`ROLE_REQUIRED` |
//! | `owner_field` | the person it names, or an ADMIN | `NOT_FOUND`, as if it named somebody who does not exist; `INVALID_ARGUMENT` if it is empty |
//!
//! A service's identity alone never passes where a person's role is asked for: the person's token must come beside it, so
//! that a service cannot be talked into what the person may not do. `PERMISSION_DENIED` is used for a missing role only:
//! a mesh counts it as a failure of the callee.
//!
//! Who calls is either an extension of the request ([`Caller`]), which only code of this process can set, or what the
//! headers prove: `authorization: Bearer <token>` for a person, `x-berth-service` for a service. The context finds both as
//! [`Caller`]; the headers themselves end here.

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

/// What stands before a message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// Enforces who may call which rpc. Clones are the same.
#[derive(Clone, Debug)]
pub struct Access {
    trust: Trust,
}

impl Access {
    /// Access by tokens that are trusted.
    pub fn new(trust: &Trust) -> Self {
        Self {
            trust: trust.clone(),
        }
    }

    /// The routes of a context, guarded.
    #[must_use]
    pub fn guard(&self, context: &str, routes: Routes) -> Routes {
        guard(&RPCS, &self.trust, context, routes)
    }
}

fn guard(rpcs: &'static Rpcs, trust: &Trust, context: &str, routes: Routes) -> Routes {
    let gate = Arc::new(Gate {
        rpcs,
        trust: trust.clone(),
        context: context.to_owned(),
    });
    let layer = from_fn(move |request: Request, next: Next| {
        let gate = gate.clone();
        async move {
            match gate.admit(request).await {
                Ok(request) => next.run(request).await,
                Err(status) => status.into_http(),
            }
        }
    });
    Routes::from(routes.into_axum_router().layer(layer)).prepare()
}

/// The gate before the routes of one context.
struct Gate {
    rpcs: &'static Rpcs,
    trust: Trust,
    context: String,
}

impl Gate {
    /// Lets a request through with its [`Caller`], or says why not.
    async fn admit(&self, mut request: Request) -> Result<Request, Status> {
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
            Who::Internal => is_service(&caller)?,
            Who::Roles(roles, owner) => {
                let member = caller.member()?;
                if !caller.is_admin() {
                    if !roles.iter().any(|role| caller.roles.contains(role)) {
                        return Err(role_required());
                    }
                    if let Some(owner) = owner {
                        request = names(member, owner, request).await?;
                    }
                }
            }
            Who::Nobody => {
                tracing::error!(
                    rpc = request.uri().path(),
                    "refused: the contract does not say who may call it"
                );
                return Err(coded(
                    Code::PermissionDenied,
                    "CLOSED",
                    "nobody may call this",
                ));
            }
        }
        request.extensions_mut().insert(caller);
        Ok(request)
    }

    /// Finds out who calls. What the headers claim and cannot prove is dropped; a person's token must be good.
    async fn identify(&self, request: &mut Request) -> Result<Caller, Status> {
        let mut caller = request
            .extensions_mut()
            .remove::<Caller>()
            .unwrap_or_default();
        let headers = request.headers_mut();
        if caller.member.is_none() {
            self.find_person(headers, &mut caller).await?;
        }
        if caller.service.is_none() {
            self.find_service(headers, &mut caller);
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

    async fn find_person(
        &self,
        headers: &http::HeaderMap,
        caller: &mut Caller,
    ) -> Result<(), Status> {
        let token = match headers::bearer(headers) {
            Ok(None) => return Ok(()),
            Ok(Some(token)) => token,
            Err(()) => return Err(no_bearer()),
        };
        let claims = self.trust.person(token).await.map_err(|untrusted| {
            tracing::debug!(context = self.context, why = %untrusted, "token refused");
            match untrusted {
                Untrusted::NothingKnown => unavailable(
                    "TRUST_UNAVAILABLE",
                    "whether the token is good cannot be said right now",
                ),
                _ => bad_token(),
            }
        })?;
        caller.member = Some(claims.sub);
        caller.roles.clone_from(&claims.roles);
        caller.token = Some(token.to_owned());
        Ok(())
    }

    fn find_service(&self, headers: &http::HeaderMap, caller: &mut Caller) {
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
                tracing::debug!(context = self.context, why = %untrusted, "service identity not believed");
            }
        }
    }
}

fn is_service(caller: &Caller) -> Result<(), Status> {
    match caller.service {
        Some(_) => Ok(()),
        None => Err(status(
            Kind::Unauthenticated,
            "SERVICE_IDENTITY_REQUIRED",
            "only services of the platform may call this",
        )),
    }
}

fn bad_token() -> Status {
    status(
        Kind::Unauthenticated,
        "UNAUTHENTICATED",
        "the token is not good; sign in again",
    )
}

fn no_bearer() -> Status {
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
        "this needs another role",
    )
}

fn malformed(why: &'static str) -> Status {
    status(Kind::Invalid, "MALFORMED_REQUEST", why)
}

/// Passes a request whose owner field names the member. The request is read and handed on unchanged.
async fn names(member: MemberId, owner: &OwnerField, request: Request) -> Result<Request, Status> {
    let (parts, body) = request.into_parts();
    let bytes = one_message(body).await?;
    let message = bytes.get(HEAD..).unwrap_or_default();
    let named = owner_field::text_at(message, &owner.path)
        .map_err(|owner_field::Malformed| malformed("the request is no message of this rpc"))?;
    if named.is_empty() {
        let mut violations = Violations::new();
        violations.add(&owner.field, "must be given: it says for whom");
        return Err(violations.into());
    }
    if std::str::from_utf8(named).map(str::parse) != Ok(Ok(member)) {
        return Err(not_found(&owner.what));
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// Reads a request of one message, with its head. How long a message may be is a limit of the port; what comes after it
/// is refused and not read.
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

/// Where the first message ends, once its head is there.
fn end_of_message(bytes: &[u8]) -> Result<Option<usize>, Status> {
    let Some((mut head, _)) = bytes.split_at_checked(HEAD) else {
        return Ok(None);
    };
    match head.get_u8() {
        0 => Ok(usize::try_from(head.get_u32())
            .ok()
            .and_then(|length| length.checked_add(HEAD))),
        1 => Err(coded(
            Code::Unimplemented,
            "COMPRESSION_NOT_SUPPORTED",
            "compressed requests are not accepted",
        )),
        _ => Err(malformed("the head of the request is malformed")),
    }
}

/// The request could not be read to its end: it broke a limit of the port, or off.
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

    static UNSAID: LazyLock<Rpcs> = LazyLock::new(crate::contract::rpcs::tests::unsaid);

    /// Lets an ADMIN knock who comes through a service.
    async fn knock(rpcs: &'static Rpcs) -> Status {
        let trust = Trust::new(TrustSettings::default(), None, Clock::System);
        let routes = guard(rpcs, &trust, "room", open());
        let mut request = http::Request::post("/berth.room.v1.RoomService/GetRoom")
            .body(Body::from(vec![0; HEAD]))
            .unwrap();
        let member = MemberId::from_u128(1);
        request.extensions_mut().insert(Caller {
            service: Some("reservation".to_owned()),
            ..Caller::person(member, &[berth::common::v1::Role::Admin])
        });
        let response = routes.oneshot(request).await.unwrap();
        Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok(""))
    }

    /// Routes that answer everything.
    fn open() -> Routes {
        let answer = || async { http::Response::new(Body::empty()) };
        Routes::from(axum::Router::new().fallback(answer))
    }

    #[tokio::test]
    async fn what_the_contract_does_not_say_is_closed_to_everybody() {
        assert_eq!(knock(&RPCS).await.code(), Code::Ok);
        let status = knock(&UNSAID).await;
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
    async fn contracts_that_cannot_be_read_are_closed() {
        assert_eq!(knock(&UNREADABLE).await.code(), Code::Unimplemented);
    }
}
