//! The size limits of messages, enforced on the bodies of requests and responses.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::Frame;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Code, Status, body::Body};

use crate::{
    error::{
        refusal::Kind,
        status::{internal, status, unavailable},
    },
    server::{
        rpc_metrics::Record,
        shares::{Account, Permits, Share, count_waiting},
    },
};

/// Bytes before each message: a flag and the length.
pub(super) const FRAME_HEADER: usize = 5;

/// Finds the messages in a body, whatever pieces it arrives in.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// What has arrived of the header of the next message.
    header: Vec<u8>,
    /// What is missing of the current message.
    left: usize,
}

impl Messages {
    /// Reads the next bytes. Returns the length of the first message that is longer than `max`.
    fn too_long(&mut self, mut data: &[u8], max: u32) -> Option<u32> {
        while !data.is_empty() {
            if self.left > 0 {
                let skip = self.left.min(data.len());
                self.left -= skip;
                data = data.get(skip..).unwrap_or_default();
                continue;
            }
            let missing = FRAME_HEADER - self.header.len();
            let (header, rest) = data.split_at(missing.min(data.len()));
            self.header.extend_from_slice(header);
            data = rest;
            if let [_, a, b, c, d] = self.header[..] {
                let length = u32::from_be_bytes([a, b, c, d]);
                if length > max {
                    return Some(length);
                }
                self.left = usize::try_from(length).unwrap_or(usize::MAX);
                self.header.clear();
            }
        }
        None
    }
}

/// The body of a request. A message that is too long is refused before it is read.
#[derive(Debug)]
pub(super) struct Inbound {
    body: Body,
    messages: Messages,
    max: u32,
}

impl Inbound {
    pub(super) fn new(body: Body, max: u32) -> Self {
        Self {
            body,
            messages: Messages::default(),
            max,
        }
    }
}

impl http_body::Body for Inbound {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && let Some(length) = this.messages.too_long(data, this.max)
        {
            let error = format!(
                "a message of {length} bytes; at most {} are allowed",
                this.max
            );
            return Poll::Ready(Some(Err(status(Kind::Invalid, "MESSAGE_TOO_LARGE", error))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response. A stream is measured while it is sent, and ends when the process does.
#[derive(Debug)]
pub(super) struct Outbound {
    body: Body,
    stream: Option<Stream>,
    record: Option<Record>,
}

/// What applies to a response of several messages.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) messages: Messages,
    pub(super) max: u32,
    pub(super) stop: Pin<Box<WaitForCancellationFutureOwned>>,
    pub(super) port: Arc<Share>,
    pub(super) account: Option<Account>,
    /// Held until the stream ends.
    pub(super) _permits: Permits,
}

impl Stream {
    /// A part of the response, counted as waiting. A message that is too long, or for which too much waits, becomes an error.
    fn pass(&mut self, data: Bytes) -> Result<Bytes, Status> {
        if let Some(length) = self.messages.too_long(&data, self.max) {
            return Err(too_long(length));
        }
        let waiting = count_waiting(data, &self.port, self.account.as_ref(), Permits::default());
        waiting.ok_or_else(overloaded)
    }
}

impl Outbound {
    pub(super) fn new(body: Body, stream: Option<Stream>, record: Record) -> Self {
        Self {
            body,
            stream,
            record: Some(record),
        }
    }

    fn end(&mut self, code: Code) {
        if let Some(record) = self.record.take() {
            record.end(code);
        }
    }

    /// Ends the response with an error.
    fn fail(&mut self, error: &Status) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        self.body = Body::empty();
        self.end(error.code());
        let mut trailers = http::HeaderMap::new();
        Poll::Ready(Some(match error.add_header(&mut trailers) {
            Ok(()) => Ok(Frame::trailers(trailers)),
            Err(error) => Err(error),
        }))
    }
}

impl http_body::Body for Outbound {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let span = this.record.as_ref().map(|record| record.span().clone());
        let polled = match span {
            Some(span) => span.in_scope(|| Pin::new(&mut this.body).poll_frame(cx)),
            None => return Poll::Ready(None),
        };
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.end(code_of(trailers).unwrap_or(Code::Unknown));
                }
                let Some(stream) = &mut this.stream else {
                    return Poll::Ready(Some(Ok(frame)));
                };
                match frame.into_data().map(|data| stream.pass(data)) {
                    Ok(Ok(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
                    Ok(Err(error)) => this.fail(&error),
                    Err(trailers) => Poll::Ready(Some(Ok(trailers))),
                }
            }
            Poll::Ready(Some(Err(error))) => {
                this.end(error.code());
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                this.end(Code::Ok);
                Poll::Ready(None)
            }
            Poll::Pending => {
                if let Some(stream) = &mut this.stream
                    && stream.stop.as_mut().poll(cx).is_ready()
                {
                    return this.fail(&unavailable(
                        "DRAINING",
                        "this replica is shutting down; try again",
                    ));
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.record.is_none()
    }
}

/// An error of the platform: no response may have so many bytes.
pub(super) fn too_long(length: impl std::fmt::Display) -> Status {
    internal(&format!("a response message of {length} bytes"))
}

/// The caller must come later.
pub(super) fn overloaded() -> Status {
    metrics::counter!("berth_rpc_shed_total").increment(1);
    unavailable("OVERLOADED", "too many requests at the moment; try again")
}

/// The gRPC code in the headers or trailers of a response.
pub(super) fn code_of(headers: &http::HeaderMap) -> Option<Code> {
    headers
        .get(Status::GRPC_STATUS)
        .map(|code| Code::from_bytes(code.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u32) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(length.to_be_bytes());
        bytes.extend(vec![7; length as usize]);
        bytes
    }

    #[test]
    fn every_message_is_measured_whatever_pieces_it_arrives_in() {
        let mut bytes = message(10);
        bytes.extend(message(0));
        bytes.extend(message(10));
        for cut in 1..=bytes.len() {
            let mut messages = Messages::default();
            let found: Vec<_> = bytes
                .chunks(cut)
                .filter_map(|chunk| messages.too_long(chunk, 10))
                .collect();
            assert!(found.is_empty(), "cut after {cut}: {found:?}");
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_found_by_its_header() {
        let mut messages = Messages::default();
        assert_eq!(messages.too_long(&message(3), 10), None);
        assert_eq!(messages.too_long(&[0, 0, 0], 10), None);
        assert_eq!(messages.too_long(&[0, 11], 10), Some(11));
    }
}
