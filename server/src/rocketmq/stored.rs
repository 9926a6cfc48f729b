//! Rows with the columns of a message table as stored messages.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use arrow::array::{
    Array, AsArray, BinaryArray, Int32Array, ListArray, MapArray, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use bytes::Bytes;

use super::answer::Refusal;
use super::names::CLUSTER;
use super::rows::NewMessage;
use super::wire::codes;
use super::wire::message::StoredMessage;
use super::wire::properties::{FIRST_POP_TIME, KEYS, POP_RECEIPT, PropertiesText, SHARDING_KEY, TAGS, UNIQUE_KEY};

/// What Apache's broker adds to each message: clients put them into their traces.
pub(super) const ADDED: [(&str, &str); 3] =
    [("MSG_REGION", "DefaultRegion"), ("TRACE_ON", "true"), ("CLUSTER", CLUSTER)];

/// What a message takes beside its texts and its body.
const OTHER_BYTES: usize = 512;

/// Columns of a batch that a [`super::scan::MessageScan`] has read.
#[derive(Debug)]
pub(super) struct MessageRows<'a> {
    message_id: &'a StringArray,
    tag: &'a StringArray,
    keys: &'a ListArray,
    properties: &'a MapArray,
    body: &'a BinaryArray,
    group: &'a StringArray,
    born: &'a TimestampMicrosecondArray,
    born_host: &'a StringArray,
    flags: &'a Int32Array,
    attempts: &'a Int32Array,
    deliver: &'a TimestampMicrosecondArray,
    append: &'a TimestampMicrosecondArray,
}

/// Where a message lies, and how that is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) topic: &'a str,
    pub(super) queue: u32,
    pub(super) offset: u64,
    pub(super) physical: u64,
    pub(super) store_host: SocketAddr,
}

impl<'a> MessageRows<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Result<MessageRows<'a>, Refusal> {
        let [message_id, tag, keys, properties, body, group, born, born_host, flags, attempts, deliver, append] =
            batch.columns()
        else {
            return Err(Refusal::new(codes::SYSTEM_ERROR, "the table's columns are not those of messages"));
        };
        let columns = (|| {
            Some(MessageRows {
                message_id: message_id.as_string_opt()?,
                tag: tag.as_string_opt()?,
                keys: keys.as_list_opt()?,
                properties: properties.as_map_opt()?,
                body: body.as_binary_opt()?,
                group: group.as_string_opt()?,
                born: born.as_primitive_opt::<TimestampMicrosecondType>()?,
                born_host: born_host.as_string_opt()?,
                flags: flags.as_primitive_opt::<Int32Type>()?,
                attempts: attempts.as_primitive_opt::<Int32Type>()?,
                deliver: deliver.as_primitive_opt::<TimestampMicrosecondType>()?,
                append: append.as_primitive_opt::<TimestampMicrosecondType>()?,
            })
        })();
        columns.ok_or_else(|| {
            Refusal::new(codes::SYSTEM_ERROR, "the types of the table's columns are not those of messages")
        })
    }

    pub(super) fn message_id(&self, row: usize) -> Option<&'a str> {
        text(self.message_id, row)
    }

    pub(super) fn group(&self, row: usize) -> Option<&'a str> {
        text(self.group, row)
    }

    pub(super) fn body(&self, row: usize) -> &'a [u8] {
        self.body.value(row)
    }

    pub(super) fn tag(&self, row: usize) -> Option<&'a str> {
        text(self.tag, row)
    }

    pub(super) fn attempts(&self, row: usize) -> i32 {
        if self.attempts.is_valid(row) { self.attempts.value(row) } else { 0 }
    }

    /// In ms since the Unix epoch.
    pub(super) fn stored_ms(&self, row: usize) -> i64 {
        self.append.value(row).div_euclid(1_000)
    }

    /// When it was to be delivered.
    pub(super) fn deliver_ms(&self, row: usize) -> Option<i64> {
        self.deliver.is_valid(row).then(|| self.deliver.value(row).div_euclid(1_000))
    }

    pub(super) fn born_ms(&self, row: usize) -> Option<i64> {
        self.born.is_valid(row).then(|| self.born.value(row).div_euclid(1_000))
    }

    pub(super) fn born_host_text(&self, row: usize) -> Option<&'a str> {
        text(self.born_host, row)
    }

    fn born_host(&self, row: usize) -> Option<SocketAddr> {
        self.born_host_text(row)?.parse().ok()
    }

    /// Those that have no column of their own.
    pub(super) fn other_properties(&self, row: usize) -> impl Iterator<Item = (&'a str, &'a str)> {
        properties_of(self.properties, row)
    }

    pub(super) fn keys(&self, row: usize) -> impl Iterator<Item = &'a str> {
        keys_of(self.keys, row)
    }

    /// About what a row takes with all that is said of it.
    pub(super) fn bytes(&self, row: usize) -> usize {
        let others = self.other_properties(row).map(|(name, value)| name.len() + value.len() + 8);
        let texts = [self.message_id(row), self.tag(row), self.group(row)].into_iter().flatten().map(str::len);
        let keys = self.keys(row).map(|key| key.len() + 2).sum::<usize>();
        OTHER_BYTES + self.body(row).len() + keys + others.sum::<usize>() + texts.sum::<usize>()
    }

    /// All properties of a row, as one text.
    pub(super) fn properties(&self, row: usize) -> PropertiesText {
        let mut all = PropertiesText::default();
        if let Some(id) = text(self.message_id, row) {
            all.put(UNIQUE_KEY, id);
        }
        let is_added =
            |name: &str| [POP_RECEIPT, FIRST_POP_TIME].contains(&name) || ADDED.iter().any(|(added, _)| *added == name);
        self.other_properties(row).filter(|(name, _)| !is_added(name)).for_each(|(name, value)| all.put(name, value));
        if let Some(group) = text(self.group, row) {
            all.put(SHARDING_KEY, group);
        }
        let mut keys = self.keys(row).peekable();
        if keys.peek().is_some() {
            all.put_words(KEYS, keys);
        }
        if let Some(tag) = self.tag(row) {
            all.put(TAGS, tag);
        }
        ADDED.iter().for_each(|(name, value)| all.put(name, value));
        all
    }

    /// A row as clients read it. `properties` are [`Self::properties`].
    pub(super) fn message<'m>(
        &'m self,
        row: usize,
        place: Place<'m>,
        properties: &'m PropertiesText,
    ) -> StoredMessage<'m> {
        let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        StoredMessage {
            topic: place.topic,
            queue: i32::try_from(place.queue).unwrap_or(i32::MAX),
            queue_offset: number(place.offset),
            physical_offset: number(place.physical),
            flag: if self.flags.is_valid(row) { self.flags.value(row) } else { 0 },
            born_ms: self.born_ms(row).unwrap_or_else(|| self.stored_ms(row)),
            born_host: self.born_host(row).unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
            stored_ms: self.stored_ms(row),
            store_host: place.store_host,
            reconsume_times: self.attempts(row),
            body: self.body.value(row),
            properties: properties.as_str(),
        }
    }

    /// A row as a new message, which it is to become.
    pub(super) fn copied(&self, row: usize) -> NewMessage {
        let others = self.other_properties(row);
        NewMessage {
            message_id: text(self.message_id, row).map(str::to_owned),
            tag: self.tag(row).map(str::to_owned),
            keys: self.keys(row).map(str::to_owned).collect(),
            group: text(self.group, row).map(str::to_owned),
            properties: others.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            body: Bytes::copy_from_slice(self.body.value(row)),
            born_ms: self.born_ms(row),
            born_host: self.born_host(row),
            flag: if self.flags.is_valid(row) { self.flags.value(row) } else { 0 },
            attempts: self.attempts(row),
            deliver_ms: None,
        }
    }
}

/// Texts of a row; a map of others has none.
pub(super) fn properties_of(column: &MapArray, row: usize) -> impl Iterator<Item = (&str, &str)> {
    let pairs = column.keys().as_string_opt::<i32>().zip(column.values().as_string_opt::<i32>());
    let range = if column.is_null(row) { 0..0 } else { places(column.value_offsets(), row) };
    pairs
        .into_iter()
        .flat_map(move |(names, values)| range.clone().map(move |at| (names.value(at), text(values, at).unwrap_or(""))))
}

/// The same of a list.
pub(super) fn keys_of(column: &ListArray, row: usize) -> impl Iterator<Item = &str> {
    let keys = column.values().as_string_opt::<i32>();
    let range = if column.is_null(row) { 0..0 } else { places(column.value_offsets(), row) };
    keys.into_iter().flat_map(move |keys| range.clone().filter_map(move |at| text(keys, at)))
}

/// Where the values of a row lie.
fn places(offsets: &[i32], row: usize) -> Range<usize> {
    let place = |at: usize| offsets.get(at).and_then(|offset| usize::try_from(*offset).ok()).unwrap_or(0);
    place(row)..place(row + 1)
}

fn text(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}
