//! Rows of text formats, from pieces or from a reader.

use std::io::Read;

use arrow::array::RecordBatch;
use arrow::datatypes::Fields;

use crate::columns::Others;
use crate::csv::{CsvDecoder, CsvOptions};
use crate::json::JsonDecoder;
use crate::{BATCH_ROWS, Result};

/// Bytes of one row of text.
pub(crate) const MAX_RECORD_BYTES: usize = 16 << 20;
/// What is read at once.
const PIECE_BYTES: usize = 64 << 10;
/// Text that a batch is made of, about.
const BATCH_BYTES: usize = 4 << 20;

/// Gives the columns for the names of a CSV header, in the header's order; no names if there is no header. The error says what
/// is wrong with them.
pub type Resolve = Box<dyn FnOnce(&[String]) -> Result<Fields, String> + Send>;

/// Gathers rows from text that comes in pieces. After an error it gives no more.
pub struct Decoder {
    form: Form,
}

enum Form {
    Csv(Box<CsvDecoder>),
    Json(Box<JsonDecoder>),
}

impl Decoder {
    pub fn csv(options: CsvOptions, resolve: Resolve) -> Result<Decoder> {
        Ok(Decoder { form: Form::Csv(Box::new(CsvDecoder::new(options, resolve)?)) })
    }

    /// Members of the objects are columns of these names; one that is missing is null, and another one is an error.
    pub fn json(fields: Fields) -> Result<Decoder> {
        Ok(Decoder { form: Form::Json(Box::new(JsonDecoder::new(fields, Others::Refused)?)) })
    }

    /// The same, where members of other names are passed over.
    pub fn json_among(fields: Fields) -> Result<Decoder> {
        Ok(Decoder { form: Form::Json(Box::new(JsonDecoder::new(fields, Others::PassedOver)?)) })
    }

    /// Takes the next piece of text; what is not a whole row waits for the one after it.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.form {
            Form::Csv(csv) => csv.feed(bytes),
            Form::Json(json) => json.feed(bytes),
        }
    }

    /// Says that the text has ended.
    pub fn end(&mut self) -> Result<()> {
        match &mut self.form {
            Form::Csv(csv) => csv.end(),
            Form::Json(json) => json.end(),
        }
    }

    /// Rows that wait.
    pub fn rows(&self) -> usize {
        match &self.form {
            Form::Csv(csv) => csv.rows(),
            Form::Json(json) => json.rows(),
        }
    }

    /// The rows that wait, if there are any. All of their columns may be null.
    pub fn take(&mut self) -> Result<Option<RecordBatch>> {
        match &mut self.form {
            Form::Csv(csv) => csv.take(),
            Form::Json(json) => json.take(),
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("rows", &self.rows()).finish_non_exhaustive()
    }
}

/// The rows of a reader, to its end or to the first error.
pub fn batches<R: Read>(reader: R, decoder: Decoder) -> Batches<R> {
    Batches { reader, decoder: Some(decoder) }
}

/// See [`batches`].
#[derive(Debug)]
pub struct Batches<R> {
    reader: R,
    /// `None` once there is nothing more to give.
    decoder: Option<Decoder>,
}

impl<R: Read> Iterator for Batches<R> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        let mut decoder = self.decoder.take()?;
        match fill(&mut self.reader, &mut decoder) {
            Ok(ended) => {
                let batch = decoder.take().transpose();
                self.decoder = (!ended && batch.as_ref().is_some_and(Result::is_ok)).then_some(decoder);
                batch
            }
            Err(error) => Some(Err(error)),
        }
    }
}

/// Reads until there are rows for a batch; true at the end.
fn fill(reader: &mut impl Read, decoder: &mut Decoder) -> Result<bool> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0;
    while decoder.rows() == 0 || decoder.rows() < BATCH_ROWS && bytes < BATCH_BYTES {
        let read = match reader.read(&mut piece) {
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        if read == 0 {
            decoder.end()?;
            return Ok(true);
        }
        bytes += read;
        decoder.feed(piece.get(..read).unwrap_or_default())?;
    }
    Ok(false)
}
