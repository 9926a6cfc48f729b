//! Takes text apart into records and cells.

use crate::decoder::MAX_RECORD_BYTES;
use crate::{Error, Result};

/// One record: its cells' bytes, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Record {
    bytes: Vec<u8>,
    /// Where each cell ends, and whether it was quoted.
    cells: Vec<(usize, bool)>,
}

impl Record {
    pub(crate) fn len(&self) -> usize {
        self.cells.len()
    }

    /// A line without anything.
    pub(crate) fn is_blank(&self) -> bool {
        self.cells == [(0, false)]
    }

    /// The cells' texts, and whether they were quoted.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Result<(&str, bool), std::str::Utf8Error>> {
        let mut start = 0;
        self.cells.iter().map(move |(end, quoted)| {
            let cell = std::str::from_utf8(self.bytes.get(start..*end).unwrap_or_default());
            start = *end;
            cell.map(|cell| (cell, *quoted))
        })
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.cells.clear();
    }

    fn end_cell(&mut self, quoted: bool) {
        self.cells.push((self.bytes.len(), quoted));
    }
}

/// Splits text that comes in pieces.
#[derive(Debug)]
pub(crate) struct Splitter {
    delimiter: u8,
    /// What is not yet a whole record.
    rest: Vec<u8>,
    /// Line ends in the records given.
    lines: u64,
    begun: bool,
    record: Record,
}

impl Splitter {
    pub(crate) fn new(delimiter: u8) -> Splitter {
        Splitter { delimiter, rest: Vec::new(), lines: 0, begun: false, record: Record::default() }
    }

    /// Calls `each` with every record that is whole now, and the line at which it begins.
    pub(crate) fn feed(&mut self, bytes: &[u8], each: &mut dyn FnMut(u64, &Record) -> Result<()>) -> Result<()> {
        self.rest.extend_from_slice(bytes);
        self.split(false, each)
    }

    /// The text has ended: what is left is a record.
    pub(crate) fn end(&mut self, each: &mut dyn FnMut(u64, &Record) -> Result<()>) -> Result<()> {
        self.split(true, each)
    }

    fn split(&mut self, last: bool, each: &mut dyn FnMut(u64, &Record) -> Result<()>) -> Result<()> {
        let mut at = 0;
        if !self.begun {
            if !last && self.rest.len() < 3 && b"\xef\xbb\xbf".starts_with(&self.rest) {
                return Ok(());
            }
            self.begun = true;
            at = if self.rest.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        }
        loop {
            let rest = self.rest.get(at..).unwrap_or_default();
            let line = self.lines + 1;
            let parsed = parse(rest, self.delimiter, last, &mut self.record);
            let taken = match parsed.map_err(|message| Error::line(line, message))? {
                Some(taken) => taken,
                None if rest.len() > MAX_RECORD_BYTES => {
                    let message = format!("a row has more than {MAX_RECORD_BYTES} bytes; is a quote left open?");
                    return Err(Error::line(line, message));
                }
                None => break,
            };
            self.lines += rest.iter().take(taken).filter(|byte| **byte == b'\n').count() as u64;
            at += taken;
            each(line, &self.record)?;
        }
        self.rest.drain(..at);
        Ok(())
    }
}

/// Reads one record into `record` and gives the bytes that it took; `None` if it is not whole yet, or there is none.
fn parse(text: &[u8], delimiter: u8, last: bool, record: &mut Record) -> Result<Option<usize>, String> {
    record.clear();
    if text.is_empty() {
        return Ok(None);
    }
    let mut at = 0;
    loop {
        let quoted = text.get(at) == Some(&b'"');
        if quoted {
            let Some(end) = quoted_cell(text, at + 1, last, record)? else { return Ok(None) };
            at = end;
        } else {
            let rest = text.get(at..).unwrap_or_default();
            let ends = |byte: &u8| *byte == delimiter || *byte == b'\n' || *byte == b'\r';
            let length = rest.iter().position(ends).unwrap_or(rest.len());
            record.bytes.extend_from_slice(rest.get(..length).unwrap_or_default());
            at += length;
        }
        match text.get(at) {
            Some(byte) if *byte == delimiter => {
                record.end_cell(quoted);
                at += 1;
            }
            Some(b'\n') => {
                record.end_cell(quoted);
                return Ok(Some(at + 1));
            }
            Some(b'\r') => {
                record.end_cell(quoted);
                return Ok(match text.get(at + 1) {
                    Some(b'\n') => Some(at + 2),
                    Some(_) => Some(at + 1),
                    None if last => Some(at + 1),
                    None => None,
                });
            }
            Some(_) => {
                return Err("something stands behind a closing quote; quotes within quotes are doubled".to_owned());
            }
            None if last => {
                record.end_cell(quoted);
                return Ok(Some(at));
            }
            None => return Ok(None),
        }
    }
}

/// Reads what is behind an opening quote and gives the place behind the closing one.
fn quoted_cell(text: &[u8], mut at: usize, last: bool, record: &mut Record) -> Result<Option<usize>, String> {
    loop {
        let rest = text.get(at..).unwrap_or_default();
        match rest.iter().position(|byte| *byte == b'"') {
            Some(length) => {
                record.bytes.extend_from_slice(rest.get(..length).unwrap_or_default());
                at += length + 1;
                match text.get(at) {
                    Some(b'"') => {
                        record.bytes.push(b'"');
                        at += 1;
                    }
                    // Whether the quote is doubled shows with the next piece.
                    None if !last => return Ok(None),
                    _ => return Ok(Some(at)),
                }
            }
            None if last => return Err("a quote is left open to the end of the text".to_owned()),
            None => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Cells = Vec<(String, bool)>;

    fn split(pieces: &[&[u8]]) -> Result<Vec<(u64, Cells)>> {
        let mut splitter = Splitter::new(b',');
        let mut found = Vec::new();
        let mut each = |line: u64, record: &Record| {
            let cells = record.cells().map(|cell| cell.map(|(text, quoted)| (text.to_owned(), quoted)));
            found.push((line, cells.collect::<Result<Cells, _>>().map_err(Error::invalid)?));
            Ok(())
        };
        for piece in pieces {
            splitter.feed(piece, &mut each)?;
        }
        splitter.end(&mut each)?;
        Ok(found)
    }

    fn plain(text: &str) -> (String, bool) {
        (text.to_owned(), false)
    }

    fn quoted(text: &str) -> (String, bool) {
        (text.to_owned(), true)
    }

    #[test]
    fn records_are_the_same_however_they_come() {
        let text = "\u{feff}a,\"b \"\"c\"\"\n,d\"\r\n,\"\"\n\n1\" 2,é";
        let expected = vec![
            (1, vec![plain("a"), quoted("b \"c\"\n,d")]),
            (3, vec![plain(""), quoted("")]),
            (4, vec![plain("")]),
            (5, vec![plain("1\" 2"), plain("é")]),
        ];
        for cut in 0..=text.len() {
            let (first, second) = text.as_bytes().split_at(cut);
            assert_eq!(split(&[first, second]).unwrap(), expected, "{cut}");
        }
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(split(&bytes).unwrap(), expected);
    }

    #[test]
    fn line_ends_of_all_kinds() {
        for text in ["a,b\n1,2\n", "a,b\r\n1,2\r\n", "a,b\r1,2\r", "a,b\n1,2"] {
            assert_eq!(split(&[text.as_bytes()]).unwrap().len(), 2, "{text:?}");
        }
        assert!(split(&[b""]).unwrap().is_empty());
    }

    #[test]
    fn what_is_malformed_names_its_line() {
        for (text, line) in [("a\n\"b", 2), ("a\nb\n\"c\"d\n", 3)] {
            let error = split(&[text.as_bytes()]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("line {line}: ")), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn mutated_texts_never_panic(text in "[a\",\r\n]*", cut in 0usize..64) {
            let (first, second) = text.as_bytes().split_at(cut.min(text.len()));
            let whole = split(&[text.as_bytes()]).map_err(|error| error.to_string());
            assert_eq!(split(&[first, second]).map_err(|error| error.to_string()), whole);
        }
    }
}
