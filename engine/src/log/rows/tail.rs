//! The newest frames, in memory, shared by every reader.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::entry::PartitionKey;
use super::frame::Frame;
use crate::model::Offset;

/// Frames in the order of their commits, at most `limit` bytes of them: the oldest go first, whatever their partition.
#[derive(Debug)]
pub(super) struct Tail {
    limit: u64,
    bytes: AtomicU64,
    held: RwLock<HeldFrames>,
}

#[derive(Debug, Default)]
struct HeldFrames {
    partitions: HashMap<PartitionKey, VecDeque<Arc<Frame>>>,
    order: VecDeque<(PartitionKey, u64)>,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Tail {
        Tail { limit: limit as u64, bytes: AtomicU64::new(0), held: RwLock::default() }
    }

    /// Memory of the frames held.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Adds the frames of one commit, in order. The newest frame stays even if it alone is over the limit.
    pub(super) fn push(&self, frames: impl IntoIterator<Item = Arc<Frame>>) {
        let mut evicted = Vec::new();
        let mut held = self.held.write();
        for frame in frames {
            let (key, size) = ((frame.table, frame.partition), frame.memory_bytes());
            held.order.push_back((key, size));
            held.partitions.entry(key).or_default().push_back(frame);
            self.bytes.fetch_add(size, Ordering::Relaxed);
        }
        while self.bytes() > self.limit && held.order.len() > 1 {
            let Some((key, size)) = held.order.pop_front() else { break };
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            if let Some(frames) = held.partitions.get_mut(&key) {
                evicted.extend(frames.pop_front());
                if frames.is_empty() {
                    held.partitions.remove(&key);
                }
            }
        }
        // Large buffers are freed outside the lock.
        drop(held);
        drop(evicted);
    }

    /// The frame that holds an offset.
    pub(super) fn find(&self, key: PartitionKey, offset: Offset) -> Option<Arc<Frame>> {
        let held = self.held.read();
        let frames = held.partitions.get(&key)?;
        let after = frames.partition_point(|frame| frame.base_offset <= offset);
        frames.get(after.checked_sub(1)?).filter(|frame| offset < frame.next_offset()).cloned()
    }
}
