//! CSV as RFC 4180 has it. Nothing between two delimiters is null; `""` is the empty text. Read is what pandas, Excel, DuckDB
//! and PostgreSQL write: a byte-order mark, lines that end with CR LF, quotes where none are needed, other delimiters if asked.

mod decoder;
mod record;
mod write;

pub use decoder::header_fields;
pub(crate) use decoder::{CsvDecoder, header};
pub(crate) use record::{Record, Splitter};
pub use write::{write_header, write_rows};

/// How a file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CsvOptions {
    /// Whether the first line names the columns.
    pub header: bool,
    /// An ASCII character.
    pub delimiter: u8,
}

impl Default for CsvOptions {
    fn default() -> CsvOptions {
        CsvOptions { header: true, delimiter: b',' }
    }
}
