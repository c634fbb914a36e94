//! A call to another process: over a channel, with headers that identify the caller.

use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use http_body_util::BodyExt;
use tokio::time::Instant;
use tonic::{Code, Status, body::Body, transport::Channel};
use tower::ServiceExt;

use crate::{
    base::{
        clock::Clock,
        time::{SignedDuration, Timestamp},
    },
    client::response::{CallResult, peer_unavailable},
    contract::{headers, rpcs::RPCS},
    error::status::internal,
    security::{caller::Caller, service_identity::ServiceKey},
};

/// How long a service token is used before a new one is signed; well below its lifetime.
const TOKEN_USE: SignedDuration = SignedDuration::from_secs(30);

/// Calls a context in another process.
pub(super) struct Remote {
    context: String,
    channel: Channel,
    service_key: Option<ServiceKey>,
    clock: Clock,
    /// The latest token, and when it was signed.
    token: Mutex<Option<(Timestamp, HeaderValue)>>,
}

impl Remote {
    pub(super) fn new(
        context: &str,
        channel: Channel,
        service_key: Option<ServiceKey>,
        clock: Clock,
    ) -> Self {
        Self {
            context: context.to_owned(),
            channel,
            service_key,
            clock,
            token: Mutex::default(),
        }
    }

    pub(super) async fn call(&self, mut request: http::Request<Body>) -> CallResult {
        let caller = request.extensions_mut().remove::<Caller>();
        self.identify(&caller.unwrap_or_default(), request.headers_mut())?;
        let streams = RPCS
            .get(request.uri().path())
            .is_some_and(|rpc| rpc.server_streaming);
        let response = self
            .channel
            .clone()
            .oneshot(request)
            .await
            .map_err(|error| {
                tracing::debug!(peer = self.context, error = %error, "call failed");
                let mut status = peer_unavailable();
                status.set_source(Arc::new(error));
                status
            })?;
        if streams {
            return Ok(response);
        }
        // The whole response is read here, while the deadline is enforced.
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| {
            tracing::debug!(peer = self.context, error = %error, "response cut off");
            peer_unavailable()
        })?;
        // An error in the trailers is returned as every error: in the headers.
        if let Some(status) = body.trailers().and_then(Status::from_header_map)
            && status.code() != Code::Ok
        {
            return Ok(status.into_http());
        }
        Ok(http::Response::from_parts(parts, Body::new(body)))
    }

    /// Writes the identity of the caller into the headers.
    fn identify(&self, caller: &Caller, headers: &mut HeaderMap) -> Result<(), Status> {
        if let Some(deadline) = caller.deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            headers.insert(headers::TIMEOUT, headers::timeout_value(left));
        }
        if let Some(token) = &caller.token {
            let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|error| internal(&error))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let texts = [
            (headers::REQUEST_ID, &caller.request_id),
            (headers::TRACEPARENT, &caller.traceparent),
        ];
        for (name, text) in texts {
            if let Ok(value) = HeaderValue::from_str(text)
                && !text.is_empty()
            {
                headers.insert(name, value);
            }
        }
        if let (Some(key), Some(_)) = (&self.service_key, &caller.service) {
            headers.insert(headers::SERVICE, self.token(key)?);
        }
        Ok(())
    }

    /// A token of this process. It names the process, whichever of its contexts calls.
    fn token(&self, key: &ServiceKey) -> Result<HeaderValue, Status> {
        let now = self.clock.now();
        let mut latest = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((signed, token)) = &*latest {
            let age = now.duration_since(*signed);
            if age >= SignedDuration::ZERO && age < TOKEN_USE {
                return Ok(token.clone());
            }
        }
        let token = key
            .sign(&self.context, now)
            .map_err(|error| internal(&error))?;
        let mut token = HeaderValue::try_from(token).map_err(|error| internal(&error))?;
        token.set_sensitive(true);
        *latest = Some((now, token.clone()));
        Ok(token)
    }
}
