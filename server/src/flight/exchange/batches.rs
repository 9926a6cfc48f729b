//! Deliveries as messages.

use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_ipc::CompressionType;
use millstream_engine::{Delivery, Offset, RowOffsets};
use millstream_protocol::{self as protocol, Batch, ConsumerReply, consumer_reply};

use super::messages::message;
use crate::flight::encode::{Encoder, schema_message};
use crate::flight::error::Result;

/// Makes the messages of one stream.
pub(super) struct BatchEncoder {
    encoder: Encoder,
    schema: SchemaRef,
    schema_sent: bool,
    max_bytes: usize,
    forward: bool,
    row_offsets: bool,
}

/// A message and the credit it takes.
pub(super) struct Outgoing {
    pub(super) data: FlightData,
    pub(super) bytes: u64,
}

impl BatchEncoder {
    pub(super) fn new(
        schema: SchemaRef,
        max_bytes: usize,
        compression: Option<CompressionType>,
        row_offsets: bool,
    ) -> Result<BatchEncoder> {
        let encoder = Encoder::new(max_bytes, compression)?;
        Ok(BatchEncoder { encoder, schema, schema_sent: false, max_bytes, forward: compression.is_none(), row_offsets })
    }

    /// The messages of a delivery, in order. Without rows it is one message that only moves the position.
    pub(super) fn encode(&mut self, delivery: &Delivery, generation: u64) -> Result<Vec<Outgoing>> {
        let mut messages = Vec::new();
        let whole = Batch {
            partition: delivery.partition,
            first_offset: delivery.first_offset,
            next_offset: delivery.next_offset,
            generation,
            ..Batch::default()
        };
        if delivery.batch.num_rows() == 0 {
            messages.push(Outgoing { data: message(consumer_reply::Reply::Batch(whole)), bytes: 0 });
            return Ok(messages);
        }
        if !self.schema_sent {
            // Right before the first rows, because Arrow's C++ reader takes the two together.
            messages.push(Outgoing { data: schema_message(&self.schema), bytes: 0 });
            self.schema_sent = true;
        }
        if let Some(encoded) = delivery.encoded.as_ref().filter(|_| self.forward) {
            let bytes = encoded.header.len() + encoded.body.len();
            if bytes <= self.max_bytes {
                let rows =
                    FlightData::new().with_data_header(encoded.header.clone()).with_data_body(encoded.body.clone());
                messages.push(self.outgoing(whole, &delivery.offsets, rows));
                return Ok(messages);
            }
        }
        let mut first_offset = delivery.first_offset;
        for piece in self.encoder.encode(&delivery.batch)? {
            let next_offset = delivery.offsets.get(piece.rows.end).unwrap_or(delivery.next_offset);
            let offsets = delivery.offsets.slice(piece.rows.clone());
            let batch = Batch { first_offset, next_offset, ..whole.clone() };
            messages.push(self.outgoing(batch, &offsets, piece.data));
            first_offset = next_offset;
        }
        Ok(messages)
    }

    fn outgoing(&self, mut batch: Batch, offsets: &RowOffsets, rows: FlightData) -> Outgoing {
        let bytes = (rows.data_header.len() + rows.data_body.len()) as u64;
        batch.bytes = bytes;
        if self.row_offsets {
            batch.offset_deltas = deltas(batch.first_offset, offsets);
        }
        let metadata = protocol::aligning(&rows, |padding| {
            batch.padding = padding;
            ConsumerReply { reply: Some(consumer_reply::Reply::Batch(batch.clone())) }
        });
        Outgoing { data: FlightData { app_metadata: metadata, ..rows }, bytes }
    }
}

/// Empty where the rows are dense from `first`.
fn deltas(first: Offset, offsets: &RowOffsets) -> Vec<u64> {
    let dense = match offsets {
        RowOffsets::Dense(offsets) => offsets.start == first,
        RowOffsets::Listed(offsets) => offsets.iter().copied().eq((first..).take(offsets.len())),
    };
    if dense || offsets.is_empty() {
        return Vec::new();
    }
    let before = std::iter::once(first).chain(offsets.iter());
    offsets.iter().zip(before).map(|(offset, before)| offset.saturating_sub(before)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_say_where_rows_are_missing() {
        let listed = |offsets: &[Offset]| deltas(5, &RowOffsets::Listed(offsets.into()));
        assert_eq!(listed(&[5, 6, 7]), Vec::<u64>::new());
        assert_eq!(listed(&[6, 7, 10]), [1, 1, 3]);
        assert_eq!(listed(&[]), Vec::<u64>::new());
        assert_eq!(deltas(5, &RowOffsets::Dense(5..9)), Vec::<u64>::new());
        assert_eq!(deltas(5, &RowOffsets::Dense(7..9)), [2, 1]);
    }
}
