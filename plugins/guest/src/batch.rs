//! A batch of rows, read in place from its Arrow IPC message.

use std::fmt;

use crate::column::Validity;
use crate::schema::batch_message;
use crate::{Binary, Bitmap, Boolean, DataType, Native, Parameter, Primitive, Utf8};

/// Why a batch can't be read as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    pub(crate) fn new(message: impl Into<String>) -> Error {
        Error(message.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl From<Error> for String {
    fn from(error: Error) -> String {
        error.0
    }
}

/// The rows of one call.
pub struct Batch<'a> {
    rows: usize,
    columns: Vec<Raw<'a>>,
}

/// A column's buffers: one of values, or offsets and data.
struct Raw<'a> {
    parameter: &'a Parameter,
    validity: Validity<'a>,
    first: &'a [u8],
    second: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Reads a record-batch message of the declared columns.
    #[doc(hidden)]
    pub fn read(message: &'a [u8], declared: &'a [Parameter]) -> Result<Batch<'a>, Error> {
        Self::read_message(message, declared)?.ok_or_else(|| Error::new("the batch's metadata is damaged"))
    }

    fn read_message(message: &'a [u8], declared: &'a [Parameter]) -> Result<Option<Batch<'a>>, Error> {
        let message = batch_message(message)?;
        if message.header.has(3) {
            return Err(Error::new("the batch is compressed"));
        }
        Ok(Self::read_parts(&message, declared))
    }

    fn read_parts(message: &crate::schema::Message<'a>, declared: &'a [Parameter]) -> Option<Batch<'a>> {
        let rows = usize::try_from(message.header.i64(0, 0)).ok()?;
        let nodes = message.header.structs::<16>(1).unwrap_or_default();
        let mut buffers = message.header.structs::<16>(2).unwrap_or_default().iter().map(|buffer| {
            let start = usize::try_from(half(buffer, 0)).ok()?;
            message.body.get(start..start.checked_add(usize::try_from(half(buffer, 1)).ok()?)?)
        });
        if nodes.len() != declared.len() {
            return None;
        }
        let mut columns = Vec::with_capacity(declared.len());
        for (parameter, node) in declared.iter().zip(nodes) {
            if half(node, 0) != i64::try_from(rows).ok()? {
                return None;
            }
            let validity = Validity::new(buffers.next()??, half(node, 1), rows)?;
            let first = buffers.next()??;
            let has_offsets = matches!(parameter.data_type, DataType::Utf8 | DataType::Binary);
            let second = if has_offsets { buffers.next()?? } else { &[] };
            columns.push(Raw { parameter, validity, first, second });
        }
        Some(Batch { rows, columns })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// A column of numbers, dates or times. `T` is the type that [`DataType`] says it is read as.
    pub fn primitive<T: Native>(&self, name: &str) -> Result<Primitive<'_, T>, Error> {
        let column = self.column(name, T::reads, std::any::type_name::<T>())?;
        Primitive::new(column.first, column.validity, self.rows).ok_or_else(|| damaged(name))
    }

    /// A column of texts.
    pub fn utf8(&self, name: &str) -> Result<Utf8<'_>, Error> {
        let column = self.column(name, |t| t == DataType::Utf8, "text")?;
        Utf8::new(column.first, column.second, column.validity, self.rows).ok_or_else(|| damaged(name))
    }

    /// A column of byte strings.
    pub fn binary(&self, name: &str) -> Result<Binary<'_>, Error> {
        let column = self.column(name, |t| t == DataType::Binary, "bytes")?;
        Binary::new(column.first, column.second, column.validity, self.rows).ok_or_else(|| damaged(name))
    }

    /// A column of truth values.
    pub fn boolean(&self, name: &str) -> Result<Boolean<'_>, Error> {
        let column = self.column(name, |t| t == DataType::Boolean, "truth values")?;
        Boolean::new(column.first, column.validity, self.rows).ok_or_else(|| damaged(name))
    }

    /// Asks about every row by its index: the row-wise form.
    pub fn select(&self, keep: impl FnMut(usize) -> bool) -> Bitmap {
        Bitmap::from_fn(self.rows, keep)
    }

    fn column(&self, name: &str, fits: impl Fn(DataType) -> bool, wanted: &str) -> Result<&Raw<'a>, Error> {
        let column = self
            .columns
            .iter()
            .find(|column| column.parameter.name == name)
            .ok_or_else(|| Error::new(format!("column {name:?} is not among the declared parameters")))?;
        if fits(column.parameter.data_type) {
            return Ok(column);
        }
        let data_type = column.parameter.data_type;
        Err(Error::new(format!("column {name:?} is declared as {data_type}, which is not read as {wanted}")))
    }
}

fn damaged(name: &str) -> Error {
    Error::new(format!("the buffers of column {name:?} are damaged"))
}

/// The first or second number of a pair.
fn half(pair: &[u8; 16], which: usize) -> i64 {
    let (halves, _) = pair.as_chunks::<8>();
    halves.get(which).map_or(-1, |half| i64::from_le_bytes(*half))
}
