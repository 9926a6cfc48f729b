//! What connections do to make a server take memory for them. The benchmark does the same.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use arrow_array::{ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow_flight::{FlightData, FlightDescriptor};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};

use super::raw::{Raw, framed, half};

/// As large as a stream's dictionaries may be, nearly.
const DICTIONARY_BYTES: usize = 7 << 20;

/// Ways to begin a call and not to end it, on a table of `id BIGINT NOT NULL, word VARCHAR`.
pub(crate) struct Attacks {
    /// The schema of the table's rows, and a dictionary that is small on the wire.
    bomb: Vec<u8>,
    /// The schema alone.
    head: Vec<u8>,
    /// For rows that nobody will read.
    ticket: Vec<u8>,
}

impl Attacks {
    pub(crate) fn on(table: &str, ticket: Vec<u8>) -> Attacks {
        let values = StringArray::from(vec!["a".to_owned(), "x".repeat(DICTIONARY_BYTES)]);
        let words = DictionaryArray::new(Int32Array::from(vec![0]), Arc::new(values));
        let columns: [(&str, ArrayRef); 2] = [("id", Arc::new(Int64Array::from(vec![1]))), ("word", Arc::new(words))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::ZSTD)).unwrap();
        let (generator, mut tracker) = (IpcDataGenerator::default(), DictionaryTracker::new(false));
        let schema = generator.schema_to_bytes_with_dictionary_tracker(&batch.schema(), &mut tracker, &options);
        let (dictionaries, _) =
            generator.encode(&batch, &mut tracker, &options, &mut IpcWriteContext::default()).unwrap();
        let descriptor = FlightDescriptor::new_path(vec!["public".to_owned(), table.to_owned()]);
        let head = framed(&FlightData::from(schema).with_descriptor(descriptor));
        let dictionaries = dictionaries.into_iter().flat_map(|dictionary| framed(&FlightData::from(dictionary)));
        Attacks { bomb: head.iter().copied().chain(dictionaries).collect(), head, ticket }
    }

    /// The one with this number. What a server does not take any more is as good as sent; that it lets nobody in is as good.
    pub(crate) fn begin(&self, server: SocketAddr, number: usize) -> Option<TcpStream> {
        let mut raw = Raw::connect(server).ok()?;
        let _ = match number % 5 {
            0 => {
                raw.call("DoPut").and_then(|()| raw.send(&self.head)).and_then(|()| raw.send(&half(1 << 20, 512 << 10)))
            }
            1 => raw.call("DoPut").and_then(|()| raw.send(&half(60 << 20, 2 << 20))),
            2 => raw.call("GetFlightInfo").and_then(|()| raw.send(&half(1 << 20, 512 << 10))),
            3 => raw.call("DoPut").and_then(|()| raw.send(&self.bomb)),
            _ => raw.call("DoGet").and_then(|()| raw.send(&self.ticket)).and_then(|()| raw.finish()),
        };
        Some(raw.0)
    }
}
