//! Tables made from the columns of a file.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::error::ArrowError;

use super::quote;

/// `CREATE TABLE` for a file's columns: one partition, and the time column NOT NULL.
pub(crate) fn create_table(table: &str, schema: &Schema, time_column: Option<&str>) -> Result<String, String> {
    let mut columns = Vec::new();
    for field in schema.fields() {
        let data_type = stored_type(field.data_type()).and_then(|data_type| sql_type(&data_type)).ok_or_else(|| {
            format!("column {:?} has type {}, which no table can hold", field.name(), field.data_type())
        })?;
        let null = if time_column == Some(field.name()) { " NOT NULL" } else { "" };
        columns.push(format!("{} {data_type}{null}", quote::name(field.name())));
    }
    let time = time_column.map_or_else(String::new, |column| format!(", time_column = {}", quote::text(column)));
    Ok(format!("CREATE TABLE {} ({}) WITH (partitions = 1{time})", quote::name(table), columns.join(", ")))
}

/// The columns of a file as they are sent: encodings that tables don't hold are made plain.
pub(crate) fn writable_schema(schema: &SchemaRef) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| {
            let data_type = stored_type(field.data_type()).unwrap_or_else(|| field.data_type().clone());
            field.as_ref().clone().with_data_type(data_type)
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// A batch with the columns of [`writable_schema`].
pub(crate) fn fitted(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| arrow::compute::cast(column, field.data_type()))
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(Arc::clone(schema), columns)
}

/// The stored type that takes values of a type of Arrow's; `None` if none does.
fn stored_type(data_type: &DataType) -> Option<DataType> {
    Some(match data_type {
        DataType::Null | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Dictionary(_, values) => stored_type(values)?,
        DataType::RunEndEncoded(_, values) => stored_type(values.data_type())?,
        DataType::Date64 => DataType::Date32,
        DataType::Float16 => DataType::Float32,
        DataType::Timestamp(unit, zone) => DataType::Timestamp(*unit, zone.as_ref().map(|_| "UTC".into())),
        DataType::LargeList(item) | DataType::FixedSizeList(item, _) | DataType::List(item) => {
            let data_type = stored_type(item.data_type())?;
            DataType::List(Arc::new(item.as_ref().clone().with_data_type(data_type)))
        }
        other => other.clone(),
    })
}

fn sql_type(data_type: &DataType) -> Option<String> {
    Some(match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 => "TINYINT".to_owned(),
        DataType::Int16 => "SMALLINT".to_owned(),
        DataType::Int32 => "INT".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::UInt8 => "TINYINT UNSIGNED".to_owned(),
        DataType::UInt16 => "SMALLINT UNSIGNED".to_owned(),
        DataType::UInt32 => "INT UNSIGNED".to_owned(),
        DataType::UInt64 => "BIGINT UNSIGNED".to_owned(),
        DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Utf8 => "VARCHAR".to_owned(),
        DataType::Binary => "BYTEA".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Timestamp(unit, zone) => {
            let digits = match unit {
                TimeUnit::Second => 0,
                TimeUnit::Millisecond => 3,
                TimeUnit::Microsecond => 6,
                TimeUnit::Nanosecond => 9,
            };
            format!("TIMESTAMP({digits}){}", if zone.is_some() { " WITH TIME ZONE" } else { "" })
        }
        DataType::List(item) => format!("ARRAY<{}>", sql_type(item.data_type())?),
        DataType::Struct(fields) => {
            let fields = fields
                .iter()
                .map(|field| Some(format!("{} {}", quote::name(field.name()), sql_type(field.data_type())?)))
                .collect::<Option<Vec<_>>>()?;
            format!("STRUCT<{}>", fields.join(", "))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => {
                let mut types = pair.iter().map(|field| sql_type(field.data_type()));
                format!("MAP({}, {})", types.next()??, types.next()??)
            }
            _ => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_made_of_columns() {
        let schema = Schema::new(vec![
            Field::new("ts", DataType::Timestamp(TimeUnit::Millisecond, Some("+00:00".into())), true),
            Field::new("Tail \"no\"", DataType::LargeUtf8, true),
            Field::new("n", DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Int64)), true),
        ]);
        assert_eq!(
            create_table("flights", &schema, Some("ts")).unwrap(),
            "CREATE TABLE \"flights\" (\"ts\" TIMESTAMP(3) WITH TIME ZONE NOT NULL, \"Tail \"\"no\"\"\" VARCHAR, \"n\" BIGINT) \
             WITH (partitions = 1, time_column = 'ts')"
        );
        let odd = Schema::new(vec![Field::new("d", DataType::Duration(TimeUnit::Second), true)]);
        assert!(create_table("t", &odd, None).unwrap_err().contains("\"d\""));
    }
}
