//! Rows from JSON that comes in pieces.

use arrow::array::RecordBatch;
use arrow::datatypes::Fields;

use super::Json;
use crate::columns::{Columns, Others};
use crate::decoder::MAX_RECORD_BYTES;
use crate::{Error, Result};

/// Gathers rows from text.
#[derive(Debug)]
pub(crate) struct JsonDecoder {
    columns: Columns,
    others: Others,
    records: Records,
}

impl JsonDecoder {
    pub(crate) fn new(fields: Fields, others: Others) -> Result<JsonDecoder> {
        Ok(JsonDecoder { columns: Columns::new(fields).map_err(Error::invalid)?, others, records: Records::default() })
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        let (columns, others) = (&mut self.columns, self.others);
        self.records.feed(bytes, &mut |line, text| {
            let row = Json::parse(text).map_err(|reason| Error::line(line, reason))?;
            columns.push_object(&row, others).map_err(|reason| Error::line(line, reason))
        })
    }

    pub(crate) fn end(&mut self) -> Result<()> {
        self.records.end()
    }

    pub(crate) fn rows(&self) -> usize {
        self.columns.rows()
    }

    pub(crate) fn take(&mut self) -> Result<Option<RecordBatch>> {
        self.columns.take().map_err(Error::invalid)
    }
}

/// Finds the objects of a text that comes in pieces: one after the other, or in one array.
#[derive(Debug, Default)]
pub(crate) struct Records {
    /// What is not yet a whole object.
    rest: Vec<u8>,
    /// Of `rest`, what has been looked at.
    seen: usize,
    depth: usize,
    in_text: bool,
    escaped: bool,
    /// Where the object under way begins in `rest`.
    start: Option<usize>,
    start_line: u64,
    lines: u64,
    array: Array,
    begun: bool,
}

/// Whether the objects stand in an array.
#[derive(Debug, Default, PartialEq, Eq)]
enum Array {
    #[default]
    None,
    Open,
    Closed,
}

impl Records {
    /// Calls `each` with every object that is whole now, and the line at which it begins.
    pub(crate) fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(u64, &str) -> Result<()>) -> Result<()> {
        self.rest.extend_from_slice(bytes);
        if !self.begun {
            if self.rest.len() < 3 && b"\xef\xbb\xbf".starts_with(&self.rest) {
                return Ok(());
            }
            self.begun = true;
            self.seen = if self.rest.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        }
        while let Some(byte) = self.rest.get(self.seen).copied() {
            self.seen += 1;
            self.lines += u64::from(byte == b'\n');
            if self.in_text {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_text = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' if self.depth > 0 => self.in_text = true,
                b'{' | b'[' if self.depth > 0 => self.depth += 1,
                b'{' if self.array != Array::Closed => {
                    self.depth = 1;
                    self.start = Some(self.seen - 1);
                    self.start_line = self.lines + 1;
                }
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        self.found(each)?;
                    }
                }
                _ if self.depth > 0 => {}
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'[' if self.array == Array::None => self.array = Array::Open,
                b',' if self.array == Array::Open => {}
                b']' if self.array == Array::Open => self.array = Array::Closed,
                _ => {
                    let message =
                        "rows are JSON objects, one after the other or in one array; here stands something else";
                    return Err(Error::line(self.lines + u64::from(byte != b'\n'), message));
                }
            }
        }
        if self.rest.len() > MAX_RECORD_BYTES && self.start.is_some() {
            let message = format!("a row has more than {MAX_RECORD_BYTES} bytes");
            return Err(Error::line(self.start_line, message));
        }
        let kept = self.start.unwrap_or(self.seen);
        self.rest.drain(..kept);
        self.seen -= kept;
        self.start = self.start.map(|_| 0);
        Ok(())
    }

    fn found(&mut self, each: &mut dyn FnMut(u64, &str) -> Result<()>) -> Result<()> {
        let Some(start) = self.start.take() else { return Ok(()) };
        let bytes = self.rest.get(start..self.seen).unwrap_or_default();
        let text = std::str::from_utf8(bytes)
            .map_err(|error| Error::line(self.start_line, format!("the row is not UTF-8: {error}")))?;
        each(self.start_line, text)
    }

    /// The text has ended.
    pub(crate) fn end(&self) -> Result<()> {
        if self.start.is_some() || !self.begun && !self.rest.is_empty() {
            return Err(Error::line(self.start_line.max(1), "the text ends in the middle of a row"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(pieces: &[&str]) -> Result<Vec<(u64, String)>> {
        let mut records = Records::default();
        let mut found = Vec::new();
        for piece in pieces {
            records.feed(piece.as_bytes(), &mut |line, text| {
                found.push((line, text.to_owned()));
                Ok(())
            })?;
        }
        records.end()?;
        Ok(found)
    }

    #[test]
    fn objects_are_found_however_they_lie_and_come() {
        let text = "\u{feff}{\"a\":1}\r\n\n{\"b\":\n \"}{\\\"\", \"c\": [{}]} {}\n";
        let whole = records(&[text]).unwrap();
        assert_eq!(whole.iter().map(|(line, text)| (*line, text.len())).collect::<Vec<_>>(), [(1, 7), (3, 25), (4, 2)]);
        for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            assert_eq!(records(&[&text[..cut], &text[cut..]]).unwrap(), whole, "{cut}");
        }
        assert_eq!(records(&["[{\"a\":1},\n{\"a\":2}]\n"]).unwrap().len(), 2);
        assert_eq!(records(&["", " \n "]).unwrap().len(), 0);
    }

    #[test]
    fn what_is_no_row_names_its_line() {
        for (text, line) in [("{}\n1\n", 2), ("{}\n{", 2), ("{}\n[{}]\nx", 3), ("[{}]{}", 1), ("\"a\"", 1)] {
            let error = records(&[text]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("line {line}: ")), "{text:?}: {error}");
        }
    }
}
