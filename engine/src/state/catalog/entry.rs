//! Names of the entries that the catalog has in the state store.

use std::sync::Arc;

use crate::model::{
    CheckbackId, ConsumerId, ContinuousId, FunctionId, Offset, PartitionId, PluginId, TableId, TopicId,
};
use crate::state::codec::KeyBytes;

/// One entry of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Entry {
    Namespace(Arc<str>),
    Table(TableId),
    Topic(TopicId),
    Plugin(PluginId),
    Function(FunctionId),
    Consumer(ConsumerId),
    Checkback(CheckbackId),
    Continuous(ContinuousId),
    Partition(TableId, PartitionId),
    /// By first offset.
    Segment(TableId, PartitionId, Offset),
}

impl Entry {
    pub(super) fn key(&self) -> Vec<u8> {
        let key = match self {
            Entry::Namespace(name) => KeyBytes::new(b'n').text(name),
            Entry::Table(id) => KeyBytes::new(b't').u64(id.0),
            Entry::Topic(id) => KeyBytes::new(b'q').u64(id.0),
            Entry::Plugin(id) => KeyBytes::new(b'w').u64(id.0),
            Entry::Function(id) => KeyBytes::new(b'f').u64(id.0),
            Entry::Consumer(id) => KeyBytes::new(b'c').u64(id.0),
            Entry::Checkback(id) => KeyBytes::new(b'j').u64(id.0),
            Entry::Continuous(id) => KeyBytes::new(b'T').u64(id.0),
            Entry::Partition(table, partition) => KeyBytes::new(b'p').u64(table.0).u32(*partition),
            Entry::Segment(table, partition, first) => KeyBytes::new(b's').u64(table.0).u32(*partition).u64(*first),
        };
        key.done()
    }
}
