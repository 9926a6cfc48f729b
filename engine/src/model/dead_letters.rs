//! Dead-letter tables: their names, their columns, and letters as rows of them.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, new_null_array};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};

use crate::model::OperatorError;
use crate::model::{
    Error, Lsn, Offset, PartitionId, PluginConsumerInfo, Principal, Result, TableId, TableInfo, TableOptions, TopicInfo,
};

/// What follows the owner's name in that of its dead-letter table.
const SUFFIX: &str = "$dead_letter";
/// The column with the topic that a consumer read; a topic's own letters have none.
const SOURCE_TOPIC: &str = "_source_topic";
/// A letter's message is cut to this many bytes.
const MAX_MESSAGE_BYTES: usize = 4_096;

/// The name of the dead-letter table of a topic or a consumer.
pub(crate) fn letters_table(owner: &str) -> String {
    format!("{owner}{SUFFIX}")
}

/// The topic or consumer whose dead-letter table would have this name.
pub(crate) fn owner_of_table(table: &str) -> Option<&str> {
    table.strip_suffix(SUFFIX).filter(|owner| !owner.is_empty())
}

/// The dead-letter table of a topic over `source`: one partition, kept as long as the source is.
pub(crate) fn letters_info(topic: &TopicInfo, source: &TableInfo) -> Result<TableInfo> {
    let columns = source.schema_of(topic.table_schema_version)?.fields();
    let said = format!("table {:?}", source.name);
    made_of((&topic.namespace, &topic.name, &topic.owner), columns, &letter_fields(), source, &said)
}

/// The dead-letter table of a consumer of `topic`, whose columns it has.
pub(crate) fn consumer_letters_info(
    consumer: &PluginConsumerInfo,
    topic: &TopicInfo,
    source: &TableInfo,
) -> Result<TableInfo> {
    let mut own = vec![Field::new(SOURCE_TOPIC, DataType::Utf8, true)];
    own.extend(letter_fields());
    let columns = topic.output_schema.fields();
    let said = format!("topic {:?}", topic.name);
    made_of((&consumer.namespace, &consumer.name, &consumer.owner), columns, &own, source, &said)
}

/// `of` is what the table belongs to, as (namespace, name, its owner); `said` is what has the columns, for the error.
fn made_of(
    of: (&str, &str, &Principal),
    columns: &Fields,
    own: &[Field],
    source: &TableInfo,
    said: &str,
) -> Result<TableInfo> {
    let mut fields: Vec<Arc<Field>> = columns.iter().map(nullable).collect();
    for field in own {
        if let Some(column) = columns.iter().find(|column| column.name() == field.name()) {
            return Err(Error::InvalidInput(format!(
                "{said} has a column {:?}, which dead letters have of their own: on_error = 'dead_letter' can't be used \
                 with it",
                column.name()
            )));
        }
        fields.push(Arc::new(field.clone()));
    }
    Ok(TableInfo {
        id: TableId(0),
        namespace: of.0.to_owned(),
        name: letters_table(of.1),
        schemas: vec![Arc::new(Schema::new(fields))],
        options: TableOptions {
            retention_ms: source.options.retention_ms,
            retention_bytes: source.options.retention_bytes,
            ..TableOptions::default()
        },
        owner: of.2.clone(),
        created: Lsn(0),
    })
}

/// Columns that a dead-letter table lacks of what it is to have. Refused where one has got another type.
pub(crate) fn missing_columns(letters: &TableInfo, wanted: &TableInfo) -> Result<Vec<Field>> {
    let has = letters.schema();
    for field in wanted.schema().fields() {
        if let Ok(kept) = has.field_with_name(field.name())
            && kept.data_type() != field.data_type()
        {
            return Err(Error::FailedPrecondition(format!(
                "column {:?} is now {}, and is {} in table {:?}, which keeps the rows at fault; keep its type, or drop \
                 what the table belongs to and create it anew",
                field.name(),
                field.data_type(),
                kept.data_type(),
                letters.name
            )));
        }
    }
    let missing = wanted.schema().fields().iter().filter(|field| has.field_with_name(field.name()).is_err());
    Ok(missing.map(|field| field.as_ref().clone()).collect())
}

/// A row at fault.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub offset: Offset,
    /// The word for what failed: that of [`OperatorError::failure`], or `given_up`.
    pub failure: &'static str,
    pub error: OperatorError,
    /// The row as it was; `None` leaves its columns null.
    pub row: Option<RecordBatch>,
}

impl Letter {
    /// Without its row, which is too large to be kept: only the place tells of it.
    pub(crate) fn bare(&self) -> Letter {
        let message = format!("{} (the row is too large to be kept here)", self.error.message);
        Letter { error: OperatorError { message, ..self.error.clone() }, row: None, ..self.clone() }
    }
}

/// Where letters come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    pub topic: &'a TopicInfo,
    pub partition: PartitionId,
    /// Whether a consumer of the topic gives the rows up, and not the topic itself.
    pub consumed: bool,
}

/// Letters of one partition as rows of the dead-letter table.
pub(crate) fn letter_rows(letters: &[Letter], origin: Origin<'_>, schema: &SchemaRef) -> Result<RecordBatch> {
    let own = letter_columns(letters, origin);
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
    if let Some(other) = parts.iter().find(|part| part.data_type() != field.data_type()) {
        return Err(Error::FailedPrecondition(format!(
            "column {:?} is now {}, and is {} in the table that keeps the rows at fault",
            field.name(),
            other.data_type(),
            field.data_type()
        )));
    }
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

fn letter_columns(letters: &[Letter], Origin { topic, partition, consumed }: Origin<'_>) -> Vec<(String, ArrayRef)> {
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
        Arc::new(StringArray::from_iter_values(letters.iter().map(|letter| letter.failure))),
        Arc::new(StringArray::from_iter_values(letters.iter().map(|letter| cut(&letter.error.message)))),
    ];
    let mut named: Vec<(String, ArrayRef)> =
        letter_fields().into_iter().map(|field| field.name().clone()).zip(columns).collect();
    if consumed {
        let topics = StringArray::from_iter_values(letters.iter().map(|_| topic.name.as_str()));
        named.push((SOURCE_TOPIC.to_owned(), Arc::new(topics)));
    }
    named
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
        assert_eq!(owner_of_table(&letters_table("late")), Some("late"));
        assert_eq!(owner_of_table("$dead_letter"), None);
        assert_eq!(owner_of_table("late"), None);
    }

    #[test]
    fn messages_are_cut_between_characters() {
        let long = "é".repeat(MAX_MESSAGE_BYTES);
        assert!(cut(&long).len() <= MAX_MESSAGE_BYTES && cut(&long).ends_with('é'));
        assert_eq!(cut("short"), "short");
    }
}
