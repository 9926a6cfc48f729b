//! Times in 96 bits, days and nanoseconds of a day, as Spark and Impala write them. They reach beyond what 64 bits of
//! nanoseconds hold, and Spark's are never finer than microseconds. Which unit takes all values of a column shows only when
//! they are looked at.

use std::fs::File;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{Int96, Int96Type};
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::{Error, Result};

/// Of a time stamp's epoch, counted as these files count days.
const EPOCH_DAY: i128 = 2_440_588;
const NANOSECONDS_PER_DAY: i128 = 86_400_000_000_000;
/// Values looked at together.
const CHUNK: usize = 8192;

/// The columns with the units that take all values; `None` if the file has no such times, or nanoseconds, as which they are
/// read, do.
pub(super) fn schema(file: &File, metadata: &ArrowReaderMetadata) -> Result<Option<SchemaRef>> {
    let leaves = metadata.metadata().file_metadata().schema_descr().columns();
    let mut units: Vec<Option<TimeUnit>> = vec![None; leaves.len()];
    if leaves.iter().all(|leaf| leaf.physical_type() != Type::INT96) {
        return Ok(None);
    }
    let reader = SerializedFileReader::new(file.try_clone()?).map_err(Error::invalid)?;
    for (index, (leaf, unit)) in leaves.iter().zip(&mut units).enumerate() {
        if leaf.physical_type() == Type::INT96 {
            let found = values(&reader, index)?.unit();
            *unit =
                Some(found.map_err(|reason| Error::Invalid(format!("column {:?} {reason}", leaf.path().string())))?);
        }
    }
    let mut units = units.into_iter();
    let fields: Vec<FieldRef> = metadata.schema().fields().iter().map(|field| renewed(field, &mut units)).collect();
    Ok(Some(Arc::new(Schema::new_with_metadata(fields, metadata.schema().metadata().clone()))))
}

/// What a column's values need.
#[derive(Debug, Default)]
struct Seen {
    fine: bool,
    beyond_nanoseconds: bool,
    beyond_microseconds: bool,
}

impl Seen {
    fn see(&mut self, value: &Int96) {
        let [low, high, day] = [0, 1, 2].map(|index| value.data().get(index).copied().unwrap_or(0));
        let nanoseconds = i128::from(u64::from(high) << 32 | u64::from(low));
        let all = (i128::from(day.cast_signed()) - EPOCH_DAY) * NANOSECONDS_PER_DAY + nanoseconds;
        self.fine |= all % 1_000 != 0;
        self.beyond_nanoseconds |= i64::try_from(all).is_err();
        self.beyond_microseconds |= i64::try_from(all.div_euclid(1_000)).is_err();
    }

    fn unit(&self) -> Result<TimeUnit, &'static str> {
        match self {
            Seen { beyond_nanoseconds: false, .. } => Ok(TimeUnit::Nanosecond),
            Seen { fine: false, beyond_microseconds: false, .. } => Ok(TimeUnit::Microsecond),
            Seen { fine: true, .. } => {
                Err("has times beyond 1677 to 2262 and times finer than microseconds; no type takes both")
            }
            _ => Err("has times beyond what microseconds hold"),
        }
    }
}

fn values(reader: &SerializedFileReader<File>, column: usize) -> Result<Seen> {
    let mut seen = Seen::default();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).map_err(Error::invalid)?;
        if let ColumnReader::Int96ColumnReader(reader) = group.get_column_reader(column).map_err(Error::invalid)? {
            see_all(reader, &mut seen)?;
        }
    }
    Ok(seen)
}

fn see_all(mut reader: ColumnReaderImpl<Int96Type>, seen: &mut Seen) -> Result<()> {
    let (mut values, mut definitions, mut repetitions) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        values.clear();
        definitions.clear();
        repetitions.clear();
        let read = reader.read_records(CHUNK, Some(&mut definitions), Some(&mut repetitions), &mut values);
        let (records, _, _) = read.map_err(Error::invalid)?;
        values.iter().for_each(|value| seen.see(value));
        if records == 0 {
            return Ok(());
        }
    }
}

/// The field with the units of its leaves, which come in the file's order.
fn renewed(field: &FieldRef, units: &mut impl Iterator<Item = Option<TimeUnit>>) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| renewed(field, units)).collect::<Vec<_>>().into())
        }
        DataType::List(item) => DataType::List(renewed(item, units)),
        DataType::LargeList(item) => DataType::LargeList(renewed(item, units)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(renewed(item, units), *size),
        DataType::Map(entries, sorted) => DataType::Map(renewed(entries, units), *sorted),
        leaf => match units.next().flatten() {
            Some(unit) => DataType::Timestamp(unit, None),
            None => leaf.clone(),
        },
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{TimestampMicrosecondType, TimestampNanosecondType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    use super::super::ParquetFile;
    use super::*;

    /// A file with one column of nanoseconds since 1970.
    fn file(nanoseconds: &[Option<i128>]) -> File {
        let file = tempfile::tempfile().unwrap();
        let schema = Arc::new(parse_message_type("message m { OPTIONAL INT96 at; }").unwrap());
        let properties = Arc::new(WriterProperties::builder().build());
        let mut writer = SerializedFileWriter::new(file.try_clone().unwrap(), schema, properties).unwrap();
        let values: Vec<Int96> = nanoseconds
            .iter()
            .flatten()
            .map(|all| {
                let day = u32::try_from(all.div_euclid(NANOSECONDS_PER_DAY) + EPOCH_DAY).unwrap();
                let of_day = u64::try_from(all.rem_euclid(NANOSECONDS_PER_DAY)).unwrap();
                let mut value = Int96::new();
                value.set_data(of_day as u32, (of_day >> 32) as u32, day);
                value
            })
            .collect();
        let levels: Vec<i16> = nanoseconds.iter().map(|value| value.is_some().into()).collect();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int96Type>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        file
    }

    #[test]
    fn times_keep_their_instants_near_and_far() {
        let year_9999 = 253_402_300_799_999_999_000i128;
        let read = ParquetFile::open(file(&[Some(year_9999), None, Some(-62_135_596_800_000_000_000)])).unwrap();
        let batch = read.batches(None).unwrap().next().unwrap().unwrap();
        let column = batch.column(0).as_primitive::<TimestampMicrosecondType>();
        assert_eq!(
            column.iter().collect::<Vec<_>>(),
            [Some(253_402_300_799_999_999), None, Some(-62_135_596_800_000_000)]
        );
        let read = ParquetFile::open(file(&[Some(1), None])).unwrap();
        let batch = read.batches(None).unwrap().next().unwrap().unwrap();
        assert_eq!(batch.column(0).as_primitive::<TimestampNanosecondType>().value(0), 1);
        let both = ParquetFile::open(file(&[Some(year_9999), Some(1)])).unwrap_err().to_string();
        assert!(both.starts_with("column \"at\" has times beyond"), "{both}");
    }
}
