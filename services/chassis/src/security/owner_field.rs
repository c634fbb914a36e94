//! Finds one field in the bytes of a message without decoding the rest of it.

use bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// The bytes are not a message, or the path leads to another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The text at the end of a path of field numbers, as a decoder reads it: empty if the field is missing, the last one if it
/// is repeated; submessages that are split into several fields are merged.
pub(super) fn text_at<'a>(message: &'a [u8], path: &[u32]) -> Result<&'a [u8], Malformed> {
    let mut found: &[u8] = &[];
    find(message, path, &mut found)?;
    Ok(found)
}

fn find<'a>(message: &'a [u8], path: &[u32], found: &mut &'a [u8]) -> Result<(), Malformed> {
    let Some((first, rest)) = path.split_first() else {
        *found = message;
        return Ok(());
    };
    let mut left = message;
    while left.has_remaining() {
        let (number, wire_type) = decode_key(&mut left).map_err(|_| Malformed)?;
        if number != *first {
            skip_field(wire_type, number, &mut left, DecodeContext::default())
                .map_err(|_| Malformed)?;
            continue;
        }
        if wire_type != WireType::LengthDelimited {
            return Err(Malformed);
        }
        let length = decode_varint(&mut left).map_err(|_| Malformed)?;
        let (value, after) = usize::try_from(length)
            .ok()
            .and_then(|length| left.split_at_checked(length))
            .ok_or(Malformed)?;
        find(value, rest, found)?;
        left = after;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use berth::room::v1::{RegisterRoomRequest, Room};
    use proptest::prelude::*;
    use prost::Message;

    use super::{Malformed, text_at};

    /// `room.host_id`.
    fn host(message: &[u8]) -> Result<&[u8], Malformed> {
        let path = [1, HOST_ID];
        text_at(message, &path)
    }

    const HOST_ID: u32 = 2;

    fn request(host_id: &str) -> Vec<u8> {
        let room = Room {
            host_id: host_id.to_owned(),
            ..Room::default()
        };
        RegisterRoomRequest { room: Some(room) }.encode_to_vec()
    }

    #[test]
    fn a_split_field_is_merged_as_the_decoder_does() {
        let twice = [request("a"), request("b")].concat();
        assert_eq!(host(&twice), Ok(&b"b"[..]));
        let empty_last = [request("a"), request("")].concat();
        assert_eq!(host(&empty_last), Ok(&b"a"[..]));
        assert_eq!(host(&[]), Ok(&[][..]));
    }

    #[test]
    fn another_wire_type_is_malformed() {
        assert_eq!(host(&[0x08, 0x01]), Err(Malformed));
        assert_eq!(host(&[0x0a, 0x05, 0x0a]), Err(Malformed));
        assert_eq!(host(&[0x0a, 0x02, 0x10, 0x01]), Err(Malformed));
    }

    proptest! {
        /// For every message that the decoder accepts both find the same host. So no request can show one host to the access layer and another to the context.
        #[test]
        fn the_decoder_finds_the_same_host(
            pieces in prop::collection::vec(prop_oneof![
                "[a-c]{0,3}".prop_map(|host| request(&host)),
                prop::collection::vec(prop_oneof![Just(0x0a_u8), Just(0x12), Just(0x0b), Just(0x0c), 0..6_u8, any::<u8>()], 0..12),
            ], 0..5),
        ) {
            let bytes = pieces.concat();
            if let Ok(decoded) = RegisterRoomRequest::decode(&bytes[..]) {
                let decoded = decoded.room.unwrap_or_default().host_id;
                prop_assert_eq!(host(&bytes), Ok(decoded.as_bytes()));
            }
        }
    }
}
