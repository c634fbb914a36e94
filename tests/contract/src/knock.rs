//! Asking the platform as a client would, by the contract alone.
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

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The code.
    pub code: Code,
    /// What it says to people.
    pub message: String,
    /// `ErrorInfo.reason`, what it says to programs.
    pub reason: String,
    /// The details as they came.
    pub details: Bytes,
    /// The message of a request that was granted.
    pub granted: Option<DynamicMessage>,
}

impl Answer {
    /// Everything that was answered, as text.
    pub fn text(&self) -> String {
        let details = String::from_utf8_lossy(&self.details);
        let granted = self.granted.as_ref().map(ToString::to_string);
        format!("{} {details} {}", self.message, granted.unwrap_or_default())
    }

    /// The message, if the request was granted.
    pub fn granted(self) -> Result<DynamicMessage> {
        let why = format!("{:?} {} {}", self.code, self.reason, self.message);
        self.granted.context(why)
    }
}

impl From<Status> for Answer {
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        Self {
            code: status.code(),
            message: status.message().to_owned(),
            reason: info.map(|info| info.reason).unwrap_or_default(),
            details: Bytes::copy_from_slice(status.details()),
            granted: None,
        }
    }
}

/// Who knocks: headers, and what they hold.
pub type Headers = Vec<(&'static str, String)>;

/// Asks for something.
pub async fn ask(
    channel: &Channel,
    method: &MethodDescriptor,
    request: &DynamicMessage,
    headers: &Headers,
) -> Answer {
    send(channel, method, request.encode_to_vec().into(), headers).await
}

/// Sends bytes, whatever they are.
pub async fn send(
    channel: &Channel,
    method: &MethodDescriptor,
    request: Bytes,
    headers: &Headers,
) -> Answer {
    let answer = try_send(channel, method, request, headers).await;
    let decode = |bytes| {
        DynamicMessage::decode(method.output(), bytes)
            .map_err(|error| Status::data_loss(error.to_string()))
    };
    match answer.and_then(decode) {
        Ok(granted) => Answer {
            code: Code::Ok,
            message: String::new(),
            reason: String::new(),
            details: Bytes::new(),
            granted: Some(granted),
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

/// Bytes as they are.
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
