//! A cluster's messages as rows of a message table.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::super::rows::{self, NewMessage};
use super::super::wire::found::FoundMessage;
use super::super::wire::properties::SHARDING_KEY;

/// Rows for a table of this kind, in the order of the messages. What they are said to be beyond the kind is kept among their
/// properties.
pub(crate) fn rows(messages: Vec<FoundMessage>, kind: &str) -> Result<RecordBatch, ArrowError> {
    let keeps_groups = matches!(kind, "any" | "ordered");
    let is_delayed = kind == "delayed";
    let messages = messages.into_iter().map(|found| {
        let message = NewMessage::with_properties(found.properties);
        let (group, other) = match message.group {
            Some(group) if !keeps_groups => (None, Some(group)),
            group => (group, None),
        };
        let mut message = NewMessage {
            group,
            body: found.body,
            born_ms: Some(found.born_ms),
            born_host: Some(found.born_host),
            flag: found.flag,
            attempts: found.reconsume_times,
            // It has been delivered there, and so is at once.
            deliver_ms: is_delayed.then_some(found.stored_ms),
            ..message
        };
        if let Some(group) = other {
            message.set(SHARDING_KEY, group);
        }
        message
    });
    rows::batch(&messages.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use arrow::array::Array;
    use bytes::Bytes;

    use super::*;

    #[test]
    fn what_a_kind_does_not_take_becomes_a_property() {
        let message = || FoundMessage {
            queue_offset: 0,
            flag: 0,
            born_ms: 1_700_000_000_000,
            born_host: "10.0.0.7:4321".parse().unwrap(),
            stored_ms: 1_700_000_000_001,
            reconsume_times: 0,
            body: Bytes::from_static(b"hello"),
            properties: vec![(SHARDING_KEY.to_owned(), "g".to_owned())],
        };
        for (kind, has_group, has_time) in
            [("any", true, false), ("ordered", true, false), ("normal", false, false), ("delayed", false, true)]
        {
            let rows = rows(vec![message()], kind).unwrap();
            let column = |name: &str| rows.column_by_name(name).unwrap();
            assert_eq!(column("message_group").is_valid(0), has_group, "{kind}");
            assert_eq!(column("deliver_ts").is_valid(0), has_time, "{kind}");
            let properties = format!("{:?}", column("properties").slice(0, 1));
            assert_eq!(properties.contains(SHARDING_KEY), !has_group, "{kind}");
        }
    }
}
