//! A replica that does what a test wants.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chassis::server::{health::Health, limits::Limits, serve};
use futures::{FutureExt, stream};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use mesh::{balancer::Balancer, process::channel};
use tokio::{net::TcpListener, runtime::Runtime, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::{body::Body, service::Routes, transport::Channel};
use tower::{Service, ServiceExt, service_fn};

/// Longer than anything here should take.
pub(crate) const MOMENT: Duration = Duration::from_secs(20);

/// A replica on threads of its own. Dropping it is a crash.
pub(crate) struct Fake {
    runtime: Option<Runtime>,
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) health: Health,
    pub(crate) observed: Arc<Observed>,
}

/// What it has received, and what it may do.
pub(crate) struct Observed {
    name: &'static str,
    /// So many requests came.
    requests: AtomicUsize,
    /// So many slow ones may go on.
    go: Semaphore,
}

impl Observed {
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Waits until so many requests came.
    pub(crate) async fn has_received(&self, requests: usize) {
        let mut looks = tokio::time::interval(Duration::from_millis(1));
        while self.requests() != requests {
            looks.tick().await;
        }
    }
}

impl Fake {
    /// A replica that is ready.
    pub(crate) async fn start(name: &'static str) -> Self {
        let observed = Arc::new(Observed {
            name,
            requests: AtomicUsize::new(0),
            go: Semaphore::new(0),
        });
        let (public, admin) = (listener().await, listener().await);
        let addresses = (public.local_addr().unwrap(), admin.local_addr().unwrap());
        let health = Health::new([]).await;
        health.set_ready().await;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let rpcs = Routes::new(health.server()).prepare();
        runtime.spawn(open(admin, rpcs));
        let shared = observed.clone();
        let answers = service_fn(move |request| {
            let shared = shared.clone();
            async move { Ok::<_, Infallible>(answer(&shared, request).await) }.boxed()
        });
        runtime.spawn(open(public, answers));
        Self {
            runtime: Some(runtime),
            public: addresses.0,
            admin: addresses.1,
            health,
            observed,
        }
    }

    /// Lets a slow request go on.
    pub(crate) fn goes_on(&self) {
        self.observed.go.add_permits(1);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn open<S>(listener: TcpListener, service: S)
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    // A listener can be had by one runtime only.
    let listener = TcpListener::from_std(listener.into_std().unwrap()).unwrap();
    serve(
        listener,
        service,
        &Limits::default(),
        false,
        CancellationToken::new(),
    )
    .await;
}

/// `…/Name`: its name. `…/Slow`: the same, but it waits first. `…/Half`: the half of it, and then it waits. `…/Echo`: what
/// comes, as it comes.
async fn answer(observed: &Arc<Observed>, request: Request<Body>) -> Response<Body> {
    observed.requests.fetch_add(1, Ordering::SeqCst);
    let path = request.uri().path().to_owned();
    if path.ends_with("/Slow") {
        observed.go.acquire().await.unwrap().forget();
    }
    let name = Frame::data(Bytes::from_static(observed.name.as_bytes()));
    let frames = match path.rsplit('/').next() {
        Some("Echo") => {
            let came = stream::unfold(request.into_body(), async |mut body| {
                let frame = body.frame().await?.unwrap();
                Some((frame, body))
            });
            futures::StreamExt::boxed(came)
        }
        Some("Half") => {
            let waits = stream::once(std::future::pending());
            futures::StreamExt::boxed(futures::StreamExt::chain(stream::iter([name]), waits))
        }
        _ => futures::StreamExt::boxed(stream::iter([name])),
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    trailers.insert("x-said-by", HeaderValue::from_static(observed.name));
    let end = stream::iter([Frame::trailers(trailers)]);
    let frames = futures::StreamExt::chain(frames, end);
    let frames = futures::StreamExt::map(frames, Ok::<_, Infallible>);
    Response::builder()
        .header("content-type", "application/grpc")
        .body(Body::new(StreamBody::new(frames)))
        .unwrap()
}

/// A balancer for contexts, whose replicas are all given work.
pub(crate) async fn balanced(contexts: &'static [&'static str], fakes: &[&Fake]) -> Balancer {
    let balancer = balancer(contexts).await;
    let context = contexts.first().unwrap();
    for fake in fakes {
        balancer.add(context, fake.public, fake.admin).unwrap();
    }
    balancer
        .until_ready(context, fakes.len(), MOMENT)
        .await
        .unwrap();
    balancer
}

pub(crate) async fn balancer(contexts: &'static [&'static str]) -> Balancer {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    // It waits for its own threads, which a task must not.
    let starts = tokio::task::spawn_blocking(move || Balancer::start(contexts, any, any));
    starts.await.unwrap().unwrap()
}

/// What came back: the code, who said so, and the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: String,
    pub(crate) by: String,
    pub(crate) text: String,
}

/// Asks something.
pub(crate) async fn ask(address: SocketAddr, path: &str) -> Said {
    let answer = call(channel(address).unwrap(), path, Body::empty()).await;
    let head = answer.headers().clone();
    let body = answer.into_body().collect().await.unwrap();
    let tail = body.trailers().cloned().unwrap_or_default();
    let field = |name: &str| {
        let value = tail.get(name).or_else(|| head.get(name));
        value.map_or("", |value| value.to_str().unwrap()).to_owned()
    };
    Said {
        code: field("grpc-status"),
        by: field("x-said-by"),
        text: String::from_utf8(body.to_bytes().to_vec()).unwrap(),
    }
}

pub(crate) async fn call(channel: Channel, path: &str, body: Body) -> Response<Body> {
    let request = Request::post(path)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body);
    channel.oneshot(request.unwrap()).await.unwrap()
}
