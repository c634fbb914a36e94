//! Asks the processes how they are, all at once.

use std::{str::FromStr, time::Duration};

use berth::inspection::v1::{
    Context, InspectRequest, InspectResponse, inspection_service_client::InspectionServiceClient,
};
use chassis::{
    Clock, Timestamp, contract::headers::SERVICE_HEADER, runtime::start::log_of,
    security::service_identity::ServiceKey,
};
use futures::future::join_all;
use tokio::time::timeout;
use tonic::{Code, Request, Status, metadata::AsciiMetadataValue, transport::Endpoint};

use super::finding::plain;

/// What the doctor is called where services are known by name.
const DOCTOR: &str = "doctor";
/// The longest answer that is read.
const LONGEST: usize = 1024 * 1024;

/// The most that it may tell of: everything is compared with everything.
const PARTS: usize = 2000;

/// A process to be asked.
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

/// What a process said, or why it said nothing.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The process that was expected, and where.
    pub process: String,
    /// The URL of its admin port.
    pub address: String,
    /// When it was asked.
    pub asked: Timestamp,
    /// When it had answered.
    pub answered: Timestamp,
    /// What it said.
    pub said: Result<InspectResponse, Silence>,
}

/// Why a process has not said how it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Nobody is there, or not in time.
    Unreachable(String),
    /// It does not believe who asks. With what its clock shows, to the second, if that is known.
    Refused(String, Option<Timestamp>),
    /// It said something else.
    Unreadable(String),
}

/// How the processes are asked.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The key by which services know each other, if there is one.
    pub key: Option<ServiceKey>,
    /// Tells the time here.
    pub clock: Clock,
    /// How long each may take.
    pub patience: Duration,
}

impl Asker {
    /// Asks all of them, in the order in which they are given.
    pub async fn ask(&self, targets: &[Target]) -> Vec<Answer> {
        join_all(targets.iter().map(|target| self.ask_one(target))).await
    }

    async fn ask_one(&self, target: &Target) -> Answer {
        let asked = self.clock.now();
        let said = timeout(self.patience, self.inspect(target)).await;
        let late = |_| {
            let why = format!("no answer within {:?}", self.patience);
            Err(Silence::Unreachable(why))
        };
        Answer {
            process: target.process.clone(),
            address: target.address.clone(),
            asked,
            said: said.unwrap_or_else(late),
            answered: self.clock.now(),
        }
    }

    async fn inspect(&self, target: &Target) -> Result<InspectResponse, Silence> {
        let endpoint = target.endpoint.clone().connect_timeout(self.patience);
        let connected = endpoint.connect().await;
        let channel = connected.map_err(|error| Silence::Unreachable(causes(&error)))?;
        let mut request = Request::new(InspectRequest {});
        if let Some(token) = self.token(&target.process)? {
            request.metadata_mut().insert(SERVICE_HEADER, token);
        }
        let mut client = InspectionServiceClient::new(channel).max_decoding_message_size(LONGEST);
        let answer = client.inspect(request).await;
        let answer = answer.map_err(|status| self.silence(&status))?.into_inner();
        sound(&answer, &target.process).map_err(Silence::Unreadable)?;
        Ok(answer)
    }

    /// By this the process knows who asks. It is good for this process and a minute.
    fn token(&self, process: &str) -> Result<Option<AsciiMetadataValue>, Silence> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let token = key.sign(DOCTOR, &log_of(process), self.clock.now());
        let token = token
            .ok()
            .and_then(|token| AsciiMetadataValue::try_from(token).ok());
        let mut token = token.ok_or(Silence::Refused("no token could be signed".into(), None))?;
        token.set_sensitive(true);
        Ok(Some(token))
    }

    fn silence(&self, status: &Status) -> Silence {
        let said = match status.message() {
            "" => format!("{:?}", status.code()),
            message => format!("{:?}: {}", status.code(), plain(message)),
        };
        match status.code() {
            Code::Unauthenticated | Code::PermissionDenied if self.key.is_none() => {
                Silence::Refused(
                    format!("{said} (no service key was found to ask with)"),
                    None,
                )
            }
            Code::Unauthenticated | Code::PermissionDenied => Silence::Refused(said, date(status)),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
                Silence::Unreachable(said)
            }
            _ => Silence::Unreadable(said),
        }
    }
}

/// Whether an answer can be that of a process of this name.
fn sound(answer: &InspectResponse, process: &str) -> Result<(), String> {
    let Some(who) = &answer.process else {
        return Err("the answer does not say whose it is".to_owned());
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
    if parts > PARTS {
        return Err(format!(
            "the answer has {parts} parts: no platform is so large"
        ));
    }
    Ok(())
}

/// What the clock of who answered shows, by the `date` of HTTP.
fn date(status: &Status) -> Option<Timestamp> {
    let date = status.metadata().get("date")?.to_str().ok()?;
    chassis::base::time::from_http(date)
}

/// An error with all its causes.
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
    fn a_target_is_a_process_and_where_it_is() {
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
