//! Access: who may call which rpc, as the contracts declare it, enforced before a context sees the request.
//!
//! | contract | allowed | refused |
//! |---|---|---|
//! | `public` | everybody; a token that is not valid counts as none | |
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
    extract::Request,
    middleware::{Next, from_fn},
    response::Response,
};
use tonic::{Code, Status, service::Routes};

use crate::{
    contract::rpcs::{RPCS, Rpc, Rpcs, Who},
    error::status::coded,
    security::{
        audit::Record,
        authentication::{identify, unauthenticated},
        caller::Caller,
        ownership::require_owner,
        tokens::Trust,
    },
};

/// Enforces who may call which rpc. Clones are the same.
#[derive(Clone, Debug)]
pub struct Access {
    rpcs: &'static Rpcs,
    trust: Trust,
}

impl Access {
    /// Access for the callers whose tokens are trusted.
    pub fn new(trust: &Trust) -> Self {
        Self {
            rpcs: &RPCS,
            trust: trust.clone(),
        }
    }

    /// Makes the routes of a context check every request.
    #[must_use]
    pub fn guard(&self, context: &str, routes: Routes) -> Routes {
        let (access, context) = (self.clone(), Arc::<str>::from(context));
        let layer = from_fn(move |request: Request, next: Next| {
            let (access, context) = (access.clone(), context.clone());
            async move {
                let response = access.call(&context, request, next).await;
                response.unwrap_or_else(Status::into_http)
            }
        });
        Routes::from(routes.into_axum_router().layer(layer)).prepare()
    }

    /// Calls an rpc if the caller may, and records it if it is a change by an operator.
    async fn call(
        &self,
        context: &str,
        mut request: Request,
        next: Next,
    ) -> Result<Response, Status> {
        let path = request.uri().path();
        let Some(rpc) = self.rpcs.get(path) else {
            return if path.starts_with("/berth.") {
                Err(Status::unimplemented(""))
            } else {
                Ok(next.run(request).await)
            };
        };
        if rpc.access == Who::Unguarded {
            return Ok(next.run(request).await);
        }
        let caller = identify(&self.trust, context, &rpc.access, &mut request).await?;
        let Some(mut record) = Record::begin(rpc, &caller) else {
            return Ok(next.run(authorize(rpc, caller, request).await?).await);
        };
        let authorized = async {
            let request = record.read(rpc, request).await?;
            authorize(rpc, caller, request).await
        };
        match authorized.await {
            Ok(request) => Ok(record.end_with(rpc, next.run(request).await).await),
            Err(status) => {
                record.end(status.code());
                Err(status)
            }
        }
    }
}

/// Returns the request with its [`Caller`] if the caller may make it.
async fn authorize(rpc: &Rpc, caller: Caller, mut request: Request) -> Result<Request, Status> {
    match &rpc.access {
        Who::Public | Who::Unguarded => {}
        Who::Internal if caller.service.is_some() => {}
        Who::Internal => {
            let message = "only services of the platform may call this";
            return Err(unauthenticated("SERVICE_IDENTITY_REQUIRED", message));
        }
        Who::Roles(roles, owner) => {
            let member = caller.member()?;
            if !caller.is_admin() {
                if !roles.iter().any(|role| caller.roles.contains(role)) {
                    return Err(denied("ROLE_REQUIRED", "this requires another role"));
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
            let message = "the contract does not allow anybody to call this";
            return Err(denied("CLOSED", message));
        }
    }
    request.extensions_mut().insert(caller);
    Ok(request)
}

fn denied(reason: &str, message: &str) -> Status {
    coded(Code::PermissionDenied, reason, message)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use axum::body::Body;
    use tower::ServiceExt;

    use super::*;
    use crate::{
        base::{clock::Clock, id::MemberId},
        error::status::reason_of,
        security::{service_identity::ServiceKeys, tokens::TrustSettings},
    };

    static UNDECLARED: LazyLock<Rpcs> = LazyLock::new(crate::contract::rpcs::tests::undeclared);

    /// The status of a call of an ADMIN through a service.
    async fn call(rpcs: &'static Rpcs) -> Status {
        let trust = Trust::new(
            TrustSettings::default(),
            ServiceKeys::default(),
            Clock::System,
        );
        // Routes that accept every request.
        let accept = || async { http::Response::new(Body::empty()) };
        let open = Routes::from(axum::Router::new().fallback(accept));
        let routes = Access { rpcs, trust }.guard("room", open);
        let mut request = http::Request::post("/berth.room.v1.RoomService/GetRoom")
            .body(Body::from(vec![0; 5]))
            .unwrap();
        let member = MemberId::from_u128(1);
        request.extensions_mut().insert(Caller {
            service: Some("reservation".to_owned()),
            ..Caller::person(member, &[berth::common::v1::Role::Admin])
        });
        let response = routes.oneshot(request).await.unwrap();
        Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok(""))
    }

    #[tokio::test]
    async fn an_rpc_without_declared_access_is_closed_to_everybody() {
        assert_eq!(call(&RPCS).await.code(), Code::Ok);
        let status = call(&UNDECLARED).await;
        assert_eq!(
            (status.code(), reason_of(&status).as_deref()),
            (Code::PermissionDenied, Some("CLOSED"))
        );
    }

    static UNREADABLE: LazyLock<Rpcs> = LazyLock::new(|| Rpcs::read(&[b"no descriptors"]));

    #[tokio::test]
    async fn unreadable_contracts_are_closed() {
        assert_eq!(call(&UNREADABLE).await.code(), Code::Unimplemented);
    }
}
