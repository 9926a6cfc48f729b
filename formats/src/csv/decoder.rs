//! Rows from CSV that comes in pieces.

use std::collections::HashSet;
use std::io::Read;

use arrow::array::RecordBatch;
use arrow::datatypes::Fields;

use super::{CsvOptions, Record, Splitter};
use crate::columns::Columns;
use crate::decoder::Resolve;
use crate::{Error, Result};

/// What is read at once for a header.
const HEADER_BYTES: usize = 8192;

/// Gathers rows from text.
pub(crate) struct CsvDecoder {
    splitter: Splitter,
    state: State,
}

enum State {
    /// The header is to come.
    Header(Option<Resolve>, u8),
    Rows(Rows),
}

struct Rows {
    columns: Columns,
    /// Of each column, whether `""` is a value of it.
    has_empty: Vec<bool>,
}

impl CsvDecoder {
    /// `resolve` gives the columns for the names of the header; without one it is asked with no names.
    pub(crate) fn new(options: CsvOptions, resolve: Resolve) -> Result<CsvDecoder> {
        let state = match options.header {
            true => State::Header(Some(resolve), options.delimiter),
            false => State::Rows(Rows::new(resolve(&[]).map_err(Error::Invalid)?)?),
        };
        Ok(CsvDecoder { splitter: Splitter::new(options.delimiter), state })
    }

    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<()> {
        let state = &mut self.state;
        self.splitter.feed(bytes, &mut |line, record| state.push(line, record))
    }

    pub(crate) fn end(&mut self) -> Result<()> {
        let state = &mut self.state;
        self.splitter.end(&mut |line, record| state.push(line, record))
    }

    pub(crate) fn rows(&self) -> usize {
        match &self.state {
            State::Header(..) => 0,
            State::Rows(rows) => rows.columns.rows(),
        }
    }

    pub(crate) fn take(&mut self) -> Result<Option<RecordBatch>> {
        match &mut self.state {
            State::Header(..) => Ok(None),
            State::Rows(rows) => rows.columns.take().map_err(Error::invalid),
        }
    }
}

impl State {
    fn push(&mut self, line: u64, record: &Record) -> Result<()> {
        match self {
            State::Header(resolve, delimiter) => {
                let names = header(line, record)?;
                let resolve = resolve.take().ok_or_else(|| Error::line(line, "the header was refused"))?;
                let fields = resolve(&names).map_err(|reason| Error::line(line, hinted(&names, *delimiter, reason)))?;
                *self = State::Rows(Rows::new(fields)?);
                Ok(())
            }
            State::Rows(rows) => rows.push(line, record),
        }
    }
}

impl Rows {
    fn new(fields: Fields) -> Result<Rows> {
        let has_empty = fields.iter().map(|field| field.data_type().is_string() || field.data_type().is_binary());
        let has_empty = has_empty.collect();
        Ok(Rows { columns: Columns::new(fields).map_err(Error::invalid)?, has_empty })
    }

    fn push(&mut self, line: u64, record: &Record) -> Result<()> {
        let count = self.columns.count();
        if record.is_blank() && count > 1 {
            return Ok(());
        }
        if record.len() != count {
            return Err(Error::line(line, format!("the row has {} cells, not {count}", record.len())));
        }
        let mut cells = Vec::with_capacity(count);
        for (cell, has_empty) in record.cells().zip(&self.has_empty) {
            let (text, quoted) = cell.map_err(|error| Error::line(line, format!("the row is not UTF-8: {error}")))?;
            // What has no empty value, and is quoted all the same, is null: some programs quote everything.
            cells.push((!text.is_empty() || quoted && *has_empty).then_some(text));
        }
        self.columns.push_cells(cells.into_iter()).map_err(|reason| Error::line(line, reason))
    }
}

/// The columns of a header, as `resolve` gives them for its names. No more is read than it takes.
pub fn header_fields(mut reader: impl Read, delimiter: u8, resolve: Resolve) -> Result<Fields> {
    let mut splitter = Splitter::new(delimiter);
    let mut found: Option<(u64, Vec<String>)> = None;
    let mut piece = vec![0; HEADER_BYTES];
    while found.is_none() {
        let mut each = |line: u64, record: &Record| {
            if found.is_none() {
                found = Some((line, header(line, record)?));
            }
            Ok(())
        };
        match reader.read(&mut piece)? {
            0 => {
                splitter.end(&mut each)?;
                break;
            }
            read => splitter.feed(piece.get(..read).unwrap_or_default(), &mut each)?,
        }
    }
    let (line, names) = found.unwrap_or_default();
    resolve(&names).map_err(|reason| Error::line(line, hinted(&names, delimiter, reason)))
}

/// The names of a header, each there once.
pub(crate) fn header(line: u64, record: &Record) -> Result<Vec<String>> {
    let mut seen = HashSet::new();
    let mut names = Vec::with_capacity(record.len());
    for cell in record.cells() {
        let (name, _) = cell.map_err(|error| Error::line(line, format!("the header is not UTF-8: {error}")))?;
        if !seen.insert(name) {
            return Err(Error::line(line, format!("the header has column {name:?} twice")));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

/// Says so if the header looks as if another delimiter were meant.
fn hinted(names: &[String], delimiter: u8, reason: String) -> String {
    let [only] = names else { return reason };
    match [',', ';', '\t', '|'].into_iter().find(|other| *other != char::from(delimiter) && only.contains(*other)) {
        Some(other) => format!("{reason} (the header is one column; is the delimiter {other:?}?)"),
        None => reason,
    }
}
