//! Dead-letter tables: their names, their columns, and letters as rows of them.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use crate::{Error, Lsn, Offset, OperatorError, PartitionId, Result, TableId, TableInfo, TableOptions, TopicInfo};

/// What follows a topic's name in that of its dead-letter table.
const SUFFIX: &str = "$dead_letter";
/// A letter's message is cut to this many bytes.
const MAX_MESSAGE_BYTES: usize = 4_096;

/// The name of a topic's dead-letter table.
pub(crate) fn letters_table(topic: &str) -> String {
    format!("{topic}{SUFFIX}")
}

/// The topic whose dead-letter table would have this name.
pub(crate) fn topic_of_letters(table: &str) -> Option<&str> {
    table.strip_suffix(SUFFIX).filter(|topic| !topic.is_empty())
}

/// The dead-letter table of a topic over `source`: one partition, kept as long as the source is.
pub(crate) fn letters_info(topic: &TopicInfo, source: &TableInfo) -> Result<TableInfo> {
    let columns = source.schema_of(topic.table_schema_version)?.fields();
    let mut fields: Vec<Arc<Field>> = columns.iter().map(nullable).collect();
    for field in letter_fields() {
        if let Some(column) = columns.iter().find(|column| column.name() == field.name()) {
            return Err(Error::InvalidInput(format!(
                "table {:?} has a column {:?}, which dead letters have of their own: on_error = 'dead_letter' can't be \
                 used with it",
                source.name,
                column.name()
            )));
        }
        fields.push(Arc::new(field));
    }
    Ok(TableInfo {
        id: TableId(0),
        namespace: topic.namespace.clone(),
        name: letters_table(&topic.name),
        schemas: vec![Arc::new(Schema::new(fields))],
        options: TableOptions {
            retention_ms: source.options.retention_ms,
            retention_bytes: source.options.retention_bytes,
            ..TableOptions::default()
        },
        created: Lsn(0),
    })
}

/// Columns that the dead-letter table lacks once the topic has gone on to a newer schema of its source.
pub(crate) fn missing_columns(letters: &TableInfo, topic: &TopicInfo, source: &TableInfo) -> Result<Vec<Field>> {
    let wanted = letters_info(topic, source)?;
    let has = letters.schema();
    let missing = wanted.schema().fields().iter().filter(|field| has.field_with_name(field.name()).is_err());
    Ok(missing.map(|field| field.as_ref().clone()).collect())
}

/// A row at fault.
#[derive(Debug)]
pub(crate) struct Letter {
    pub offset: Offset,
    pub error: OperatorError,
    /// The source's row; `None` leaves its columns null.
    pub row: Option<RecordBatch>,
}

/// Letters of one partition as rows of the dead-letter table.
pub(crate) fn letter_rows(
    letters: &[Letter],
    topic: &TopicInfo,
    partition: PartitionId,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let own = letter_columns(letters, topic, partition);
    let columns = schema.fields().iter().map(|field| match own.iter().find(|(name, _)| name == field.name()) {
        Some((_, column)) => Ok(column.clone()),
        None => source_column(letters, field),
    });
    RecordBatch::try_new(schema.clone(), columns.collect::<Result<Vec<_>>>()?).map_err(|error| unmade(&error))
}

fn source_column(letters: &[Letter], field: &Field) -> Result<ArrayRef> {
    let of = |letter: &Letter| letter.row.as_ref().and_then(|row| row.column_by_name(field.name()).cloned());
    let parts: Vec<ArrayRef> =
        letters.iter().map(|letter| of(letter).unwrap_or_else(|| new_null_array(field.data_type(), 1))).collect();
    let parts: Vec<&dyn arrow_array::Array> = parts.iter().map(AsRef::as_ref).collect();
    arrow_select::concat::concat(&parts).map_err(|error| unmade(&error))
}

fn unmade(error: &arrow_schema::ArrowError) -> Error {
    Error::Internal(format!("dead letters could not be made of their rows: {error}"))
}

fn letter_fields() -> [Field; 7] {
    [
        Field::new("_source_partition", DataType::Int32, true),
        Field::new("_source_offset", DataType::Int64, true),
        Field::new("_topic_version", DataType::Int32, true),
        Field::new("_plugin", DataType::Utf8, true),
        Field::new("_plugin_version", DataType::Int32, true),
        Field::new("_failure", DataType::Utf8, true),
        Field::new("_message", DataType::Utf8, true),
    ]
}

fn letter_columns(letters: &[Letter], topic: &TopicInfo, partition: PartitionId) -> Vec<(String, ArrayRef)> {
    let int = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let plugin = |letter: &Letter| letter.error.plugin.clone();
    let columns: [ArrayRef; 7] = [
        Arc::new(Int32Array::from_iter_values(letters.iter().map(|_| int(partition)))),
        Arc::new(Int64Array::from_iter_values(
            letters.iter().map(|letter| i64::try_from(letter.offset).unwrap_or(i64::MAX)),
        )),
        Arc::new(Int32Array::from_iter_values(letters.iter().map(|_| int(topic.version)))),
        Arc::new(
            letters.iter().map(|letter| plugin(letter).map(|plugin| plugin.name.clone())).collect::<StringArray>(),
        ),
        Arc::new(letters.iter().map(|letter| plugin(letter).map(|plugin| int(plugin.version))).collect::<Int32Array>()),
        Arc::new(StringArray::from_iter_values(letters.iter().map(|letter| letter.error.failure()))),
        Arc::new(StringArray::from_iter_values(letters.iter().map(|letter| cut(&letter.error.message)))),
    ];
    letter_fields().into_iter().map(|field| field.name().clone()).zip(columns).collect()
}

fn nullable(field: &Arc<Field>) -> Arc<Field> {
    if field.is_nullable() { field.clone() } else { Arc::new(field.as_ref().clone().with_nullable(true)) }
}

fn cut(message: &str) -> &str {
    &message[..message.floor_char_boundary(MAX_MESSAGE_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        assert_eq!(topic_of_letters(&letters_table("late")), Some("late"));
        assert_eq!(topic_of_letters("$dead_letter"), None);
        assert_eq!(topic_of_letters("late"), None);
    }

    #[test]
    fn messages_are_cut_between_characters() {
        let long = "é".repeat(MAX_MESSAGE_BYTES);
        assert!(cut(&long).len() <= MAX_MESSAGE_BYTES && cut(&long).ends_with('é'));
        assert_eq!(cut("short"), "short");
    }
}
