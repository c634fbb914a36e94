//! Inspects the processes through their admin ports, all at the same time.

use std::{str::FromStr, time::Duration};

use berth::inspection::v1::{
    Context, InspectRequest, InspectResponse, inspection_service_client::InspectionServiceClient,
};
use chassis::{
    Clock, Timestamp,
    contract::headers::SERVICE_HEADER,
    security::service_identity::{ServiceKey, admin_port_of},
};
use futures::future::join_all;
use tokio::time;
use tonic::{Code, Request, Status, metadata::AsciiMetadataValue, transport::Endpoint};

use super::finding::plain;

/// The largest response that is read, in bytes.
const MAX_LENGTH: usize = 1024 * 1024;

/// The largest number of parts in a response: all parts are compared with each other.
const MAX_PARTS: usize = 2000;

/// A process to inspect.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its name: that of its context, or `berth`.
    pub process: String,
    /// The URL of its admin port.
    pub address: String,
    endpoint: Endpoint,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` must be <process>=<URL>, for example room=http://127.0.0.1:9203");
        let (process, address) = text.split_once('=').ok_or_else(wrong)?;
        let (process, address) = (process.trim(), address.trim());
        let endpoint: Endpoint = address.parse().map_err(|_| wrong())?;
        let uri = endpoint.uri();
        if process.is_empty() || uri.scheme_str() != Some("http") || uri.authority().is_none() {
            return Err(wrong());
        }
        Ok(Self {
            process: process.to_owned(),
            address: address.to_owned(),
            endpoint,
        })
    }
}

/// The response of a process, or why there is none.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The name of the expected process.
    pub process: String,
    /// The URL of its admin port.
    pub address: String,
    /// When the request was sent.
    pub asked: Timestamp,
    /// When the response had arrived.
    pub answered: Timestamp,
    /// Its response.
    pub response: Result<InspectResponse, NoAnswer>,
}

/// Why there is no response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The process cannot be reached, or does not respond in time.
    Unreachable(String),
    /// The process rejects the token. With the time of its clock in full seconds, if known.
    Refused(String, Option<Timestamp>),
    /// The response is invalid.
    Unreadable(String),
}

/// Inspects processes.
#[derive(Clone, Debug)]
pub struct Inspector {
    /// The key that signs the tokens of the doctor, if there is one.
    pub key: Option<ServiceKey>,
    /// The clock of this machine.
    pub clock: Clock,
    /// The timeout of each process.
    pub timeout: Duration,
}

impl Inspector {
    /// Inspects all targets and returns the answers in the same order.
    pub async fn inspect_all(&self, targets: &[Target]) -> Vec<Answer> {
        join_all(targets.iter().map(|target| self.inspect_one(target))).await
    }

    async fn inspect_one(&self, target: &Target) -> Answer {
        let asked = self.clock.now();
        let response = time::timeout(self.timeout, self.inspect(target)).await;
        let late = |_| {
            let why = format!("no answer within {:?}", self.timeout);
            Err(NoAnswer::Unreachable(why))
        };
        Answer {
            process: target.process.clone(),
            address: target.address.clone(),
            asked,
            response: response.unwrap_or_else(late),
            answered: self.clock.now(),
        }
    }

    async fn inspect(&self, target: &Target) -> Result<InspectResponse, NoAnswer> {
        let endpoint = target.endpoint.clone().connect_timeout(self.timeout);
        let connected = endpoint.connect().await;
        let channel = connected.map_err(|error| NoAnswer::Unreachable(causes(&error)))?;
        let mut request = Request::new(InspectRequest {});
        if let Some(token) = self.token(&target.process)? {
            request.metadata_mut().insert(SERVICE_HEADER, token);
        }
        let mut client =
            InspectionServiceClient::new(channel).max_decoding_message_size(MAX_LENGTH);
        let answer = client.inspect(request).await;
        let answer = answer
            .map_err(|status| self.no_answer(&status))?
            .into_inner();
        validate(&answer, &target.process).map_err(NoAnswer::Unreadable)?;
        Ok(answer)
    }

    /// A service token, valid for this process and one minute.
    fn token(&self, process: &str) -> Result<Option<AsciiMetadataValue>, NoAnswer> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let token = key.sign(&admin_port_of(process), self.clock.now());
        let token = token
            .ok()
            .and_then(|token| AsciiMetadataValue::try_from(token).ok());
        let mut token = token.ok_or(NoAnswer::Refused("no token could be signed".into(), None))?;
        token.set_sensitive(true);
        Ok(Some(token))
    }

    fn no_answer(&self, status: &Status) -> NoAnswer {
        let response = match status.message() {
            "" => format!("{:?}", status.code()),
            message => format!("{:?}: {}", status.code(), plain(message)),
        };
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied if self.key.is_none() => {
                NoAnswer::Refused(format!("{response} (no key of the doctor was found)"), None)
            }
            Code::Unauthenticated | Code::PermissionDenied => {
                NoAnswer::Refused(response, date(status))
            }
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
                NoAnswer::Unreachable(response)
            }
            _ => NoAnswer::Unreadable(response),
        }
    }
}

/// Checks that a response can be that of a process with this name.
fn validate(answer: &InspectResponse, process: &str) -> Result<(), String> {
    let Some(who) = &answer.process else {
        return Err("the response names no process".to_owned());
    };
    if who.process != process {
        let other = plain(&who.process);
        return Err(format!("this is the process `{other}`"));
    }
    let in_context = |context: &Context| {
        let parts = [
            usize::from(context.log.is_some()),
            context.consumers.len(),
            context.dead_letters.len(),
            context.missing_producers.len(),
        ];
        1 + parts.into_iter().sum::<usize>()
    };
    let mut parts = answer.contexts.iter().map(in_context).sum::<usize>();
    parts += answer.peers.len() + who.not_ready_reasons.len();
    parts += answer.bus.as_ref().map_or(0, |bus| bus.heartbeats.len());
    if parts > MAX_PARTS {
        return Err(format!(
            "the response has {parts} parts, more than {MAX_PARTS}"
        ));
    }
    Ok(())
}

/// The time of the process, from the HTTP header `date`.
fn date(status: &Status) -> Option<Timestamp> {
    let date = status.metadata().get("date")?.to_str().ok()?;
    chassis::base::time::from_http(date)
}

/// An error followed by all its causes.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    plain(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_process_and_a_url() {
        let target: Target = " room = http://127.0.0.1:9203".parse().unwrap();
        assert_eq!(
            (&*target.process, &*target.address),
            ("room", "http://127.0.0.1:9203")
        );
        for wrong in [
            "room",
            "=http://a:1",
            "room=a:1",
            "room=https://a:1",
            "room=",
            "room=http://",
        ] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong}");
        }
    }
}
