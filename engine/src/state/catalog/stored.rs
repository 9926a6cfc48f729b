//! Definitions, partitions and segments in the state store.

use std::sync::Arc;

use arrow_schema::Schema;
use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::{Catalog, segments};
use crate::contract::{CheckbackInfo, FunctionInfo, PluginInfo};
use crate::model::{
    ContinuousInfo, Lsn, NamespaceLimits, Offset, PluginConsumerInfo, Result, TableId, TableInfo, TopicInfo,
};
use crate::state::codec;
use crate::state::codec::KeyParts;
use crate::state::partition::PartitionState;
use crate::state::stored::{Entries, Stored};

/// A table; of its schemas only the newest, because each older one is a beginning of it.
#[derive(Debug, Serialize, Deserialize)]
struct StoredTable {
    info: TableInfo,
    /// Columns of each schema version, oldest first.
    columns: Vec<usize>,
}

impl StoredTable {
    fn of(info: &TableInfo) -> StoredTable {
        let columns = info.schemas.iter().map(|schema| schema.fields().len()).collect();
        let newest = info.schemas.last().cloned().into_iter().collect();
        StoredTable { info: TableInfo { schemas: newest, ..info.clone() }, columns }
    }

    fn restore(mut self) -> Result<TableInfo, String> {
        let newest = self.info.schemas.pop().ok_or("it has no schema")?;
        let older = |columns: &usize| {
            let fields = newest.fields().get(..*columns)?;
            Some(Arc::new(Schema::new_with_metadata(fields.to_vec(), newest.metadata().clone())))
        };
        let (newest_columns, older_columns) = self.columns.split_last().ok_or("it has no schema version")?;
        if *newest_columns != newest.fields().len() {
            return Err("its schema has another number of columns".to_owned());
        }
        let schemas = older_columns.iter().map(older).collect::<Option<Vec<_>>>();
        self.info.schemas = schemas.ok_or("a schema version has more columns than the newest")?;
        self.info.schemas.push(newest);
        Ok(self.info)
    }
}

/// A partition without its segments, which have entries of their own.
#[derive(Debug, Serialize, Deserialize)]
struct StoredPartition {
    start: Offset,
    end: Offset,
    segments_version: u64,
    segmented_to: Offset,
    log_bytes: u64,
    oldest_unsegmented_append_us: Option<i64>,
    oldest_unsegmented_lsn: Option<Lsn>,
}

impl StoredPartition {
    fn of(partition: &PartitionState) -> StoredPartition {
        StoredPartition {
            start: partition.start,
            end: partition.end,
            segments_version: partition.segments_version,
            segmented_to: partition.segmented_to,
            log_bytes: partition.log_bytes,
            oldest_unsegmented_append_us: partition.oldest_unsegmented_append_us,
            oldest_unsegmented_lsn: partition.oldest_unsegmented_lsn,
        }
    }

    /// Puts the fields back; segments are left as they are.
    fn restore(self, partition: &mut PartitionState) {
        partition.start = self.start;
        partition.end = self.end;
        partition.segments_version = self.segments_version;
        partition.segmented_to = self.segmented_to;
        partition.log_bytes = self.log_bytes;
        partition.oldest_unsegmented_append_us = self.oldest_unsegmented_append_us;
        partition.oldest_unsegmented_lsn = self.oldest_unsegmented_lsn;
    }
}

impl Catalog {
    /// The entry's value now; `None` deletes it.
    fn value(&self, entry: &Entry) -> Result<Option<Vec<u8>>> {
        match entry {
            Entry::Namespace(name) => self
                .has_namespace(name)
                .then(|| codec::json(&Some(self.limits_of_namespace(name)).filter(|limits| !limits.is_empty())))
                .transpose(),
            Entry::Table(id) => self.table(*id).map(|info| codec::json(&StoredTable::of(info))).transpose(),
            Entry::Topic(id) => self.topic(*id).map(|info| codec::json(info.as_ref())).transpose(),
            Entry::Plugin(id) => self.plugin(*id).map(|info| codec::json(info.as_ref())).transpose(),
            Entry::Function(id) => self.function(*id).map(|info| codec::json(info.as_ref())).transpose(),
            Entry::Consumer(id) => self.consumer(*id).map(|info| codec::json(info.as_ref())).transpose(),
            Entry::Checkback(id) => self.checkback(*id).map(|info| codec::json(info.as_ref())).transpose(),
            Entry::Continuous(id) => self.continuous(*id).map(|info| codec::json(info.as_ref())).transpose(),
            Entry::Partition(table, partition) => {
                let found = self.partition(*table, *partition);
                found.map(|found| codec::postcard(&StoredPartition::of(found))).transpose()
            }
            Entry::Segment(table, partition, first) => {
                let found = self.partition(*table, *partition);
                let segment = found.and_then(|found| found.segments.get(first));
                segment.map(|segment| segments::encode(segment)).transpose()
            }
        }
    }
}

impl Stored for Catalog {
    fn tags(&self) -> &'static [&'static [u8]] {
        &[b"n", b"t", b"w", b"f", b"q", b"c", b"j", b"T", b"p", b"s"]
    }

    fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        let mut parts = KeyParts::of(key);
        match key.first() {
            Some(b'n') => {
                let (name, limits) = (parts.text()?, codec::from_json::<Option<NamespaceLimits>>(value)?);
                self.put_namespace(&name, limits.unwrap_or_default());
            }
            Some(b't') => self.put_table(codec::from_json::<StoredTable>(value)?.restore()?.into()),
            Some(b'q') => self.put_topic(codec::from_json::<TopicInfo>(value)?.into()),
            Some(b'w') => self.put_plugin(codec::from_json::<PluginInfo>(value)?.into()),
            Some(b'f') => self.put_function(codec::from_json::<FunctionInfo>(value)?.into()),
            Some(b'c') => self.put_consumer(codec::from_json::<PluginConsumerInfo>(value)?.into()),
            Some(b'j') => self.put_checkback(codec::from_json::<CheckbackInfo>(value)?.into()),
            Some(b'T') => self.put_continuous(codec::from_json::<ContinuousInfo>(value)?.into()),
            Some(b'p') => {
                let stored: StoredPartition = codec::from_postcard(value)?;
                let (table, partition) = (parts.u64()?, parts.u32()?);
                parts.end()?;
                stored.restore(self.partition_mut(TableId(table), partition).ok_or("its table is missing")?);
            }
            _ => {
                let segment = segments::decode(value)?;
                let (table, partition, _) = (parts.u64()?, parts.u32()?, parts.u64()?);
                parts.end()?;
                let partition = self.partition_mut(TableId(table), partition).ok_or("its table is missing")?;
                partition.restore_segment(segment);
            }
        }
        Ok(())
    }

    fn begin_checkpoint(&mut self) {
        self.unwritten.begin();
    }

    fn write(&self, entries: &mut Entries<'_>) -> Result<()> {
        self.unwritten.writing().try_for_each(|entry| {
            entries(entry.key(), self.value(entry)?);
            Ok(())
        })
    }

    fn end_checkpoint(&mut self, written: bool) {
        self.unwritten.end(written);
    }
}
