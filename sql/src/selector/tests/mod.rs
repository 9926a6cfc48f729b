//! What is common to the tests.

mod meaning;
mod mutated;
mod plugins;
mod refused;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ListBuilder, MapBuilder, MapFieldNames, RecordBatch, StringArray, StringBuilder, new_null_array,
};
use arrow::datatypes::DataType;
use millstream_engine::{TopicPlugins, message_schema};

use super::columns::{MessageProperty, PropertyNames};
use super::{Filters, MessageFilter, Selection};

const NAMES: PropertyNames = &[
    ("TAGS", MessageProperty::Tag),
    ("KEYS", MessageProperty::Keys),
    ("UNIQ_KEY", MessageProperty::MessageId),
    ("REGION", MessageProperty::Is("here")),
];

/// Rows whose properties are these; `TAGS` and `KEYS` go into their columns.
fn batch(rows: &[&[(&str, &str)]]) -> RecordBatch {
    let names = MapFieldNames { entry: "entries".to_owned(), key: "key".to_owned(), value: "value".to_owned() };
    let mut properties = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    let mut keys = ListBuilder::new(StringBuilder::new());
    let mut tags: Vec<Option<&str>> = Vec::new();
    for row in rows {
        for (name, value) in row.iter().filter(|(name, _)| !matches!(*name, "TAGS" | "KEYS")) {
            properties.keys().append_value(name);
            properties.values().append_value(value);
        }
        properties.append(true).unwrap();
        let value = |wanted: &str| row.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        tags.push(value("TAGS"));
        value("KEYS").into_iter().flat_map(|keys| keys.split(' ')).for_each(|key| keys.values().append_value(key));
        keys.append(value("KEYS").is_some());
    }
    let (properties, keys): (ArrayRef, ArrayRef) = (Arc::new(properties.finish()), Arc::new(keys.finish()));
    let schema = message_schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "tag" => Arc::new(StringArray::from(tags.clone())) as ArrayRef,
        "properties" => arrow::compute::cast(&properties, field.data_type()).unwrap(),
        "keys" => arrow::compute::cast(&keys, field.data_type()).unwrap(),
        "body" => {
            let bodies = rows.iter().map(|row| row.first().map_or("", |(_, value)| *value));
            arrow::compute::cast(&StringArray::from_iter_values(bodies), &DataType::Binary).unwrap()
        }
        _ => new_null_array(field.data_type(), rows.len()),
    });
    let fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns.collect()).unwrap()
}

fn compiled(expression: &str) -> crate::Result<Arc<MessageFilter>> {
    Filters::default().get("n", expression, NAMES, &TopicPlugins::default())
}

fn selected(expression: &str, rows: &[&[(&str, &str)]]) -> Selection {
    compiled(expression).unwrap_or_else(|error| panic!("{expression}: {error}")).select(&batch(rows)).unwrap()
}

/// `Some` of whether it passes; `None` where the expression fails on the message.
fn answer(expression: &str, row: &[(&str, &str)]) -> Option<bool> {
    let selection = selected(expression, &[row]);
    selection.failed.is_none().then_some(!selection.passing.is_empty())
}

const YES: Option<bool> = Some(true);
const NO: Option<bool> = Some(false);
const FAILS: Option<bool> = None;
