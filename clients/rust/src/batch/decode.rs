//! Flight messages to record batches. Arrow's reader trusts counts and lengths: what it panics on is an error here.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_ipc::convert::try_schema_from_ipc_buffer;
use arrow_ipc::reader::read_record_batch;
use futures::{Stream, StreamExt};

use super::flat;
use crate::error::{Error, Result};

/// The schema of an encapsulated message.
pub(crate) fn schema_of(message: &[u8]) -> Result<SchemaRef> {
    caught(|| try_schema_from_ipc_buffer(message).map(Arc::new).map_err(Error::protocol))
}

/// The rows stay where they arrived, if they are aligned there, as `Batch.padding` makes likely; else Arrow moves them.
pub(crate) fn rows_of(data: &FlightData, schema: SchemaRef) -> Result<RecordBatch> {
    caught(|| {
        refuse_compression(data)?;
        let message = arrow_ipc::root_as_message(&data.data_header).map_err(Error::protocol)?;
        let header =
            message.header_as_record_batch().ok_or_else(|| Error::protocol("rows in a message of another kind"))?;
        let body = Buffer::from(data.data_body.clone());
        if flat::is_flat(&schema) {
            return flat::rows(&body, header, schema);
        }
        read_record_batch(&body, header, schema, &HashMap::new(), None, &message.version()).map_err(Error::protocol)
    })
}

/// The batches of a stream that begins with its schema, to the first error.
pub(crate) fn batches_of(
    messages: impl Stream<Item = Result<FlightData, FlightError>> + Send + 'static,
) -> impl Stream<Item = Result<RecordBatch, FlightError>> + Send {
    let refused = |error: Error| FlightError::DecodeError(error.to_string());
    let messages =
        messages.map(move |data| data.and_then(|data| refuse_compression(&data).map_err(refused).map(|()| data)));
    let batches = AssertUnwindSafe(FlightRecordBatchStream::new_from_flight_data(messages)).catch_unwind();
    batches.map(move |batch| batch.unwrap_or_else(|_| Err(refused(malformed()))))
}

/// The server compresses nothing; a compressed buffer states by itself how much memory is taken for it.
fn refuse_compression(data: &FlightData) -> Result<()> {
    let Ok(message) = arrow_ipc::root_as_message(&data.data_header) else { return Ok(()) };
    let values = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    match message.header_as_record_batch().or(values).is_some_and(|batch| batch.compression().is_some()) {
        true => Err(Error::protocol("the rows are compressed, which this client does not read")),
        false => Ok(()),
    }
}

fn caught<T>(call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(malformed()))
}

fn malformed() -> Error {
    Error::protocol("the Arrow message is malformed")
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Int64Array, ListArray, StringArray};
    use arrow::datatypes::Int32Type;
    use arrow_flight::FlightDescriptor;
    use arrow_ipc::CompressionType;
    use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};
    use bytes::Bytes;
    use futures::executor::block_on;

    use super::*;
    use crate::batch::{batch_message, schema_message};

    fn sample() -> RecordBatch {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>((0..40).map(|i| Some(vec![Some(i), None])));
        with(&flat_sample(), "l", Arc::new(list))
    }

    /// Of columns that are made as they lie.
    fn flat_sample() -> RecordBatch {
        RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from_iter((0..40).map(|i| (i % 3 > 0).then_some(i)))) as ArrayRef),
            ("s", Arc::new(StringArray::from_iter_values((0..40).map(|i| format!("row {i}"))))),
            ("e", Arc::new(StringArray::from_iter((0..40).map(|i| (i % 4 > 0).then(|| "é".repeat(i % 5)))))),
            ("b", Arc::new(BinaryArray::from_iter((0..40).map(|i| (i % 2 > 0).then_some([0xff, i]))))),
            ("t", Arc::new(BooleanArray::from_iter((0..40).map(|i| (i % 5 > 0).then_some(i % 2 > 0))))),
            ("d", Arc::new(Decimal128Array::from_iter_values(0..40))),
            ("none", Arc::new(StringArray::new_null(40))),
        ])
        .unwrap()
    }

    fn with(batch: &RecordBatch, name: &str, column: ArrayRef) -> RecordBatch {
        let columns =
            batch.schema_ref().fields().iter().map(|field| field.name().clone()).zip(batch.columns().to_vec());
        RecordBatch::try_from_iter(columns.chain([(name.to_owned(), column)])).unwrap()
    }

    #[test]
    fn flat_rows_are_those_that_arrow_reads() {
        let batch = flat_sample();
        assert!(flat::is_flat(&batch.schema()) && !flat::is_flat(&sample().schema()));
        for rows in [batch.clone(), batch.slice(7, 20), batch.slice(0, 0), RecordBatch::new_empty(batch.schema())] {
            let data = batch_message(&rows).unwrap();
            for shift in [0, 1] {
                // As the body comes, and where nothing is aligned.
                let mut moved = vec![0; shift];
                moved.extend_from_slice(&data.data_body);
                let data = FlightData { data_body: Bytes::from(moved).slice(shift..), ..data.clone() };
                assert_eq!(rows_of(&data, rows.schema()).unwrap(), rows);
            }
        }
    }

    /// A text that is cut within a letter, one that is no UTF-8, offsets that fall: refused, as arrow refuses them.
    #[test]
    fn texts_that_are_none_are_refused() {
        let batch =
            RecordBatch::try_from_iter([("s", Arc::new(StringArray::from(vec!["é", "éé"])) as ArrayRef)]).unwrap();
        let data = batch_message(&batch).unwrap();
        let (offsets, texts) = (find(&data.data_body, &[2, 0, 0, 0, 6]), find(&data.data_body, "éé".as_bytes()));
        for (at, byte) in [(offsets, 1), (offsets, 7), (offsets + 4, 1), (offsets + 4, 200), (texts, 0xff)] {
            let mut body = data.data_body.to_vec();
            body[at] = byte;
            let bad = FlightData { data_body: body.into(), ..data.clone() };
            assert!(rows_of(&bad, batch.schema()).is_err(), "{byte} at {at}");
        }
    }

    fn find(bytes: &[u8], part: &[u8]) -> usize {
        bytes.windows(part.len()).position(|window| window == part).unwrap()
    }

    fn read(messages: Vec<FlightData>) -> Result<Vec<RecordBatch>, FlightError> {
        let batches = batches_of(futures::stream::iter(messages.into_iter().map(Ok)));
        block_on(batches.collect::<Vec<_>>()).into_iter().collect()
    }

    /// Whatever is cut off or flipped, the answer is rows or an error; at some places arrow's reader panics.
    #[test]
    fn damage_is_an_error() {
        [sample(), flat_sample()].into_iter().for_each(damage);
    }

    fn damage(batch: RecordBatch) {
        let schema = schema_message(FlightDescriptor::default(), &batch.schema());
        let rows = batch_message(&batch).unwrap();
        assert_eq!(rows_of(&rows, batch.schema()).unwrap(), batch);
        assert_eq!(read(vec![schema.clone(), rows.clone()]).unwrap(), std::slice::from_ref(&batch));
        let mut refused = 0;
        for at in 0..rows.data_header.len() {
            for bits in [0x01, 0x80, 0xff] {
                let mut header = rows.data_header.to_vec();
                header[at] ^= bits;
                let bad = FlightData { data_header: header.into(), ..rows.clone() };
                refused += usize::from(rows_of(&bad, batch.schema()).is_err());
                let _ = read(vec![schema.clone(), bad]);
            }
        }
        for cut in (0..rows.data_body.len()).step_by(7) {
            let bad = FlightData { data_body: rows.data_body.slice(..cut), ..rows.clone() };
            refused += usize::from(rows_of(&bad, batch.schema()).is_err());
        }
        for at in 0..schema.data_header.len() {
            let mut header = schema.data_header.to_vec();
            header[at] ^= 0xff;
            let _ = read(vec![FlightData { data_header: header.into(), ..schema.clone() }, rows.clone()]);
        }
        assert!(refused > 100, "{refused} were refused");
    }

    #[test]
    fn compressed_rows_are_refused_before_memory_is_taken_for_them() {
        let batch = sample();
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME)).unwrap();
        let encoded = IpcDataGenerator::default().encode(
            &batch,
            &mut DictionaryTracker::new(false),
            &options,
            &mut Default::default(),
        );
        let encoded = encoded.unwrap().1;
        let rows = FlightData::new().with_data_header(encoded.ipc_message).with_data_body(encoded.arrow_data);
        assert!(rows_of(&rows, batch.schema()).unwrap_err().to_string().contains("compressed"));
        let schema = schema_message(FlightDescriptor::default(), &batch.schema());
        assert!(read(vec![schema, rows]).unwrap_err().to_string().contains("compressed"));
    }
}
