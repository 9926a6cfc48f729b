//! What a checkpoint has to write.

use std::collections::HashSet;
use std::sync::Arc;

use crate::record::GroupKey;
use crate::{ConsumerId, FunctionId, Offset, PartitionId, PluginId, TableId, TopicId};

/// One entry of the state store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Key {
    Namespace(Arc<str>),
    Table(TableId),
    Topic(TopicId),
    Plugin(PluginId),
    Function(FunctionId),
    Consumer(ConsumerId),
    /// One key of a consumer's state.
    Kept(ConsumerId, PartitionId, Arc<[u8]>),
    Partition(TableId, PartitionId),
    /// By first offset.
    Segment(TableId, PartitionId, Offset),
    Group(Arc<str>, Arc<str>),
    Committed(GroupKey, TopicId, PartitionId),
    Producer(TableId, u128),
    Letters(TopicId, PartitionId),
    /// By the segment's id.
    Unlisted(u64),
}

/// Entries that differ from the last checkpoint.
pub(super) type Dirty = HashSet<Key>;
