//! Who calls: what the access layer found out about a request, for the contexts to read.

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

/// Who calls. Put into every request by the access layer; a request without one is anonymous.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The person on whose behalf the call is made, if there is one.
    pub member: Option<MemberId>,
    /// What that person may do.
    pub roles: Vec<Role>,
    /// The service that calls, if one does.
    pub service: Option<String>,
    /// Id of the request, for logs and as the cause of what it does.
    pub request_id: String,
    /// W3C trace context of the request.
    pub traceparent: String,
    /// The person's token, to be passed on to services that are called on their behalf.
    pub token: Option<String>,
    /// Until when the caller waits. Calls made on its behalf do not take longer.
    pub deadline: Option<Instant>,
}

/// Without the token.
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

    /// Whether the person operates the platform.
    pub fn is_admin(&self) -> bool {
        self.roles.contains(&Role::Admin)
    }

    /// Whether the caller may see what belongs to these members: one of them, an ADMIN, or another service.
    pub fn may_see(&self, owners: &[MemberId]) -> bool {
        self.is_admin()
            || self.member.is_some_and(|member| owners.contains(&member))
            || self.is_service()
    }

    /// Answers `NOT_FOUND` unless the caller may see what belongs to these members.
    pub fn must_see(&self, owners: &[MemberId], what: &str) -> Result<(), Status> {
        if self.may_see(owners) {
            Ok(())
        } else {
            Err(not_found(what))
        }
    }

    /// Whether a service calls on its own behalf.
    pub fn is_service(&self) -> bool {
        self.service.is_some() && self.member.is_none()
    }

    /// How long something may take that is done for this caller: `most`, or less if the caller does not wait so long. A
    /// quarter of its time is kept for writing down what came of it and for the way back.
    pub fn patience(&self, most: Duration) -> Duration {
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        left.map_or(most, |left| most.min(left / 4 * 3))
    }

    /// A request to another context on behalf of this caller: `client.get_offer(caller.request(message))`.
    ///
    /// The person goes along, with their token, and so do the trace and the deadline. The service that calls is the one
    /// that makes the call, whoever called it.
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

/// Takes a request apart: who calls, and what is asked for.
pub fn accept<T>(request: Request<T>) -> (Caller, T) {
    let (_, mut extensions, message) = request.into_parts();
    (extensions.remove::<Caller>().unwrap_or_default(), message)
}
