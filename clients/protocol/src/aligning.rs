//! Rows that lie aligned where their message does.

use arrow_flight::FlightData;
use prost::bytes::Bytes;
use prost::{Message, length_delimiter_len};

use crate::framing::PREFIX_BYTES;

/// What the rows of a message are aligned to: Arrow's widest values.
const ALIGNMENT: usize = 16;

/// The metadata for a message of rows, padded so that the rows begin aligned where the message does: who receives it can then use
/// them where they arrived.
pub fn aligning<M: Message>(rows: &FlightData, mut with_padding: impl FnMut(Bytes) -> M) -> Bytes {
    let mut padding = 0;
    // Padding may make a length before it longer by a byte, which the next try takes into account.
    for _ in 0..4 {
        let metadata = with_padding(vec![0; padding].into());
        let over = rows_start(rows, metadata.encoded_len()) % ALIGNMENT;
        if over == 0 {
            return metadata.encode_to_vec().into();
        }
        // The first padding brings a tag and a length of its own.
        padding = if padding == 0 { ALIGNMENT - (over + 2) % ALIGNMENT } else { padding + ALIGNMENT - over };
    }
    with_padding(Bytes::new()).encode_to_vec().into()
}

/// Where the rows begin, counted from the prefix that gRPC puts in front of the encoded message: readers keep the two
/// together, at the start of a buffer.
fn rows_start(rows: &FlightData, metadata: usize) -> usize {
    let field = |len: usize| if len == 0 { 0 } else { 1 + length_delimiter_len(len) + len };
    PREFIX_BYTES + field(rows.data_header.len()) + field(metadata) + 2 + length_delimiter_len(rows.data_body.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::Append;

    #[test]
    fn rows_begin_aligned() {
        for header in (1..40).chain(16_370..16_390) {
            for metadata in (0..20).chain(100..130) {
                let rows = FlightData::new().with_data_header(vec![1; header]).with_data_body(vec![2; 70_000]);
                let metadata = aligning(&rows, |padding| Append {
                    producer_id: vec![3; metadata].into(),
                    padding,
                    ..Append::default()
                });
                let len = rows.with_app_metadata(metadata).encoded_len();
                assert_eq!((PREFIX_BYTES + len - 70_000) % ALIGNMENT, 0);
            }
        }
    }
}
