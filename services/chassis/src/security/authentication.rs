//! Identifies the caller of a request from its extensions and headers.

use axum::extract::Request;
use http::{HeaderMap, header::AUTHORIZATION};
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;

use crate::{
    base::random,
    contract::{headers, rpcs::Who},
    error::{
        refusal::Kind,
        status::{status, unavailable},
    },
    security::{
        caller::Caller,
        tokens::{Trust, Untrusted},
    },
};

/// Identifies the caller. A service identity without proof is dropped. A person's token must be valid, unless the rpc needs
/// none: then the caller is nobody, also not the service that passed the token on, which sees more on its own behalf.
pub(super) async fn identify(
    trust: &Trust,
    context: &str,
    access: &Who,
    request: &mut Request,
) -> Result<Caller, Status> {
    let mut caller = request
        .extensions_mut()
        .remove::<Caller>()
        .unwrap_or_default();
    let headers = request.headers_mut();
    if caller.member.is_none()
        && let Err(status) = person(trust, context, headers, &mut caller).await
    {
        if *access != Who::Public {
            return Err(status);
        }
        caller.service = None;
        headers.remove(headers::SERVICE);
    }
    if caller.service.is_none() {
        service(trust, context, headers, &mut caller);
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

async fn person(
    trust: &Trust,
    context: &str,
    headers: &HeaderMap,
    caller: &mut Caller,
) -> Result<(), Status> {
    let token = match headers::bearer(headers) {
        Ok(None) => return Ok(()),
        Ok(Some(token)) => token,
        Err(()) => {
            let message = "authorization must be given once, as `Bearer` and an access token";
            return Err(unauthenticated("UNAUTHENTICATED", message));
        }
    };
    let claims = trust.person(token).await.map_err(|untrusted| {
        tracing::debug!(context, why = %untrusted, "token refused");
        match untrusted {
            Untrusted::NothingKnown => unavailable(
                "TRUST_UNAVAILABLE",
                "the token cannot be verified at the moment; try again",
            ),
            _ => unauthenticated("UNAUTHENTICATED", "the token is not valid; sign in again"),
        }
    })?;
    caller.member = Some(claims.sub);
    caller.roles.clone_from(&claims.roles);
    caller.token = Some(token.to_owned());
    Ok(())
}

fn service(trust: &Trust, context: &str, headers: &HeaderMap, caller: &mut Caller) {
    let mut given = headers.get_all(headers::SERVICE).iter();
    let (Some(token), None) = (given.next(), given.next()) else {
        return;
    };
    match trust.service(token.to_str().unwrap_or_default(), context) {
        Ok(service) => caller.service = Some(service),
        Err(untrusted) => {
            tracing::debug!(context, why = %untrusted, "service identity not trusted");
        }
    }
}

pub(super) fn unauthenticated(reason: &str, message: &str) -> Status {
    status(Kind::Unauthenticated, reason, message)
}
