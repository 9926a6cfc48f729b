//! Bodies of answers. Apache's are written by fastjson: a map whose keys are queues has objects for keys.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::answer::{Answer, Answered};
use super::super::names::BROKER;
use super::super::wire::bodies;

/// A queue, as clients name it.
#[derive(Debug, Clone)]
pub(super) struct QueueKey<'a> {
    pub(super) topic: &'a str,
    pub(super) queue: u32,
}

impl QueueKey<'_> {
    pub(super) fn json(&self) -> Value {
        json!({ "brokerName": BROKER, "queueId": self.queue, "topic": self.topic })
    }
}

/// An answer with this body.
pub(super) fn answer(body: &Value) -> Answered {
    Ok(Answer::body(bodies::write(body)?))
}

/// An object with one map by queue and other fields.
pub(super) fn by_queue(name: &str, entries: &[(QueueKey<'_>, Value)], others: &[(&str, Value)]) -> Vec<u8> {
    let mut text = format!("{{{}:{{", Value::from(name));
    for (at, (key, value)) in entries.iter().enumerate() {
        // Writing to a String can't fail.
        let _ = write!(text, "{}{}:{value}", if at > 0 { "," } else { "" }, key.json());
    }
    text.push('}');
    for (name, value) in others {
        let _ = write!(text, ",{}:{value}", Value::from(*name));
    }
    text.push('}');
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_by_queue_are_written_as_apaches_servers_write_them() {
        let entries = [0, 1].map(|queue| (QueueKey { topic: "t\"", queue }, json!({ "maxOffset": 5 })));
        let text = by_queue("offsetTable", &entries, &[("topicPutTps", json!(0.0))]);
        assert_eq!(
            String::from_utf8(text).unwrap(),
            r#"{"offsetTable":{{"brokerName":"millstream","queueId":0,"topic":"t\""}:{"maxOffset":5},{"brokerName":"millstream","queueId":1,"topic":"t\""}:{"maxOffset":5}},"topicPutTps":0.0}"#
        );
        assert_eq!(by_queue("offsetTable", &[], &[]), br#"{"offsetTable":{}}"#);
    }
}
