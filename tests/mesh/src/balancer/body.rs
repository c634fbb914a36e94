//! The body of a response that passes through the balancer.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tonic::Status;

use super::pool::Counters;

/// The body of a replica's response. If it breaks off, the caller gets the gRPC status UNAVAILABLE.
pub(super) struct ResponseBody {
    body: Incoming,
    counters: Arc<Counters>,
}

impl ResponseBody {
    pub(super) fn new(body: Incoming, counters: Arc<Counters>) -> Self {
        Self { body, counters }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Err(_)) => {
                self.counters.broken();
                let mut trailers = HeaderMap::new();
                // The message is constant and valid in a header.
                let _ = Status::unavailable("the response broke off").add_header(&mut trailers);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
