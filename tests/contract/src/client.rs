//! A client of the platform that knows only the contract.
use anyhow::{Context, Result};
use bytes::{Buf, BufMut, Bytes};
use prost_reflect::{DynamicMessage, MethodDescriptor, prost::Message};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tonic_types::StatusExt;

/// The outcome of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The status code.
    pub code: Code,
    /// The message of the status.
    pub message: String,
    /// `ErrorInfo.reason`.
    pub reason: String,
    /// The encoded details.
    pub details: Bytes,
    /// The response, if the call succeeded.
    pub response: Option<DynamicMessage>,
}

impl Outcome {
    /// Message, details and response, as text.
    pub fn text(&self) -> String {
        let details = String::from_utf8_lossy(&self.details);
        let response = self.response.as_ref().map(ToString::to_string);
        format!(
            "{} {details} {}",
            self.message,
            response.unwrap_or_default()
        )
    }

    /// The response, or an error with the status.
    pub fn response(self) -> Result<DynamicMessage> {
        let why = format!("{:?} {} {}", self.code, self.reason, self.message);
        self.response.context(why)
    }
}

impl From<Status> for Outcome {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            reason: info.map(|info| info.reason).unwrap_or_default(),
            details: Bytes::copy_from_slice(status.details()),
            response: None,
        }
    }
}

/// Names and values of headers.
pub type Headers = Vec<(&'static str, String)>;

/// Calls an rpc.
pub async fn call(
    channel: &Channel,
    method: &MethodDescriptor,
    request: &DynamicMessage,
    headers: &Headers,
) -> Outcome {
    send_bytes(channel, method, request.encode_to_vec().into(), headers).await
}

/// Calls an rpc with bytes that need not be a message.
pub async fn send_bytes(
    channel: &Channel,
    method: &MethodDescriptor,
    request: Bytes,
    headers: &Headers,
) -> Outcome {
    let outcome = try_send(channel, method, request, headers).await;
    let decode = |bytes| {
        DynamicMessage::decode(method.output(), bytes)
            .map_err(|error| Status::data_loss(error.to_string()))
    };
    match outcome.and_then(decode) {
        Ok(response) => Outcome {
            code: Code::Ok,
            message: String::new(),
            reason: String::new(),
            details: Bytes::new(),
            response: Some(response),
        },
        Err(status) => status.into(),
    }
}

async fn try_send(
    channel: &Channel,
    method: &MethodDescriptor,
    request: Bytes,
    headers: &Headers,
) -> Result<Bytes, Status> {
    let mut request = Request::new(request);
    for (name, value) in headers {
        let value: MetadataValue<Ascii> =
            value.parse().map_err(|_| Status::data_loss("no header"))?;
        request.metadata_mut().append(*name, value);
    }
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let path = path.try_into().map_err(|_| Status::data_loss("no path"))?;
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready()
        .await
        .map_err(|error| Status::data_loss(error.to_string()))?;
    Ok(grpc.unary(request, path, Raw).await?.into_inner())
}

/// Encodes and decodes bytes unchanged.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
