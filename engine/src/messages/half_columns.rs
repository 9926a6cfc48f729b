//! Half messages as checkback handlers read them: a row each, of flat columns.

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema};

use super::stored::{StoredMessage, decode_message, rows};
use crate::contract::{BEGUN_TS, CHECKS, PRODUCER_GROUP, PROPERTY};
use crate::model::{Error, Result};
use crate::state::HalfEntry;

/// The columns that a handler declares. `try_cast` makes null of what a type can't hold: one odd message keeps no others from
/// their answer.
pub(crate) fn half_columns(
    halves: &[&HalfEntry],
    parameters: &[(String, DataType)],
    try_cast: impl Fn(&ArrayRef, &DataType) -> Result<ArrayRef>,
) -> Result<RecordBatch> {
    let messages = halves.iter().map(|half| decode_message(&half.payload)).collect::<Result<Vec<_>>>()?;
    let batch = rows(&messages)?;
    let columns = parameters.iter().map(|(name, wanted)| {
        let found = column(name, halves, &messages, &batch)?;
        if found.data_type() == wanted {
            return Ok(found);
        }
        try_cast(&found, wanted)
            .map_err(|error| Error::InvalidInput(format!("half messages have no {name:?} of type {wanted}: {error}")))
    });
    let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
    let fields = parameters.iter().map(|(name, wanted)| Field::new(name, wanted.clone(), true));
    let options = RecordBatchOptions::new().with_row_count(Some(halves.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns, &options)
        .map_err(|error| Error::Internal(format!("half messages don't make a batch: {error}")))
}

fn column(name: &str, halves: &[&HalfEntry], messages: &[StoredMessage<'_>], batch: &RecordBatch) -> Result<ArrayRef> {
    if let Some(property) = name.strip_prefix(PROPERTY) {
        let values = messages.iter().map(|message| property_of(message, property));
        return Ok(Arc::new(StringArray::from_iter(values)));
    }
    Ok(match name {
        CHECKS => {
            let checks = halves.iter().map(|half| i32::try_from(half.checks).unwrap_or(i32::MAX));
            Arc::new(Int32Array::from_iter_values(checks))
        }
        PRODUCER_GROUP => Arc::new(StringArray::from_iter_values(halves.iter().map(|half| half.group.as_ref()))),
        BEGUN_TS => {
            let begun = TimestampMicrosecondArray::from_iter_values(halves.iter().map(|half| half.begun_us));
            Arc::new(begun.with_timezone("UTC"))
        }
        "keys" => Arc::new(StringArray::from_iter(messages.iter().map(keys))),
        "properties" => Arc::new(StringArray::from_iter(messages.iter().map(properties))),
        _ => match batch.column_by_name(name) {
            Some(found) => found.clone(),
            None => return Err(Error::InvalidInput(format!("half messages have no column {name:?}"))),
        },
    })
}

/// Parted by spaces, as clients write them.
fn keys(message: &StoredMessage<'_>) -> Option<String> {
    let keys = message.keys.as_ref()?;
    Some(keys.iter().flatten().copied().collect::<Vec<_>>().join(" "))
}

/// A JSON object.
fn properties(message: &StoredMessage<'_>) -> Option<String> {
    let properties = message.properties.as_ref()?;
    let object: serde_json::Map<String, serde_json::Value> =
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    serde_json::to_string(&object).ok()
}

fn property_of<'a>(message: &StoredMessage<'a>, name: &str) -> Option<&'a str> {
    message.properties.iter().flatten().find(|(found, _)| *found == name).and_then(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int32Type, Int64Type};
    use arrow_cast::cast;

    use super::*;
    use crate::contract::half_column;
    use crate::model::message_schema;

    fn half(body: &[u8], amount: Option<&str>, checks: u32) -> HalfEntry {
        let message = StoredMessage {
            partition: 0,
            message_id: Some("m"),
            tag: None,
            keys: Some(vec![Some("a"), Some("b")]),
            properties: Some(vec![("amount", amount), ("say", Some("\"hi\""))]),
            body,
            message_group: None,
            born_us: Some(1),
            born_host: None,
            flags: None,
            attempts: None,
            deliver_us: None,
        };
        let payload = postcard::to_extend(&message, vec![1]).unwrap().into();
        HalfEntry { group: "shop".into(), payload, begun_us: 7, checks, check_us: Some(9) }
    }

    fn read(halves: &[&HalfEntry], parameters: &[(String, DataType)]) -> Result<RecordBatch> {
        half_columns(halves, parameters, |values, to| {
            cast(values, to).map_err(|error| Error::InvalidInput(error.to_string()))
        })
    }

    #[test]
    fn columns_are_flat_and_what_does_not_fit_is_null() {
        let halves = [half(b"text", Some("120"), 0), half(&[0xff], Some("much"), 3), half(b"", None, 0)];
        let wanted = [
            ("keys", DataType::Utf8),
            ("properties", DataType::Utf8),
            ("body", DataType::Utf8),
            ("property.amount", DataType::Int64),
            ("_checks", DataType::Int32),
            ("_producer_group", DataType::Utf8),
            ("_begun_ts", half_column("_begun_ts").unwrap()),
            ("tag", DataType::Utf8),
        ];
        let parameters: Vec<_> = wanted.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect();
        let batch = read(&halves.iter().collect::<Vec<_>>(), &parameters).unwrap();
        let texts = |at: usize| batch.column(at).as_string::<i32>().iter().collect::<Vec<_>>();
        assert_eq!(texts(0), [Some("a b"); 3]);
        assert_eq!(texts(1)[0], Some(r#"{"amount":"120","say":"\"hi\""}"#));
        assert_eq!(texts(1)[2], Some(r#"{"amount":null,"say":"\"hi\""}"#));
        assert_eq!(texts(2), [Some("text"), None, Some("")]);
        let amounts = batch.column(3).as_primitive::<Int64Type>();
        assert_eq!(amounts.iter().collect::<Vec<_>>(), [Some(120), None, None]);
        assert_eq!(batch.column(4).as_primitive::<Int32Type>().values(), &[0, 3, 0]);
        assert_eq!(texts(5), [Some("shop"); 3]);
        assert_eq!(batch.column(7).null_count(), 3);
        assert!(read(&[], &parameters).unwrap().num_rows() == 0);
        // Every column of a message can be read as the type that is told.
        for field in message_schema().fields() {
            let of = half_column(field.name()).unwrap();
            let batch = read(&[&halves[0]], &[(field.name().clone(), of.clone())]).unwrap();
            assert_eq!(batch.column(0).data_type(), &of, "{}", field.name());
        }
        assert!(half_column("nothing").is_none());
    }
}
