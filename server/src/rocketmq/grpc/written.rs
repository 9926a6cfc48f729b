//! Rows of messages as clients over gRPC read them.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use md5::{Digest as _, Md5};

use super::properties::{self, TRACE_CONTEXT};
use super::proto::{Digest, DigestType, Encoding, Message, MessageType, Resource, SystemProperties};
use super::times::timestamp;
use crate::hex;
use crate::rocketmq::stored::MessageRows;
use crate::rocketmq::wire::properties::TRANSACTION;

/// Where a message lies, and what it was handed out with.
#[derive(Debug, Clone)]
pub(super) struct Place<'a> {
    pub(super) topic: &'a Resource,
    pub(super) queue: u32,
    /// `None` of a half message, which has none yet.
    pub(super) offset: Option<u64>,
    pub(super) store_host: &'a str,
    pub(super) handed: Option<Handed>,
}

/// How a message was handed out.
#[derive(Debug, Clone)]
pub(super) struct Handed {
    pub(super) receipt: String,
    pub(super) invisible: Duration,
    /// This time included.
    pub(super) attempts: u32,
}

pub(super) fn message(rows: &MessageRows<'_>, row: usize, place: Place<'_>) -> Message {
    let body = rows.body(row);
    let (mut user_properties, mut trace_context, mut is_half) = (BTreeMap::new(), None, false);
    for (name, value) in rows.other_properties(row) {
        match name {
            TRACE_CONTEXT => trace_context = Some(value.to_owned()),
            TRANSACTION => is_half = value == "true",
            name if properties::is_ours(name) => {}
            name => drop(user_properties.insert(name.to_owned(), value.to_owned())),
        }
    }
    let (group, deliver_ms) = (rows.group(row), rows.deliver_ms(row));
    let message_type = match (is_half, deliver_ms, group) {
        (true, _, _) => MessageType::Transaction,
        (false, Some(_), _) => MessageType::Delay,
        (false, None, Some(_)) => MessageType::Fifo,
        (false, None, None) => MessageType::Normal,
    };
    let again = u32::try_from(rows.attempts(row)).unwrap_or(0);
    let attempts = place.handed.as_ref().map(|handed| handed.attempts.saturating_add(again));
    let system_properties = SystemProperties {
        tag: rows.tag(row).map(str::to_owned),
        keys: rows.keys(row).map(str::to_owned).collect(),
        message_id: rows.message_id(row).unwrap_or_default().to_owned(),
        body_digest: Some(Digest { r#type: DigestType::Md5.into(), checksum: md5(body) }),
        body_encoding: Encoding::Identity.into(),
        message_type: message_type.into(),
        born_timestamp: Some(timestamp(rows.born_ms(row).unwrap_or_else(|| rows.stored_ms(row)))),
        born_host: rows.born_host_text(row).unwrap_or_default().to_owned(),
        store_timestamp: Some(timestamp(rows.stored_ms(row))),
        store_host: place.store_host.to_owned(),
        delivery_timestamp: deliver_ms.map(timestamp),
        receipt_handle: place.handed.as_ref().map(|handed| handed.receipt.clone()),
        queue_id: i32::try_from(place.queue).unwrap_or(i32::MAX),
        queue_offset: place.offset.map(|offset| i64::try_from(offset).unwrap_or(i64::MAX)),
        invisible_duration: place.handed.as_ref().and_then(|handed| handed.invisible.try_into().ok()),
        delivery_attempt: attempts.map(|attempts| i32::try_from(attempts).unwrap_or(i32::MAX)),
        message_group: group.map(str::to_owned),
        trace_context,
        ..SystemProperties::default()
    };
    Message {
        topic: Some(place.topic.clone()),
        user_properties,
        system_properties: Some(system_properties),
        body: Bytes::copy_from_slice(body),
    }
}

/// As clients write it to compare it, in upper-case digits.
fn md5(body: &[u8]) -> String {
    hex::write(&Md5::digest(body)).to_ascii_uppercase()
}
