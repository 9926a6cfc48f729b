//! What users define: namespaces, tables, columns, topics.

use std::collections::HashMap;

use arrow::datatypes::Schema;
use datafusion::common::ScalarValue;
use millstream_engine::{ContinuousInfo, Durability, MessageKind, TopicInfo, TopicSource};

use super::data::Kind::{Flag, Number, Text};
use super::data::{Columns, Rows, flag, number, number_or_null, text, text_or_null};
use crate::Result;
use crate::listing::on_error;
use crate::query::{Reader, permitted};
use crate::types::to_sql;

pub(super) const TABLES: Columns = &[
    ("namespace", Text),
    ("name", Text),
    ("table_id", Number),
    ("partitions", Number),
    ("time_column", Text),
    ("partition_key", Text),
    ("retention_ms", Number),
    ("retention_bytes", Number),
    ("durability", Text),
    ("schema_version", Number),
    ("rows", Number),
    ("owner", Text),
    ("messages", Text),
    ("delayed_messages", Number),
];

pub(super) fn tables(reader: &Reader) -> Result<Rows> {
    let mut rows = Rows::new();
    let delayed: HashMap<_, _> = reader.engine.delayed_counts(&reader.who)?.into_iter().collect();
    for table in reader.engine.tables(&reader.who)? {
        let offsets = permitted(reader.engine.table_offsets(&reader.who, table.id))?;
        let retained =
            offsets.map(|offsets| offsets.iter().map(|(start, end)| end.saturating_sub(*start)).sum::<u64>());
        let options = &table.options;
        rows.push(vec![
            text(&table.namespace),
            text(&table.name),
            number(table.id.0),
            number(options.partitions),
            text_or_null(options.time_column.as_deref()),
            text_or_null((!options.partition_key.is_empty()).then(|| options.partition_key.join(", "))),
            number_or_null(options.retention_ms),
            number_or_null(options.retention_bytes),
            text(match options.durability {
                Durability::Sync => "sync",
                Durability::Os => "os",
            }),
            number(table.schema_version()),
            number_or_null(retained),
            text(table.owner.name()),
            text_or_null(options.messages.map(MessageKind::name)),
            number_or_null(options.messages.map(|_| delayed.get(&table.id).copied().unwrap_or(0))),
        ]);
    }
    Ok(rows)
}

pub(super) const COLUMNS: Columns = &[
    ("namespace", Text),
    ("relation", Text),
    ("kind", Text),
    ("ordinal", Number),
    ("column_name", Text),
    ("data_type", Text),
    ("nullable", Flag),
];

pub(super) fn columns(reader: &Reader) -> Result<Rows> {
    let mut rows = Rows::new();
    let mut add = |namespace: &str, relation: &str, kind: &str, schema: &Schema| {
        for (ordinal, field) in (1_i64..).zip(schema.fields()) {
            rows.push(vec![
                text(namespace),
                text(relation),
                text(kind),
                number(ordinal),
                text(field.name()),
                text(to_sql(field.data_type())),
                flag(field.is_nullable()),
            ]);
        }
    };
    for table in reader.engine.tables(&reader.who)? {
        add(&table.namespace, &table.name, "table", table.schema());
    }
    for topic in reader.engine.topics(&reader.who)? {
        add(&topic.namespace, &topic.name, "topic", &topic.output_schema);
    }
    for table in &super::TABLES {
        add(crate::names::SYSTEM, table.name, "system", &table.schema());
    }
    Ok(rows)
}

fn of_windows(reader: &Reader, topic: &TopicInfo, info: &ContinuousInfo) -> Result<Vec<ScalarValue>> {
    let source = match info.sources.first() {
        Some(source) => permitted(reader.engine.table_by_id(&reader.who, *source))?,
        None => None,
    };
    Ok(vec![
        text(&topic.namespace),
        text(&topic.name),
        number(topic.id.0),
        text_or_null(source.as_ref().map(|table| table.name.clone())),
        number(info.source_versions.first().copied().unwrap_or_default()),
        number(info.version),
        text(on_error(topic.on_error)),
        number(info.plugins.len()),
        text_or_null(source.map(|_| info.definition.as_str())),
        text(topic.owner.name()),
    ])
}

pub(super) const TOPICS: Columns = &[
    ("namespace", Text),
    ("name", Text),
    ("topic_id", Number),
    ("table_name", Text),
    ("table_schema_version", Number),
    ("version", Number),
    ("on_error", Text),
    ("plugins", Number),
    ("definition", Text),
    ("owner", Text),
];

pub(super) fn topics(reader: &Reader) -> Result<Rows> {
    let mut rows = Rows::new();
    for topic in reader.engine.topics(&reader.who)? {
        // A topic shares rows, and not that there is a table.
        let table = permitted(reader.engine.table_by_id(&reader.who, topic.table))?;
        let (definition, plugins) = match &topic.source {
            TopicSource::Identity => (None, 0),
            TopicSource::Select { definition, plugins, .. } => (Some(definition.as_str()), plugins.len()),
        };
        let definition = definition.filter(|_| table.is_some());
        rows.push(vec![
            text(&topic.namespace),
            text(&topic.name),
            number(topic.id.0),
            text_or_null(table.map(|table| table.name.clone())),
            number(topic.table_schema_version),
            number(topic.version),
            text(on_error(topic.on_error)),
            number(plugins),
            text_or_null(definition),
            text(topic.owner.name()),
        ]);
    }
    // A topic over windows has its rows in a table of its own, with the identity topic of it.
    for status in reader.engine.continuous_topics(&reader.who)? {
        let info = &status.info;
        if let Some(topic) = permitted(reader.engine.topic(&reader.who, &info.namespace, &info.name))? {
            rows.push(of_windows(reader, &topic, info)?);
        }
    }
    Ok(rows)
}
