//! The codec of every generated client and server: prost, with a check of the
//! request's bytes where the access rule asks for one.
//!
//! The access layer knows the caller but sees only compressed frames; a handler
//! sees the message but could forget to look. So the layer leaves its check in a
//! task-local ([`checked`]) around the generated server alone, whose decoder is
//! the first one made there, takes it along and applies it to every message.

use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::ProstEncoder;

/// Looks at an encoded request before it is decoded.
pub type MessageCheck = Arc<dyn Fn(&[u8]) -> Result<(), Status> + Send + Sync>;

tokio::task_local! {
    static CHECK: RefCell<Option<MessageCheck>>;
}

/// Runs a server's call so that its request messages pass `check` first.
pub async fn checked<F: Future>(check: MessageCheck, call: F) -> F::Output {
    CHECK.scope(RefCell::new(Some(check)), call).await
}

/// Prost's codec with the check of the call that it serves, if there is one.
#[derive(Debug)]
pub struct CheckedCodec<Encoded, Decoded>(PhantomData<(Encoded, Decoded)>);

impl<Encoded, Decoded> Default for CheckedCodec<Encoded, Decoded> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<Encoded, Decoded> Codec for CheckedCodec<Encoded, Decoded>
where
    Encoded: Message + Send + 'static,
    Decoded: Message + Default + Send + 'static,
{
    type Encode = Encoded;
    type Decode = Decoded;
    type Encoder = ProstEncoder<Encoded>;
    type Decoder = CheckedDecoder<Decoded>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstEncoder::new(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        // Taken, not copied: a client that a handler uses within the same call
        // must not have the caller's check applied to its answers.
        let check = CHECK.try_with(|check| check.borrow_mut().take()).ok().flatten();
        CheckedDecoder { check, decoded: PhantomData }
    }
}

/// Decodes messages that pass the check.
pub struct CheckedDecoder<Decoded> {
    check: Option<MessageCheck>,
    decoded: PhantomData<Decoded>,
}

impl<Decoded: Message + Default> Decoder for CheckedDecoder<Decoded> {
    type Item = Decoded;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<Decoded>, Status> {
        let bytes: Bytes = source.copy_to_bytes(source.remaining());
        if let Some(check) = &self.check {
            check(&bytes)?;
        }
        Decoded::decode(bytes)
            .map(Some)
            .map_err(|error| Status::invalid_argument(format!("malformed message: {error}")))
    }
}

/// The text at a path of field numbers in an encoded message, read as a decoder
/// would: the last value of a field wins, and the parts of a sub-message merge.
///
/// `None` when the bytes are no message. A field that is not there is empty text.
pub fn text_at(message: &[u8], path: &[u32]) -> Option<Vec<u8>> {
    use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

    let (&wanted, rest) = path.split_first()?;
    let mut found = Vec::new();
    let mut left = message;
    while left.has_remaining() {
        let (number, wire_type) = decode_key(&mut left).ok()?;
        if number != wanted || wire_type != WireType::LengthDelimited {
            skip_field(wire_type, number, &mut left, DecodeContext::default()).ok()?;
            continue;
        }
        let length = usize::try_from(decode_varint(&mut left).ok()?).ok()?;
        let (value, after) = left.split_at_checked(length)?;
        if rest.is_empty() {
            found.clear();
        }
        found.extend_from_slice(value);
        left = after;
    }
    if rest.is_empty() { Some(found) } else { text_at(&found, rest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::v1::InviteMemberRequest;
    use crate::crm::v1::{CreatePersonRequest, Person};

    #[test]
    fn the_last_value_of_a_field_wins_as_it_does_for_the_decoder() {
        let part = |company_id: &str| InviteMemberRequest { company_id: company_id.into(), ..Default::default() };
        let mut bytes = part("first").encode_to_vec();
        bytes.extend(part("second").encode_to_vec());
        assert_eq!(text_at(&bytes, &[1]).as_deref(), Some(&b"second"[..]));
        assert_eq!(InviteMemberRequest::decode(&*bytes).expect("message").company_id, "second");
    }

    #[test]
    fn parts_of_a_sub_message_merge_as_they_do_for_the_decoder() {
        let part = |person: Person| CreatePersonRequest { person: Some(person), ..Default::default() };
        let mut bytes = part(Person { name: "one".into(), ..Default::default() }).encode_to_vec();
        bytes.extend(part(Person { surname: "two".into(), ..Default::default() }).encode_to_vec());
        assert_eq!(text_at(&bytes, &[1, 4]).as_deref(), Some(&b"one"[..]));
        let person = CreatePersonRequest::decode(&*bytes).expect("message").person.expect("person");
        assert_eq!((person.name.as_str(), person.surname.as_str()), ("one", "two"));
    }

    #[test]
    fn a_map_is_encoded_in_one_order_so_that_equal_requests_have_equal_fingerprints() {
        let labels = (0..8).map(|n| (format!("label-{n}"), String::new())).collect();
        let person = Person { labels, ..Default::default() };
        let bytes = CreatePersonRequest { person: Some(person), ..Default::default() }.encode_to_vec();
        for _ in 0..8 {
            assert_eq!(CreatePersonRequest::decode(&*bytes).expect("message").encode_to_vec(), bytes);
        }
    }

    #[test]
    fn what_is_no_message_has_no_text_and_what_is_not_there_is_empty() {
        assert_eq!(text_at(b"\x0a\xff", &[1]), None);
        assert_eq!(text_at(b"", &[1]), Some(Vec::new()));
        assert_eq!(text_at(b"\x08\x07", &[1]), Some(Vec::new()));
    }
}
