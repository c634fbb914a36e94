//! Sends a response over HTTP/2, in bounded time: what its caller does not take is reset, and its bytes are freed.

use std::{
    future::{pending, poll_fn},
    io::IoSlice,
    time::Duration,
};

use bytes::{Buf, Bytes};
use h2::{Reason, SendStream, server::SendResponse};
use http::Response;
use http_body_util::BodyExt;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tonic::body::Body;

/// After the signal to stop: time in which a client without requests in progress learns of it, and sends what is on its way.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// When a response must have been delivered: an extension of the response. Without it each part has the time of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeliverBy(pub(super) Instant);

/// A part of a response. The library drops it when it has been sent.
pub(super) struct Chunk {
    bytes: Bytes,
    _unsent: TaskTrackerToken,
}

impl Buf for Chunk {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }
}

/// Why a response was not delivered.
enum Undelivered {
    /// Its time is over, or the process stops.
    Late,
    /// The body failed.
    Failed,
    /// The caller does not want it.
    Reset,
}

/// Sends a response. Returns when all of it has been sent; until then its body, with all that it holds, is alive.
pub(super) async fn deliver(
    response: Response<Body>,
    mut respond: SendResponse<Chunk>,
    longest_stall: Duration,
    stop: CancellationToken,
) {
    let (head, mut body) = response.into_parts();
    let by = head.extensions.get().map(|DeliverBy(by)| *by);
    let head = Response::from_parts(head, ());
    if http_body::Body::is_end_stream(&body) {
        // An error means that the caller is gone.
        let _ = respond.send_response(head, true);
        return;
    }
    let Ok(stream) = respond.send_response(head, false) else {
        return;
    };
    let mut delivery = Delivery {
        stream,
        unsent: TaskTracker::new(),
        due: by.unwrap_or_else(|| Instant::now() + longest_stall),
        longest_stall: by.is_none().then_some(longest_stall),
        stop,
    };
    match delivery.send(&mut body).await {
        Ok(()) | Err(Undelivered::Reset) => {}
        Err(Undelivered::Late) => {
            metrics::counter!("berth_responses_undelivered_total").increment(1);
            delivery.stream.send_reset(Reason::CANCEL);
        }
        Err(Undelivered::Failed) => delivery.stream.send_reset(Reason::INTERNAL_ERROR),
    }
}

struct Delivery {
    stream: SendStream<Chunk>,
    /// Parts that have not been sent.
    unsent: TaskTracker,
    /// When they must have been sent.
    due: Instant,
    /// The time that each part has; none if the whole response is due at once.
    longest_stall: Option<Duration>,
    stop: CancellationToken,
}

impl Delivery {
    async fn send(&mut self, body: &mut Body) -> Result<(), Undelivered> {
        loop {
            let late = self.late();
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = reset(&mut self.stream) => return Err(Undelivered::Reset),
                () = late => return Err(Undelivered::Late),
            };
            match frame.transpose().map_err(|_| Undelivered::Failed)? {
                Some(frame) if frame.is_data() => {
                    self.part(frame.into_data().unwrap_or_default()).await?;
                }
                Some(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let sent = self.stream.send_trailers(trailers);
                    sent.map_err(|_| Undelivered::Reset)?;
                    break;
                }
                None => {
                    let end = Chunk {
                        bytes: Bytes::new(),
                        _unsent: self.unsent.token(),
                    };
                    let sent = self.stream.send_data(end, true);
                    sent.map_err(|_| Undelivered::Reset)?;
                    break;
                }
            }
        }
        self.unsent.close();
        let late = self.late();
        tokio::select! {
            biased;
            () = self.unsent.wait() => Ok(()),
            () = reset(&mut self.stream) => Err(Undelivered::Reset),
            () = late => Err(Undelivered::Late),
        }
    }

    /// Hands one part to the library, which splits it as the caller accepts it, once the caller accepts a byte.
    async fn part(&mut self, bytes: Bytes) -> Result<(), Undelivered> {
        if bytes.is_empty() {
            return Ok(());
        }
        if let Some(longest_stall) = self.longest_stall {
            self.due = Instant::now() + longest_stall;
        }
        let part = Chunk {
            bytes,
            _unsent: self.unsent.token(),
        };
        let late = self.late();
        tokio::select! {
            biased;
            accepted = accepts(&mut self.stream) => accepted?,
            () = late => return Err(Undelivered::Late),
        }
        let sent = self.stream.send_data(part, false);
        sent.map_err(|_| Undelivered::Reset)
    }

    /// Waits until parts are late. Those of a stream have little time when the process stops.
    fn late(&self) -> impl Future<Output = ()> + use<> {
        let (due, unsent) = (self.due, self.unsent.clone());
        let stop = self.longest_stall.and(Some(self.stop.clone()));
        async move {
            tokio::select! {
                () = sleep_until(due) => {}
                () = stopped(stop) => {}
            }
            if unsent.is_empty() {
                pending::<()>().await;
            }
        }
    }
}

async fn stopped(stop: Option<CancellationToken>) {
    match stop {
        Some(stop) => stop.cancelled().await,
        None => pending().await,
    }
    sleep(LINGER).await;
}

async fn reset(stream: &mut SendStream<Chunk>) {
    // Whether it was reset or the connection has ended.
    let _ = poll_fn(|cx| stream.poll_reset(cx)).await;
}

async fn accepts(stream: &mut SendStream<Chunk>) -> Result<(), Undelivered> {
    stream.reserve_capacity(1);
    while stream.capacity() == 0 {
        let capacity = poll_fn(|cx| stream.poll_capacity(cx)).await;
        if !matches!(capacity, Some(Ok(_))) {
            return Err(Undelivered::Reset);
        }
    }
    Ok(())
}
