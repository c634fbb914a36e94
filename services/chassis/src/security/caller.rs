//! The caller of a request, as the access layer identified it.

use std::{fmt, time::Duration};

use berth::common::v1::Role;
use tokio::time::Instant;
use tonic::{Request, Status};

use crate::{
    base::id::MemberId,
    domain::event::Cause,
    error::{
        refusal::Kind,
        status::{not_found, status},
    },
};

/// The caller of a request. The access layer adds it to every request; a request without one is anonymous.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The person on whose behalf the call is made, if any.
    pub member: Option<MemberId>,
    /// The roles of that person.
    pub roles: Vec<Role>,
    /// The calling service, if any.
    pub service: Option<String>,
    /// Id of the request, for logs and as the cause of events.
    pub request_id: String,
    /// W3C trace context of the request.
    pub traceparent: String,
    /// The person's token, passed on to services that are called on their behalf.
    pub token: Option<String>,
    /// The deadline of the caller. It limits the calls made on its behalf.
    pub deadline: Option<Instant>,
}

/// Omits the token.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("member", &self.member)
            .field("roles", &self.roles)
            .field("service", &self.service)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

impl Caller {
    /// A person with roles. For tests.
    pub fn person(member: MemberId, roles: &[Role]) -> Self {
        Self {
            member: Some(member),
            roles: roles.to_vec(),
            ..Self::default()
        }
    }

    /// A service of the platform. For tests.
    pub fn service(name: &str) -> Self {
        Self {
            service: Some(name.to_owned()),
            ..Self::default()
        }
    }

    /// The person, or `UNAUTHENTICATED`.
    pub fn member(&self) -> Result<MemberId, Status> {
        self.member
            .ok_or_else(|| status(Kind::Unauthenticated, "UNAUTHENTICATED", "sign in first"))
    }

    /// Whether the person is an operator of the platform.
    pub fn is_admin(&self) -> bool {
        self.roles.contains(&Role::Admin)
    }

    /// Returns `NOT_FOUND` unless the caller may see what belongs to these members: as one of them, as an ADMIN, or as a
    /// service on its own behalf.
    pub fn require_visible(&self, owners: &[MemberId], what: &str) -> Result<(), Status> {
        match self.member {
            _ if self.is_admin() => Ok(()),
            Some(member) if owners.contains(&member) => Ok(()),
            None if self.service.is_some() => Ok(()),
            _ => Err(not_found(what)),
        }
    }

    /// Timeout of a call to an external system for this caller: `max`, or three quarters of the time left to its deadline if
    /// that is less. The rest is for storing the outcome and for the response.
    pub fn timeout_within(&self, max: Duration) -> Duration {
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        left.map_or(max, |left| max.min(left / 4 * 3))
    }

    /// A request to another context on behalf of this caller: `client.get_offer(caller.request(message))`.
    ///
    /// It carries the person with their token, the trace and the deadline. The calling service is the one that makes this
    /// call, not the one that called it.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(Self {
            service: None,
            ..self.clone()
        });
        request
    }

    /// The caller as the cause of what a command does.
    pub fn cause(&self) -> Cause {
        let actor = match (&self.member, &self.service) {
            (Some(member), _) => member.to_string(),
            (None, Some(service)) => format!("service:{service}"),
            (None, None) => String::new(),
        };
        Cause {
            actor,
            causation: self.request_id.clone(),
            correlation: String::new(),
            traceparent: self.traceparent.clone(),
        }
    }
}

/// Splits a request into its caller and its message.
pub fn accept<T>(request: Request<T>) -> (Caller, T) {
    let (_, mut extensions, message) = request.into_parts();
    (extensions.remove::<Caller>().unwrap_or_default(), message)
}
