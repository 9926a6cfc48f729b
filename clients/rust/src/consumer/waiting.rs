//! What has arrived and waits for a poll, and who waits for it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::Batch;
use crate::protocol::{self, consumer_reply::Reply};
use crate::{Error, Result};

/// Shared by a consumer and the readers of its streams.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    notify: Notify,
    polled: AtomicBool,
}

impl Waiting {
    /// Completes at the next change after this call.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.notify.notified()
    }

    pub(super) fn wake(&self) {
        self.notify.notify_waiters();
    }

    pub(super) fn note_poll(&self) {
        self.polled.store(true, Ordering::Relaxed);
    }

    /// Whether there was a poll since the last call.
    pub(super) fn take_polled(&self) -> bool {
        self.polled.swap(false, Ordering::Relaxed)
    }
}

/// A batch, or only a move of the position, on its way to the caller.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) partition: u32,
    pub(super) next_offset: u64,
    pub(super) generation: u64,
    pub(super) bytes: u64,
    pub(super) batch: Option<Batch>,
}

/// The receiving side of one stream. Bounded by the credit that was given.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Taken>,
    partitions: BTreeMap<u32, protocol::PartitionState>,
    assigned: bool,
    replies: HashMap<u64, Reply>,
    /// Seeks without an answer: batches of these partitions are from before.
    seeking: HashMap<u32, u64>,
    failure: Option<Error>,
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self) -> Option<Taken> {
        self.lock().ready.pop_front()
    }

    pub(super) fn failure(&self) -> Option<Error> {
        self.lock().failure.clone()
    }

    pub(super) fn fail(&self, error: Error) {
        self.lock().failure.get_or_insert(error);
    }

    pub(super) fn partitions(&self) -> Vec<u32> {
        self.lock().partitions.keys().copied().collect()
    }

    pub(super) fn position(&self, partition: u32) -> Option<u64> {
        self.lock().partitions.get(&partition)?.position
    }

    pub(super) fn begin_seek(&self, partition: u32, request_id: u64) {
        self.lock().seeking.insert(partition, request_id);
    }

    /// The reply to a request, once it is there; the stream's failure if it never will be.
    pub(super) fn reply(&self, request_id: u64) -> Option<Result<Reply>> {
        let mut state = self.lock();
        let reply = state.replies.remove(&request_id).map(Ok);
        reply.or_else(|| state.failure.clone().map(Err))
    }

    /// Whether the first assignment has come.
    pub(super) fn ready(&self) -> Option<Result<()>> {
        let state = self.lock();
        if state.assigned { Some(Ok(())) } else { state.failure.clone().map(Err) }
    }

    /// Takes in a batch; gives the bytes to credit at once because it is not wanted.
    pub(super) fn batch(&self, taken: Taken) -> u64 {
        let mut state = self.lock();
        if state.seeking.contains_key(&taken.partition) || !state.partitions.contains_key(&taken.partition) {
            return taken.bytes;
        }
        state.ready.push_back(taken);
        0
    }

    /// Takes in any other message; gives the bytes of waiting batches that it made void.
    pub(super) fn control(&self, reply: Reply) -> u64 {
        let mut state = self.lock();
        match reply {
            Reply::Assignment(assignment) => {
                let before = std::mem::take(&mut state.partitions);
                let keep_position = |mut new: protocol::PartitionState| {
                    // Of a partition that stays, the server names the position of what it has sent already.
                    new.position = before.get(&new.partition).map_or(new.position, |old| old.position);
                    (new.partition, new)
                };
                state.partitions = assignment.partitions.into_iter().map(keep_position).collect();
                state.assigned = true;
                let owned: Vec<u32> = state.partitions.keys().copied().collect();
                state.drop_waiting(|partition| !owned.contains(&partition))
            }
            Reply::SeekAck(ack) => {
                let (partition, request) = (ack.partition, ack.request_id);
                state.replies.insert(request, Reply::SeekAck(ack));
                if state.seeking.get(&partition) == Some(&request) {
                    state.seeking.remove(&partition);
                    return state.drop_waiting(|waiting| waiting == partition);
                }
                0
            }
            Reply::CommitAck(ack) => state.keep(ack.request_id, Reply::CommitAck(ack)),
            Reply::Offsets(offsets) => state.keep(offsets.request_id, Reply::Offsets(offsets)),
            Reply::Welcome(_) | Reply::Batch(_) | Reply::HeartbeatAck(_) | Reply::End(_) => 0,
        }
    }
}

impl State {
    fn keep(&mut self, request_id: u64, reply: Reply) -> u64 {
        self.replies.insert(request_id, reply);
        0
    }

    fn drop_waiting(&mut self, unwanted: impl Fn(u32) -> bool) -> u64 {
        let freed = self.ready.iter().filter(|taken| unwanted(taken.partition)).map(|taken| taken.bytes).sum();
        self.ready.retain(|taken| !unwanted(taken.partition));
        freed
    }
}
