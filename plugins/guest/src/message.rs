//! What goes back to the host: IPC messages of columns, and of their schema.

use crate::builder::Column;
use crate::flat_writer::{Pending, Slot, Writer};
use crate::{DataType, TimeUnit};

/// `MetadataVersion::V5`.
const VERSION: i16 = 4;
const HEADER_SCHEMA: u8 = 1;
const HEADER_RECORD_BATCH: u8 = 3;
const CONTINUATION: [u8; 4] = [0xff; 4];
/// The body and every buffer in it begin at multiples of this, so that the host need not copy them again.
const ALIGNMENT: usize = 64;

/// A record-batch message of columns that have `rows` rows each.
pub(crate) fn record_batch(columns: &[Column], rows: usize) -> Vec<u8> {
    let buffers: Vec<&[u8]> = columns.iter().flat_map(Column::buffers).collect();
    let mut body = 0;
    let places: Vec<(i64, i64)> = buffers
        .iter()
        .map(|buffer| {
            let place = (long(body), long(buffer.len()));
            body += buffer.len().next_multiple_of(ALIGNMENT);
            place
        })
        .collect();
    let (mut writer, [header]) =
        Writer::new(&[Slot::I16(VERSION), Slot::U8(HEADER_RECORD_BATCH), Slot::Offset, Slot::I64(long(body))]);
    let [nodes, places_at] = writer.table(header, &[Slot::I64(long(rows)), Slot::Offset, Slot::Offset]);
    writer.pairs(nodes, columns.iter().map(|column| (long(rows), long(column.null_count()))));
    writer.pairs(places_at, places.into_iter());
    let mut message = framed(writer.finish(), body);
    for buffer in buffers {
        message.extend_from_slice(buffer);
        message.resize(message.len().next_multiple_of(ALIGNMENT), 0);
    }
    message
}

/// A schema message; every column may hold nulls.
pub(crate) fn schema(columns: &[(String, DataType)]) -> Vec<u8> {
    let (mut writer, [header]) =
        Writer::new(&[Slot::I16(VERSION), Slot::U8(HEADER_SCHEMA), Slot::Offset, Slot::I64(0)]);
    let [fields] = writer.table(header, &[Slot::Absent, Slot::Offset]);
    let fields = writer.tables(fields, columns.len());
    for (at, (name, data_type)) in fields.into_iter().zip(columns) {
        let kind = type_number(*data_type);
        let [name_at, type_at] = writer.table(at, &[Slot::Offset, Slot::U8(1), Slot::U8(kind), Slot::Offset]);
        writer.text(name_at, name);
        write_type(&mut writer, type_at, *data_type);
    }
    framed(writer.finish(), 0)
}

/// The marker and the metadata, padded so that what follows is aligned.
fn framed(metadata: Vec<u8>, body: usize) -> Vec<u8> {
    let length = (8 + metadata.len()).next_multiple_of(ALIGNMENT) - 8;
    let mut message = Vec::with_capacity(8 + length + body);
    message.extend(CONTINUATION);
    message.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    message.extend(metadata);
    message.resize(8 + length, 0);
    message
}

/// The number of a type's table in Arrow's `Type`.
fn type_number(data_type: DataType) -> u8 {
    match data_type {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => 2,
        DataType::Float32 | DataType::Float64 => 3,
        DataType::Binary => 4,
        DataType::Utf8 => 5,
        DataType::Boolean => 6,
        DataType::Decimal128 { .. } => 7,
        DataType::Date32 => 8,
        DataType::Timestamp { .. } => 10,
    }
}

fn write_type(writer: &mut Writer, at: Pending, data_type: DataType) {
    let integer = |bits: i32, signed: bool| [Slot::I32(bits), Slot::U8(u8::from(signed))];
    let [] = match data_type {
        DataType::Boolean | DataType::Utf8 | DataType::Binary => writer.table(at, &[]),
        DataType::Int8 => writer.table(at, &integer(8, true)),
        DataType::Int16 => writer.table(at, &integer(16, true)),
        DataType::Int32 => writer.table(at, &integer(32, true)),
        DataType::Int64 => writer.table(at, &integer(64, true)),
        DataType::UInt8 => writer.table(at, &integer(8, false)),
        DataType::UInt16 => writer.table(at, &integer(16, false)),
        DataType::UInt32 => writer.table(at, &integer(32, false)),
        DataType::UInt64 => writer.table(at, &integer(64, false)),
        DataType::Float32 => writer.table(at, &[Slot::I16(1)]),
        DataType::Float64 => writer.table(at, &[Slot::I16(2)]),
        DataType::Date32 => writer.table(at, &[Slot::I16(0)]),
        DataType::Decimal128 { precision, scale } => {
            writer.table(at, &[Slot::I32(precision.into()), Slot::I32(scale.into()), Slot::I32(128)])
        }
        DataType::Timestamp { unit, utc } => {
            let unit = Slot::I16(match unit {
                TimeUnit::Second => 0,
                TimeUnit::Millisecond => 1,
                TimeUnit::Microsecond => 2,
                TimeUnit::Nanosecond => 3,
            });
            if utc {
                let [zone] = writer.table(at, &[unit, Slot::Offset]);
                writer.text(zone, "UTC");
                return;
            }
            writer.table(at, &[unit])
        }
    };
}

fn long(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
