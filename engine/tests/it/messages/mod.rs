//! Message tables.

mod checkbacks;
mod crash;
mod delays;
mod kinds;
mod lookups;
mod poppers;
mod pops;
mod retries;
mod returned;
pub(crate) mod transactions;

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, MapBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema};
use millstream_engine::{
    Append, Engine, InputColumn, MessageKind, PartitionChoice, PartitionId, Receipt, Result, TableInfo, TableOptions,
    TableSpec, message_schema,
};

use crate::fixture::who;
use crate::table::{Columns, scan};

/// A message as the tests send it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    id: Option<String>,
    group: Option<&'static str>,
    deliver_us: Option<i64>,
}

pub(crate) fn message(id: &str) -> Message {
    Message { id: Some(id.to_owned()), ..Message::default() }
}

pub(crate) fn delayed(id: &str, deliver_us: i64) -> Message {
    Message { deliver_us: Some(deliver_us), ..message(id) }
}

pub(crate) fn create(engine: &Engine, name: &str, kind: MessageKind, partitions: u32) -> Arc<TableInfo> {
    let options = TableOptions { partitions, ..TableOptions::default() };
    engine.create_table(&who(), TableSpec::of_messages("public", name, kind, options)).expect("it is created")
}

/// Some of the columns: the rest is left to the engine.
fn batch(messages: &[Message]) -> RecordBatch {
    let ids: StringArray = messages.iter().map(|message| message.id.clone()).collect();
    let tags: StringArray = messages.iter().map(|message| message.id.is_some().then_some("tagged")).collect();
    let bodies = BinaryArray::from_iter_values(messages.iter().map(|message| message.id.clone().unwrap_or_default()));
    let groups: StringArray = messages.iter().map(|message| message.group).collect();
    let times: TimestampMicrosecondArray = messages.iter().map(|message| message.deliver_us).collect();
    let mut keys = ListBuilder::new(StringBuilder::new());
    let mut properties = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for message in messages {
        let id = message.id.as_deref();
        keys.append_option(id.map(|id| [Some(id), Some("second")]));
        if let Some(id) = id {
            properties.keys().append_value("of");
            properties.values().append_value(id);
        }
        properties.append(id.is_some()).expect("as many keys as values");
    }
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("message_id", Arc::new(ids)),
        ("tag", Arc::new(tags)),
        ("body", Arc::new(bodies)),
        ("message_group", Arc::new(groups)),
        ("deliver_ts", Arc::new(times.with_timezone("UTC"))),
        ("keys", Arc::new(keys.finish())),
        ("properties", Arc::new(properties.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, name != "body")))
        .expect("a batch")
}

fn send_to(engine: &Engine, table: &TableInfo, partition: PartitionChoice, messages: &[Message]) -> Result<Receipt> {
    engine.append(&who(), Append { table: table.id, partition, batch: batch(messages) }, None)?.wait()
}

pub(crate) fn send(engine: &Engine, table: &TableInfo, messages: &[Message]) -> Result<Receipt> {
    send_to(engine, table, PartitionChoice::ByKey, messages)
}

/// A message as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Visible {
    partition: PartitionId,
    id: String,
    deliver_us: Option<i64>,
    append_us: i64,
}

/// Rows of all partitions, each partition's in order, and all that messages have.
fn rows(engine: &Engine, table: &TableInfo) -> Vec<(PartitionId, RecordBatch)> {
    let fields = message_schema().fields().len();
    let mut inputs: Vec<InputColumn> = (0..fields).map(InputColumn::Field).collect();
    inputs.push(InputColumn::AppendTs);
    let time = DataType::Timestamp(arrow_schema::TimeUnit::Microsecond, Some("UTC".into()));
    let mut columns: Vec<_> = message_schema().fields().iter().cloned().collect();
    columns.push(Arc::new(Field::new("_append_ts", time, false)));
    let operator = Columns { inputs, schema: Arc::new(Schema::new(columns)), wanted: None };
    let scanned = scan(engine, operator, table.id, None).expect("it is read");
    scanned.into_iter().map(|scanned| (scanned.partition, scanned.batch)).collect()
}

fn visible(engine: &Engine, table: &TableInfo) -> Vec<Visible> {
    let mut found = Vec::new();
    for (partition, batch) in rows(engine, table) {
        let text = |name: &str| batch.column_by_name(name).expect("a column").as_string::<i32>().clone();
        let time = |name: &str| {
            let column = batch.column_by_name(name).expect("a column");
            column.as_primitive::<TimestampMicrosecondType>().clone()
        };
        let (ids, deliver, append) = (text("message_id"), time("deliver_ts"), time("_append_ts"));
        for row in 0..batch.num_rows() {
            found.push(Visible {
                partition,
                id: ids.value(row).to_owned(),
                deliver_us: deliver.iter().nth(row).flatten(),
                append_us: append.value(row),
            });
        }
    }
    found
}

pub(crate) fn ids(engine: &Engine, table: &TableInfo) -> Vec<String> {
    visible(engine, table).into_iter().map(|message| message.id).collect()
}
