//! Rows of messages as clients over HTTP read them.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use millstream_engine::{Assignment, Popped, TableInfo};

use super::fault::Done;
use super::xml::{Writer, is_writable};
use crate::hex;
use crate::rocketmq::physical::physical_offsets;
use crate::rocketmq::pop::Handle;
use crate::rocketmq::stored::MessageRows;
use crate::rocketmq::tables::{Tables, topic_of};
use crate::rocketmq::wire::message_id;
use crate::rocketmq::wire::properties::{KEYS, SHARDING_KEY};

/// Says of a body that XML can't hold how it was written.
const ENCODING: &str = "MILLSTREAM_BODY_ENCODING";

/// Messages that were handed out; those in order by their places.
pub(super) fn messages(
    (tables, table): (&Tables, &TableInfo),
    store_host: SocketAddr,
    in_order: bool,
    popped: &[Popped],
) -> Done<String> {
    let mut parts: Vec<&Popped> = popped.iter().collect();
    if in_order {
        parts.sort_by_key(|part| (part.partition, part.first));
    }
    let mut xml = Writer::begin("Messages");
    for part in parts {
        let rows = MessageRows::of(&part.rows)?;
        let queue = Assignment { topic: topic_of(table), partition: part.partition };
        let physical = physical_offsets(tables, queue, &part.offsets)?;
        for (row, (offset, physical)) in part.offsets.iter().zip(physical).enumerate() {
            let (body, encoding) = body(rows.body(row));
            let again = u32::try_from(rows.attempts(row)).unwrap_or(0);
            let invisible_ms = part.visible_us.saturating_sub(part.handed_us).div_euclid(1_000);
            let receipt = Handle { receipt: part.receipt(*offset), invisible_ms }.write();
            // A message that came another way may have none.
            let id = rows.message_id(row).filter(|id| !id.is_empty()).map(str::to_owned);
            let id = id.unwrap_or_else(|| message_id::write(store_host, i64::try_from(physical).unwrap_or(i64::MAX)));
            xml.open("Message").text("MessageId", &id).text("MessageBodyMD5", &md5(body.as_bytes()));
            xml.text("MessageBody", &body).text("ReceiptHandle", &receipt);
            xml.text("PublishTime", &rows.stored_ms(row).to_string());
            xml.text("FirstConsumeTime", &part.begun_us.div_euclid(1_000).to_string());
            xml.text("NextConsumeTime", &part.visible_us.div_euclid(1_000).to_string());
            xml.text("ConsumedTimes", &part.attempts.saturating_add(again).to_string());
            if let Some(tag) = rows.tag(row).filter(|tag| !tag.is_empty()) {
                xml.text("MessageTag", tag);
            }
            let properties = properties(&rows, row, encoding);
            if !properties.is_empty() {
                xml.text("Properties", &properties);
            }
            xml.close("Message");
        }
    }
    Ok(xml.end())
}

/// A body as text, and what was made of one that is none.
fn body(body: &[u8]) -> (std::borrow::Cow<'_, str>, Option<&'static str>) {
    match std::str::from_utf8(body) {
        Ok(text) if is_writable(text) => (text.into(), None),
        _ => (BASE64_STANDARD.encode(body).into(), Some("base64")),
    }
}

/// `name:value|`, for each. Those that would read as others, for what they have in them, are left out.
fn properties(rows: &MessageRows<'_>, row: usize, encoding: Option<&str>) -> String {
    let keys = rows.keys(row).collect::<Vec<_>>().join(" ");
    let own = [(KEYS, Some(keys.as_str())), (SHARDING_KEY, rows.group(row)), (ENCODING, encoding)];
    let own = own.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let all = rows.other_properties(row).filter(|(name, _)| *name != ENCODING).chain(own);
    let fits = |text: &str| !text.is_empty() && !text.contains([':', '|']) && is_writable(text);
    let all = all.filter(|(name, value)| fits(name) && fits(value));
    all.map(|(name, value)| format!("{name}:{value}|")).collect()
}

/// As clients write it to compare it, in upper-case digits.
pub(super) fn md5(body: &[u8]) -> String {
    hex::write(&Md5::digest(body)).to_ascii_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_texts_or_say_that_they_are_none() {
        assert_eq!(body("é <b>\n".as_bytes()), ("é <b>\n".into(), None));
        assert_eq!(body(b"a\0b"), ("YQBi".into(), Some("base64")));
        assert_eq!(body(&[0xff, 0xfe]), ("//4=".into(), Some("base64")));
        assert_eq!(body(b""), ("".into(), None));
        assert_eq!(md5(b"a"), "0CC175B9C0F1B6A831C399E269772661");
    }
}
