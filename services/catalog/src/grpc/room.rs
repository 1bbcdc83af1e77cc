//! Pages that every client can read.

use prost::Message;
use tenantry_api::MAX_MESSAGE_BYTES;

/// What the items of a page may take of a message; the rest is for the page token.
const MAX_PAGE_BYTES: usize = MAX_MESSAGE_BYTES / 4 * 3;
/// What a message takes inside another one, at most: its field's number and its length.
const FRAMING_BYTES: usize = 6;

/// How many of these fit into one message, and one in any case.
pub(super) fn fitting<M: Message>(items: &[M]) -> u64 {
    let mut room = MAX_PAGE_BYTES;
    let fits = |item: &M| {
        let bytes = item.encoded_len() + FRAMING_BYTES;
        let fits = bytes <= room;
        room = room.saturating_sub(bytes);
        fits
    };
    items.iter().map(fits).take_while(|fits| *fits).count().max(1) as u64
}
