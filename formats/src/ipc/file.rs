//! Arrow files: the messages of a stream, also between the two magic words of a file with a footer, which is not needed.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{Schema, SchemaRef};

use super::{Decoded, Decoder, Limits, Message};
use crate::{Error, Result};

/// What a file with a footer begins with, and what it may be padded by beyond eight bytes, in four at a time.
const MAGIC: [u8; 6] = *b"ARROW1";
const PADDING_WORDS: usize = 14;
/// Before a message's length; streams of old writers lack it.
const CONTINUATION: [u8; 4] = [0xff; 4];
/// A file is the user's own, and its batches may be large.
const LIMITS: Limits = Limits { rows: i32::MAX as i64, decoded: 4 << 30, unpacked: 4 << 30, dictionaries: 1 << 30 };

/// Reads batches. After an error there are no more.
#[derive(Debug)]
pub struct ArrowFile {
    file: BufReader<File>,
    /// Bytes that are still to come: no message is longer.
    left: u64,
    schema: SchemaRef,
    decoder: Decoder,
    columns: Option<Vec<usize>>,
    over: bool,
}

impl ArrowFile {
    /// Reads the schema; batches will have `columns`, by position, all if not given.
    pub fn open(file: File, columns: Option<Vec<usize>>) -> Result<ArrowFile> {
        let left = file.metadata()?.len();
        let mut opened = ArrowFile {
            file: BufReader::new(file),
            left,
            schema: Schema::empty().into(),
            decoder: Decoder::new(LIMITS),
            columns,
            over: false,
        };
        let mut first = opened.start()?;
        if first == MAGIC.first_chunk().copied() {
            opened.start()?.filter(|second| second.starts_with(&MAGIC[4..])).ok_or_else(no_arrow)?;
            first = opened.start()?;
            for _ in 0..PADDING_WORDS {
                if first != Some([0; 4]) {
                    break;
                }
                first = opened.start()?;
            }
        }
        match opened.decoded(first) {
            Ok(Some(Decoded::Schema(schema))) => {
                opened.schema = schema;
                Ok(opened)
            }
            Err(error) if first == Some(CONTINUATION) => Err(error),
            _ => Err(no_arrow()),
        }
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let first = self.start()?;
            match self.decoded(first)? {
                None => return Ok(None),
                Some(Decoded::Batch(batch)) => {
                    return match &self.columns {
                        Some(columns) => batch.project(columns).map(Some).map_err(Error::invalid),
                        None => Ok(Some(batch)),
                    };
                }
                Some(_) => {}
            }
        }
    }

    /// What the message that begins with these four bytes holds; none at the end.
    fn decoded(&mut self, first: Option<[u8; 4]>) -> Result<Option<Decoded>> {
        let length = match first {
            Some(CONTINUATION) => self.start()?.ok_or_else(cut_off)?,
            Some(length) => length,
            None => return Ok(None),
        };
        let header = self.take(i64::from(i32::from_le_bytes(length)))?;
        if header.is_empty() {
            return Ok(None);
        }
        let body = arrow_ipc::root_as_message(&header).map(|message| message.bodyLength());
        let body = self.take(body.map_err(|_| Error::invalid("the header of an Arrow message is malformed"))?)?;
        self.decoder.decode(Message { header: &header, body: &Buffer::from_vec(body) }).map(Some)
    }

    /// Four bytes; none at the end of the file.
    fn start(&mut self) -> Result<Option<[u8; 4]>> {
        if self.left == 0 {
            return Ok(None);
        }
        let bytes = self.take(4)?;
        bytes.first_chunk().copied().map(Some).ok_or_else(cut_off)
    }

    fn take(&mut self, length: i64) -> Result<Vec<u8>> {
        let length = u64::try_from(length).ok().filter(|length| *length <= self.left).ok_or_else(cut_off)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(Error::invalid)?];
        self.file.read_exact(&mut bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => cut_off(),
            _ => Error::Io(error),
        })?;
        self.left -= length;
        Ok(bytes)
    }
}

impl Iterator for ArrowFile {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        if self.over {
            return None;
        }
        let batch = self.next_batch().transpose();
        self.over = !matches!(batch, Some(Ok(_)));
        batch
    }
}

fn no_arrow() -> Error {
    Error::invalid("it is no Arrow stream or file: it does not begin with a schema")
}

fn cut_off() -> Error {
    Error::invalid("the file ends within an Arrow message")
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, Write as _};

    use arrow_ipc::CompressionType;
    use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};

    use super::*;
    use crate::sample::every_type;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).and_then(|()| file.rewind()).unwrap();
        file
    }

    fn read(bytes: &[u8]) -> Result<Vec<RecordBatch>> {
        ArrowFile::open(file(bytes), None)?.collect()
    }

    fn stream(batch: &RecordBatch, compression: Option<CompressionType>) -> Vec<u8> {
        let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
        writer.write(batch).unwrap();
        writer.write(batch).unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn streams_and_files_with_a_footer_are_read() {
        let batch = every_type();
        for compression in [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)] {
            let bytes = stream(&batch, compression);
            assert_eq!(read(&bytes).unwrap(), [batch.clone(), batch.clone()]);
            let columns: Vec<RecordBatch> =
                ArrowFile::open(file(&bytes), Some(vec![2, 0])).unwrap().collect::<Result<_>>().unwrap();
            assert_eq!(columns[1], batch.project(&[2, 0]).unwrap());
        }
        let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        assert_eq!(read(&writer.into_inner().unwrap()).unwrap(), [batch]);
    }

    #[test]
    fn what_is_no_arrow_file_is_refused() {
        for (bytes, word) in [
            (&b"a,b\n1,2\n"[..], "no Arrow stream"),
            (b"", "no Arrow stream"),
            (b"ARROW1\0\0", "no Arrow stream"),
            (b"ARROW2\0\0", "no Arrow stream"),
            (b"\xff\xff\xff\xff\xff\xff\xff\x7f", "ends within"),
        ] {
            let error = read(bytes).unwrap_err().to_string();
            assert!(error.contains(word), "{bytes:?}: {error}");
        }
        let whole = stream(&every_type(), None);
        let cut = read(&whole[..whole.len() - 100]).unwrap_err().to_string();
        assert_eq!(cut, "the file ends within an Arrow message");
    }

    /// Each byte of the messages' headers in turn, with arrow's own reader a panic at some of them.
    #[test]
    fn damage_is_an_error() {
        let whole = stream(&every_type(), None);
        let step = (whole.len() / 1000).max(1);
        for at in (0..whole.len()).step_by(step) {
            for bits in [0x01, 0xff] {
                let mut bad = whole.clone();
                bad[at] ^= bits;
                let _ = read(&bad);
            }
        }
    }
}
