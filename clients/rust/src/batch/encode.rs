//! Record batches to Flight messages.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_flight::{FlightData, FlightDescriptor, SchemaAsIpc};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions};

use crate::error::{Error, Result};

/// The message that opens a stream: where to, and the schema.
pub(crate) fn schema_message(descriptor: FlightDescriptor, schema: &Schema) -> FlightData {
    FlightData::from(SchemaAsIpc::new(schema, &IpcWriteOptions::default())).with_descriptor(descriptor)
}

/// A message of rows, without metadata. Dictionaries have been unpacked before.
pub(crate) fn batch_message(batch: &RecordBatch) -> Result<FlightData> {
    let mut tracker = DictionaryTracker::new(false);
    let options = IpcWriteOptions::default();
    let (dictionaries, encoded) = IpcDataGenerator::default()
        .encode(batch, &mut tracker, &options, &mut Default::default())
        .map_err(|error| Error::InvalidInput(format!("the batch can't be encoded: {error}")))?;
    if !dictionaries.is_empty() {
        return Err(Error::InvalidInput("the batch holds a dictionary where none can be unpacked".to_owned()));
    }
    Ok(FlightData::new().with_data_header(encoded.ipc_message).with_data_body(encoded.arrow_data))
}
