//! Encoding of events as NATS messages: CloudEvents 1.0 in binary mode. The attributes are headers, the protobuf message is
//! the payload.

use std::fmt::Write as _;

use async_nats::{HeaderMap, header::NATS_MESSAGE_ID};
use bytes::Bytes;

use crate::domain::{
    event::{Cause, Recorded},
    log_id::LogId,
    position::Position,
};

const SOURCE: &str = "/berth/";
const PROTOBUF: &str = "application/protobuf";

/// The header with the sequence number.
const SEQUENCE: &str = "ce-sequence";
/// The header with the position in the log. Its digest distinguishes the histories of logs.
pub(super) const POSITION: &str = "berth-position";

/// Why a message is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidEvent {
    #[error("header {0} is missing or invalid")]
    Header(&'static str),
    #[error("source or type does not match the subject")]
    Mismatch,
}

/// The attributes of an event as headers. Empty ones are left out.
pub(super) fn headers(event: &Recorded, epoch: i64) -> HeaderMap {
    let position = Position {
        epoch,
        seq: event.seq,
        digest: event.digest,
    };
    let mut headers = HeaderMap::new();
    // Not the id of the event: an event that replaces a lost one may have the same.
    headers.insert(NATS_MESSAGE_ID, event.digest.to_string());
    headers.insert(POSITION, position.to_string());
    headers.insert("ce-specversion", "1.0");
    headers.insert("ce-datacontenttype", PROTOBUF);
    headers.insert("ce-source", format!("{SOURCE}{}", event.producer));
    headers.insert("ce-time", event.at.to_string());
    headers.insert(SEQUENCE, event.seq.to_string());
    headers.insert("ce-aggregateversion", event.version.to_string());
    let texts = [
        ("ce-id", &event.id),
        ("ce-type", &event.event_type),
        ("ce-subject", &event.subject),
        ("ce-actor", &event.cause.actor),
        ("ce-causationid", &event.cause.causation),
        ("ce-correlationid", &event.cause.correlation),
        ("ce-traceparent", &event.cause.traceparent),
    ];
    for (name, text) in texts {
        if !text.is_empty() {
            headers.insert(name, encode(text));
        }
    }
    headers
}

/// Decodes the event in a message that was received on the subject of a log and an event type.
pub(super) fn event(
    log: &LogId,
    event_type: &str,
    headers: &HeaderMap,
    data: Bytes,
) -> Result<Recorded, InvalidEvent> {
    let text = |name: &'static str| {
        let value = headers.get(name).map_or("", |value| value.as_str());
        decode(value).ok_or(InvalidEvent::Header(name))
    };
    let number = |name: &'static str| {
        let value = headers.get(name).map_or("", |value| value.as_str());
        value
            .parse()
            .ok()
            .filter(|n: &i64| *n > 0)
            .ok_or(InvalidEvent::Header(name))
    };
    if text("ce-specversion")? != "1.0" {
        return Err(InvalidEvent::Header("ce-specversion"));
    }
    if text("ce-datacontenttype")? != PROTOBUF {
        return Err(InvalidEvent::Header("ce-datacontenttype"));
    }
    let of_type = text("ce-type")?;
    if text("ce-source")?.strip_prefix(SOURCE) != Some(log.context()) || of_type != event_type {
        return Err(InvalidEvent::Mismatch);
    }
    let at = text("ce-time")?;
    let position: Position = text(POSITION)?
        .parse()
        .map_err(|_| InvalidEvent::Header(POSITION))?;
    if number(SEQUENCE)? != position.seq {
        return Err(InvalidEvent::Header(SEQUENCE));
    }
    Ok(Recorded {
        producer: log.context().to_owned(),
        seq: position.seq,
        digest: position.digest,
        id: Some(text("ce-id")?)
            .filter(|id| !id.is_empty())
            .ok_or(InvalidEvent::Header("ce-id"))?,
        event_type: of_type,
        subject: text("ce-subject")?,
        version: number("ce-aggregateversion")?,
        at: at.parse().map_err(|_| InvalidEvent::Header("ce-time"))?,
        data,
        cause: Cause {
            actor: text("ce-actor")?,
            causation: text("ce-causationid")?,
            correlation: text("ce-correlationid")?,
            traceparent: text("ce-traceparent")?,
        },
    })
}

/// Encodes text for a header: everything but visible ASCII, and quotes and percent signs, is percent-encoded.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'"' | b'%' => {}
            0x21..=0x7e => {
                encoded.push(byte.into());
                continue;
            }
            _ => {}
        }
        // Writing to a string does not fail.
        let _ = write!(encoded, "%{byte:02X}");
    }
    encoded
}

fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{base::time::from_micros, domain::digest::LogDigest};

    fn log() -> LogId {
        LogId::of("room")
    }

    fn sample() -> Recorded {
        Recorded {
            producer: "room".into(),
            seq: 7,
            digest: LogDigest::default(),
            id: "id".into(),
            event_type: "berth.room.v1.RoomReserved".into(),
            subject: "s".into(),
            version: 2,
            at: from_micros(1),
            data: Bytes::from_static(b"\0\xff"),
            cause: Cause::default(),
        }
    }

    fn decode_sample(headers: &HeaderMap) -> Result<Recorded, InvalidEvent> {
        let event_type = sample().event_type;
        event(&log(), &event_type, headers, sample().data)
    }

    #[test]
    fn a_header_holds_only_visible_ascii() {
        assert_eq!(
            encode("a\r\nb: \"ü\" 100%"),
            "a%0D%0Ab:%20%22%C3%BC%22%20100%25"
        );
        for wrong in ["%", "%2", "%zz", "%ff"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_event_of_another_log_or_type_is_rejected() {
        let event_type = sample().event_type;
        let headers = headers(&sample(), 1);
        let read = |log: LogId, event_type: &str| event(&log, event_type, &headers, Bytes::new());
        assert!(read(log(), &event_type).is_ok());
        let payment = LogId::of("payment");
        assert_eq!(read(payment, &event_type), Err(InvalidEvent::Mismatch));
        let other = "berth.room.v1.RoomReleased";
        assert_eq!(read(log(), other), Err(InvalidEvent::Mismatch));
    }

    #[test]
    fn an_incomplete_event_is_rejected() {
        for (name, wrong) in [
            ("ce-specversion", "2.0"),
            ("ce-id", ""),
            ("ce-source", "room"),
            ("ce-type", "%"),
            ("ce-time", "yesterday"),
            ("ce-sequence", "0"),
            ("ce-sequence", "8"),
            ("berth-position", ""),
            ("berth-position", "1/7"),
            ("ce-sequence", "9223372036854775808"),
            ("ce-aggregateversion", ""),
            ("ce-datacontenttype", "application/json"),
            ("ce-actor", "%ff"),
        ] {
            let mut headers = headers(&sample(), 1);
            headers.insert(name, wrong);
            assert!(decode_sample(&headers).is_err(), "{name}: {wrong}");
        }
        assert!(decode_sample(&HeaderMap::new()).is_err());
    }

    proptest! {
        #[test]
        fn decoding_inverts_encoding(
            texts in proptest::array::uniform6(any::<String>()),
            seq in 1_i64..,
            version in 1_i64..,
            micros in -377_705_023_201_000_000_i64..=253_402_207_200_000_000,
            data in any::<Vec<u8>>(),
        ) {
            let [id, subject, actor, causation, correlation, traceparent] = texts;
            let event = Recorded {
                id: format!("x{id}"), subject, seq, version, at: from_micros(micros), data: data.into(),
                cause: Cause { actor, causation, correlation, traceparent },
                ..sample()
            };
            let headers = headers(&event, 1);
            for (_, values) in headers.iter() {
                let mut values = values.iter().flat_map(|value| value.as_str().chars());
                prop_assert!(values.all(|c| matches!(c, ' '..='~')));
            }
            let event_type = event.event_type.clone();
            prop_assert_eq!(super::event(&log(), &event_type, &headers, event.data.clone()).unwrap(), event);
        }

        #[test]
        fn any_headers_decode_without_a_panic(values in proptest::collection::vec(any::<String>(), 14)) {
            let mut headers = headers(&sample(), 1);
            let names: Vec<_> = headers.iter().map(|(name, _)| name.clone()).collect();
            for (name, value) in names.into_iter().zip(&values) {
                if let Ok(value) = value.parse::<async_nats::HeaderValue>() {
                    headers.insert(name, value);
                }
            }
            let _ = decode_sample(&headers);
        }
    }
}
