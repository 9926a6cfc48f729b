//! Turns record batches into Flight messages that fit what the client can receive.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow_flight::{FlightData, IpcMessage, SchemaAsIpc};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use bytes::Bytes;

use super::error::Result;

/// What a message of rows aims at where the client has not said what it takes. Go and Java clients refuse messages above
/// gRPC's default of 4 MiB.
pub(crate) const TARGET_MESSAGE_BYTES: usize = 2 << 20;

/// What a message holds besides values, about.
const MESSAGE_OVERHEAD_BYTES: usize = 4 << 10;

/// Encodes the batches of one stream. They hold no dictionaries: see [`plain_schema`].
pub(crate) struct Encoder {
    options: IpcWriteOptions,
    context: IpcWriteContext,
    tracker: DictionaryTracker,
    max_bytes: usize,
}

/// A piece of a batch, encoded.
pub(crate) struct Piece {
    /// Which rows of the batch it holds.
    pub(crate) rows: Range<usize>,
    pub(crate) data: FlightData,
}

impl Encoder {
    /// Messages hold at most `max_bytes` of rows each, unless a single row is larger.
    pub(crate) fn new(max_bytes: usize, compression: Option<CompressionType>) -> Result<Encoder> {
        Ok(Encoder {
            options: IpcWriteOptions::default().try_with_compression(compression)?,
            context: IpcWriteContext::default(),
            tracker: DictionaryTracker::new(false),
            max_bytes: max_bytes.max(1),
        })
    }

    /// Parts of a batch that make about one message each, in order, and about what their messages take in bytes: what is not
    /// encoded yet takes no room.
    pub(crate) fn parts(&self, batch: &RecordBatch) -> Vec<(Range<usize>, usize)> {
        let (size, rows) = (slice_bytes(batch), batch.num_rows());
        let step = rows.div_ceil(size.div_ceil(self.max_bytes).max(1)).max(1);
        let starts = (0..rows).step_by(step);
        starts
            .map(|start| {
                let part = start..(start + step).min(rows);
                let share = size / rows * part.len();
                (part, share + share / 8 + MESSAGE_OVERHEAD_BYTES)
            })
            .collect()
    }

    /// Encodes a batch as one message or, where it is larger than one may be, as several.
    pub(crate) fn encode(&mut self, batch: &RecordBatch) -> Result<Vec<Piece>> {
        let size = slice_bytes(batch);
        let mut pieces = Vec::with_capacity(1 + size / self.max_bytes);
        self.encode_rows(batch, 0..batch.num_rows(), size, &mut pieces)?;
        Ok(pieces)
    }

    /// `size` is an estimate: pieces that turn out too large are split again.
    fn encode_rows(
        &mut self,
        batch: &RecordBatch,
        rows: Range<usize>,
        size: usize,
        pieces: &mut Vec<Piece>,
    ) -> Result<()> {
        let parts = size.div_ceil(self.max_bytes).clamp(1, rows.len().max(1));
        let step = rows.len().div_ceil(parts).max(1);
        let mut start = rows.start;
        loop {
            let part = start..(start + step).min(rows.end);
            let data = self.encode_one(&batch.slice(part.start, part.len()))?;
            let encoded = data.data_header.len() + data.data_body.len();
            if encoded > self.max_bytes && part.len() > 1 {
                self.encode_rows(batch, part.clone(), encoded.max(self.max_bytes + 1), pieces)?;
            } else {
                pieces.push(Piece { rows: part.clone(), data });
            }
            start = part.end;
            if start >= rows.end {
                return Ok(());
            }
        }
    }

    fn encode_one(&mut self, batch: &RecordBatch) -> Result<FlightData> {
        let generator = IpcDataGenerator::default();
        let (_, encoded) = generator.encode(batch, &mut self.tracker, &self.options, &mut self.context)?;
        Ok(encoded.into())
    }
}

/// What the values of a batch take.
fn slice_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum()
}

/// What a message takes on the wire, gRPC's head of it included.
pub(crate) fn message_bytes(data: &FlightData) -> usize {
    prost::Message::encoded_len(data) + 5
}

/// The schema as a Flight message.
pub(crate) fn schema_message(schema: &Schema) -> FlightData {
    SchemaAsIpc::new(schema, &IpcWriteOptions::default()).into()
}

/// The schema as an encapsulated IPC message, as FlightInfo and prepared statements carry it.
pub(crate) fn schema_bytes(schema: &Schema) -> Result<Bytes> {
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &IpcWriteOptions::default()).try_into()?;
    Ok(bytes)
}

/// The schema with each dictionary field as its value type: what clients are told and sent.
pub(crate) fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    if !schema.fields().iter().any(|field| matches!(field.data_type(), DataType::Dictionary(..))) {
        return Arc::clone(schema);
    }
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

fn plain_field(field: &FieldRef) -> FieldRef {
    match field.data_type() {
        DataType::Dictionary(_, values) => Arc::new(Field::clone(field).with_data_type(values.as_ref().clone())),
        _ => Arc::clone(field),
    }
}

/// The batch with the columns of [`plain_schema`].
pub(crate) fn plain_batch(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, column)| match column.data_type() {
        DataType::Dictionary(..) => arrow::compute::cast(column, field.data_type()),
        _ => Ok(Arc::clone(column)),
    });
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::*;

    fn pieces(values: Vec<String>, max_bytes: usize) -> Vec<Piece> {
        let numbers = Int64Array::from_iter_values(0..values.len() as i64);
        let batch = RecordBatch::try_from_iter([
            ("n", Arc::new(numbers) as _),
            ("s", Arc::new(StringArray::from(values)) as _),
        ])
        .unwrap();
        Encoder::new(max_bytes, None).unwrap().encode(&batch).unwrap()
    }

    #[test]
    fn pieces_fit_and_join_up() {
        // The last rows are far larger than the others, so that an even split would leave a piece too large.
        let values = (0..1000).map(|i| "x".repeat(if i >= 990 { 900 } else { 1 })).collect();
        let pieces = pieces(values, 4096);
        let mut next = 0;
        for piece in &pieces {
            assert_eq!(piece.rows.start, next);
            assert!(piece.data.data_header.len() + piece.data.data_body.len() <= 4096 || piece.rows.len() == 1);
            next = piece.rows.end;
        }
        assert_eq!(next, 1000);
        assert!(pieces.len() > 8);
    }

    #[test]
    fn a_row_over_the_limit_is_sent_alone() {
        let pieces = pieces(vec!["a".to_owned(), "b".repeat(10_000), "c".to_owned()], 1024);
        assert_eq!(pieces.iter().map(|piece| piece.rows.clone()).collect::<Vec<_>>(), [0..1, 1..2, 2..3]);
    }

    #[test]
    fn an_empty_batch_is_one_message() {
        assert_eq!(pieces(Vec::new(), 1024).len(), 1);
    }
}
