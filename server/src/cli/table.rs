//! Tables made from the columns of a file.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{FieldRef, Schema};
use millstream_engine::{Misfit, convert_column};
use millstream_formats::{table_type, type_name_quoting};

use super::quote;

/// `CREATE TABLE` for a file's columns: one partition, and the time column NOT NULL.
pub(crate) fn create_table(table: &str, schema: &Schema, time_column: Option<&str>) -> Result<String, String> {
    let mut columns = Vec::new();
    for field in schema.fields() {
        let data_type =
            table_type(field.data_type()).map_err(|reason| format!("column {:?}: {reason}", field.name()))?;
        let null = if time_column == Some(field.name()) { " NOT NULL" } else { "" };
        columns.push(format!("{} {}{null}", quote::name(field.name()), type_name_quoting(&data_type, &quote::name)));
    }
    let time = time_column.map_or_else(String::new, |column| format!(", time_column = {}", quote::text(column)));
    Ok(format!("CREATE TABLE {} ({}) WITH (partitions = 1{time})", quote::name(table), columns.join(", ")))
}

/// A file's columns as they are sent: encodings that tables don't hold are made plain. `before` rows of the file came before.
pub(crate) fn fitted(batch: &RecordBatch, before: usize) -> Result<RecordBatch, String> {
    let column = |(column, field): (&ArrayRef, &FieldRef)| {
        // What no table holds is for the server to refuse, which knows the column that it is meant for.
        let data_type = table_type(field.data_type()).unwrap_or_else(|_| field.data_type().clone());
        let column = convert_column(column, &data_type).map_err(|Misfit { row, reason }| {
            let row = row.map_or_else(String::new, |row| format!(" in row {}", before + row + 1));
            format!("column {:?}{row} {reason}", field.name())
        })?;
        Ok((FieldRef::new(field.as_ref().clone().with_data_type(data_type)), column))
    };
    let columns = batch.columns().iter().zip(batch.schema_ref().fields()).map(column);
    let (fields, columns): (Vec<FieldRef>, Vec<ArrayRef>) =
        columns.collect::<Result<Vec<_>, String>>()?.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field, TimeUnit};

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
