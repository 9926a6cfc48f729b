//! Arrow IPC messages: the frame that all have, and the schema that comes at `open`.

use crate::flat::{Table, read};
use crate::{DataType, Error, Parameter, TimeUnit};

const CONTINUATION: u32 = u32::MAX;
const HEADER_SCHEMA: u8 = 1;
const HEADER_RECORD_BATCH: u8 = 3;

/// A message in its parts.
pub(crate) struct Message<'a> {
    pub(crate) header: Table<'a>,
    pub(crate) body: &'a [u8],
}

pub(crate) fn schema_message(bytes: &[u8]) -> Result<Message<'_>, Error> {
    message(bytes, HEADER_SCHEMA).ok_or_else(|| Error::new("the schema is not an Arrow IPC schema message"))
}

pub(crate) fn batch_message(bytes: &[u8]) -> Result<Message<'_>, Error> {
    message(bytes, HEADER_RECORD_BATCH).ok_or_else(|| Error::new("the batch is not an Arrow IPC record-batch message"))
}

fn message(bytes: &[u8], kind: u8) -> Option<Message<'_>> {
    if u32::from_le_bytes(read(bytes, 0)?) != CONTINUATION {
        return None;
    }
    let metadata_bytes = usize::try_from(i32::from_le_bytes(read(bytes, 4)?)).ok()?;
    let (metadata, rest) = bytes.get(8..)?.split_at_checked(metadata_bytes)?;
    let root = Table::root(metadata)?;
    let body = rest.get(..usize::try_from(root.i64(3, 0)).ok()?)?;
    (root.u8(1, 0) == kind).then_some(Message { header: root.table(2)?, body })
}

/// Checks that the batches to come have just the declared columns.
pub(crate) fn check(message: &[u8], declared: &[Parameter]) -> Result<(), Error> {
    let header = schema_message(message)?.header;
    if header.i16(0, 0) != 0 {
        return Err(Error::new("the batches are big-endian"));
    }
    let fields: Vec<Table> = header
        .tables(1)
        .map(Iterator::collect::<Option<_>>)
        .unwrap_or(Some(Vec::new()))
        .ok_or_else(|| Error::new("the schema is damaged"))?;
    if fields.len() != declared.len() {
        return Err(Error::new(format!("{} columns come, and {} are declared", fields.len(), declared.len())));
    }
    for (field, parameter) in fields.iter().zip(declared) {
        let name = field.text(0).unwrap_or_default();
        let data_type = data_type(field);
        if name != parameter.name || data_type != Some(parameter.data_type) {
            let found = data_type.map_or("an unknown type".to_owned(), |t| t.to_string());
            return Err(Error::new(format!(
                "column {name:?} comes with {found}; declared is {:?} with {}",
                parameter.name, parameter.data_type
            )));
        }
    }
    Ok(())
}

/// The type of a `Field` table, where it is one of ours.
fn data_type(field: &Table) -> Option<DataType> {
    if field.has(4) {
        return None; // dictionary-encoded
    }
    let parameters = field.table(3)?;
    Some(match field.u8(2, 0) {
        2 => integer(parameters.i32(0, 0), parameters.u8(1, 0) != 0)?,
        3 => match parameters.i16(0, 0) {
            1 => DataType::Float32,
            2 => DataType::Float64,
            _ => return None,
        },
        4 => DataType::Binary,
        5 => DataType::Utf8,
        6 => DataType::Boolean,
        7 if parameters.i32(2, 128) == 128 => DataType::Decimal128 {
            precision: u8::try_from(parameters.i32(0, 0)).ok()?,
            scale: i8::try_from(parameters.i32(1, 0)).ok()?,
        },
        8 if parameters.i16(0, 1) == 0 => DataType::Date32,
        10 => DataType::Timestamp {
            unit: match parameters.i16(0, 0) {
                0 => TimeUnit::Second,
                1 => TimeUnit::Millisecond,
                2 => TimeUnit::Microsecond,
                3 => TimeUnit::Nanosecond,
                _ => return None,
            },
            utc: match parameters.text(1) {
                None | Some("") => false,
                Some("UTC") => true,
                Some(_) => return None,
            },
        },
        _ => return None,
    })
}

fn integer(bits: i32, signed: bool) -> Option<DataType> {
    Some(match (bits, signed) {
        (8, true) => DataType::Int8,
        (16, true) => DataType::Int16,
        (32, true) => DataType::Int32,
        (64, true) => DataType::Int64,
        (8, false) => DataType::UInt8,
        (16, false) => DataType::UInt16,
        (32, false) => DataType::UInt32,
        (64, false) => DataType::UInt64,
        _ => return None,
    })
}
