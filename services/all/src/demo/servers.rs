//! The platform that the demo plays against: one URL for all services, or one for each context where nothing in front of them
//! has one address for all.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};

use chassis::client::addresses::Addresses;
use tonic::{
    body::Body,
    codegen::{BoxFuture, Service, StdError, http},
    transport::{Channel, Endpoint},
};

/// The timeout of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// The servers as given, and their endpoints by context. The one URL of all services has the name `""`.
#[derive(Clone, Debug)]
pub(crate) struct Servers {
    pub(crate) text: String,
    endpoints: BTreeMap<String, Endpoint>,
}

impl std::str::FromStr for Servers {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = "must be a URL such as http://127.0.0.1:8080, or one for each context: room=http://…,view=http://…";
        let addresses = if text.contains('=') {
            text.parse::<Addresses>().map_err(|_| wrong)?.0
        } else {
            BTreeMap::from([(String::new(), text.to_owned())])
        };
        let endpoints = addresses.into_iter().map(|(context, url)| {
            let endpoint: Endpoint = url.parse().map_err(|_| wrong)?;
            let uri = endpoint.uri();
            if uri.scheme_str() != Some("http") || uri.authority().is_none() {
                return Err(wrong);
            }
            let endpoint = endpoint.connect_timeout(CALL_TIMEOUT).timeout(CALL_TIMEOUT);
            Ok((context, endpoint))
        });
        Ok(Self {
            text: text.to_owned(),
            endpoints: endpoints.collect::<Result<_, _>>()?,
        })
    }
}

impl Servers {
    /// Connects to all of them.
    pub(crate) async fn connect(&self) -> Result<Platform, tonic::transport::Error> {
        let mut channels = BTreeMap::new();
        for (context, endpoint) in &self.endpoints {
            channels.insert(context.clone(), endpoint.connect().await?);
        }
        Ok(Platform(channels))
    }
}

/// Connections to all services. Each request goes to the context whose service it names.
#[derive(Clone, Debug)]
pub(crate) struct Platform(BTreeMap<String, Channel>);

impl Platform {
    /// The connection for a path such as `/berth.room.v1.RoomService/ListRooms`.
    fn channel(&self, path: &str) -> Option<&Channel> {
        let context = path.split('.').nth(1).unwrap_or_default();
        self.0.get(context).or_else(|| self.0.get(""))
    }
}

impl Service<http::Request<Body>> for Platform {
    type Response = http::Response<Body>;
    type Error = StdError;
    type Future = BoxFuture<Self::Response, Self::Error>;

    /// The channels are awaited when they are called.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let channel = self.channel(request.uri().path()).cloned();
        Box::pin(async move {
            let mut channel = channel.ok_or("--server has no URL for this service")?;
            poll_fn(|context| channel.poll_ready(context)).await?;
            Ok(channel.call(request).await?)
        })
    }
}
