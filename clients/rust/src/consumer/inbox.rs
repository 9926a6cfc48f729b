//! What one stream has received and nobody has taken yet, and where its partitions stand.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use millstream_protocol::{self as protocol, consumer_reply::Reply};
use tokio::sync::oneshot;

use super::batch::Batch;
use super::partition::Held;
use crate::error::{Error, Result};

/// Why a stream has ended.
#[derive(Debug, Clone)]
pub(super) enum Ended {
    /// A new stream of the same member goes on.
    SchemaChanged,
    Failed(Error),
}

/// Something on its way to the caller.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) partition: u32,
    pub(super) next_offset: u64,
    pub(super) bytes: u64,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Rows(Batch),
    /// Only the position moves.
    Moved,
    /// The partition can't be read; the others go on.
    Failed(Error),
}

/// What is to be sent because of what was received.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    /// Credit of rows that were thrown away.
    pub(super) credit: u64,
    /// Partitions whose pause is over.
    pub(super) resume: Vec<u32>,
}

/// The receiving side of one stream. Bounded by the credit that was given.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ready: VecDeque<Taken>,
    partitions: BTreeMap<u32, Held>,
    generation: u64,
    assigned: bool,
    next_request: u64,
    asked: HashMap<u64, oneshot::Sender<Reply>>,
    /// Commits under way: (partition, next offset) of each.
    committing: HashMap<u64, Vec<(u32, u64)>>,
    /// Why an automatic commit was refused.
    refused: Option<Error>,
    ended: Option<Ended>,
}

/// A request that somebody waits for. Dropping it forgets the answer.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    inbox: &'a Inbox,
    pub(super) id: u64,
    pub(super) answer: oneshot::Receiver<Reply>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.inbox.lock().asked.remove(&self.id);
    }
}

impl Inbox {
    /// With what an earlier stream of the same member held.
    pub(super) fn new(partitions: BTreeMap<u32, Held>) -> Inbox {
        Inbox { state: Mutex::new(State { partitions, ..State::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next thing for the caller; the position is behind it then.
    pub(super) fn take(&self) -> Option<Taken> {
        let mut state = self.lock();
        let taken = state.ready.pop_front()?;
        if let Some(held) = state.partitions.get_mut(&taken.partition)
            && !matches!(taken.what, What::Failed(_))
        {
            held.position = Some(taken.next_offset);
            held.uncommitted = Some(taken.next_offset);
        }
        Some(taken)
    }

    pub(super) fn ended(&self) -> Option<Ended> {
        self.lock().ended.clone()
    }

    /// The reason for which requests of this stream get no answer.
    pub(super) fn failure(&self) -> Error {
        match self.ended() {
            Some(Ended::Failed(error)) => error,
            Some(Ended::SchemaChanged) => Error::Server {
                kind: protocol::ErrorKind::Retry,
                message: "the topic's columns changed; poll to go on".to_owned(),
            },
            None => Error::Closed,
        }
    }

    /// The stream is over. Those who wait for answers learn of it. If the member has to join again, rows that wait are thrown
    /// away: its partitions may be another's already, who commits them.
    pub(super) fn end(&self, reason: Ended) {
        let mut state = self.lock();
        if matches!(reason, Ended::Failed(_)) {
            state.ready.clear();
        }
        state.asked.clear();
        state.ended.get_or_insert(reason);
    }

    /// Whether the first assignment has come.
    pub(super) fn is_assigned(&self) -> bool {
        self.lock().assigned
    }

    /// As the server stated it last.
    pub(super) fn generation(&self) -> u64 {
        self.lock().generation
    }

    pub(super) fn partitions(&self) -> BTreeMap<u32, Held> {
        self.lock().partitions.clone()
    }

    pub(super) fn held(&self, partition: u32) -> Option<Held> {
        self.lock().partitions.get(&partition).cloned()
    }

    /// Changes what is held of a partition, if it is.
    pub(super) fn update(&self, partition: u32, change: impl FnOnce(&mut Held)) {
        if let Some(held) = self.lock().partitions.get_mut(&partition) {
            change(held);
        }
    }

    /// Takes a number for a request that will be answered.
    pub(super) fn ask(&self) -> Asked<'_> {
        let (sender, answer) = oneshot::channel();
        let mut state = self.lock();
        state.next_request += 1;
        let id = state.next_request;
        state.asked.insert(id, sender);
        Asked { inbox: self, id, answer }
    }

    /// Notes a commit that is about to be sent, and gives its number.
    pub(super) fn begin_commit(&self, entries: &[(u32, u64)]) -> u64 {
        let mut state = self.lock();
        state.next_request += 1;
        let id = state.next_request;
        state.note_commit(id, entries);
        id
    }

    /// As [`Self::begin_commit`], for a request that has its number.
    pub(super) fn note_commit(&self, id: u64, entries: &[(u32, u64)]) {
        self.lock().note_commit(id, entries);
    }

    /// Whether a commit has no answer yet.
    pub(super) fn is_committing(&self) -> bool {
        !self.lock().committing.is_empty()
    }

    /// Why an automatic commit was refused, once.
    pub(super) fn take_refused(&self) -> Option<Error> {
        self.lock().refused.take()
    }

    /// Throws away what waits of a partition and what will still come, until it is resumed; gives its credit.
    pub(super) fn pause(&self, partition: u32) -> u64 {
        let mut state = self.lock();
        let Some(held) = state.partitions.get_mut(&partition) else { return 0 };
        held.paused = true;
        let before = state.ready.len();
        let credit = state.throw_away(|waiting| waiting == partition);
        let thrown = state.ready.len() < before;
        if let Some(held) = state.partitions.get_mut(&partition) {
            held.rewind |= thrown;
        }
        credit
    }

    /// Takes in rows, a move of the position, or the failure of a partition.
    pub(super) fn receive(&self, generation: u64, first_offset: u64, taken: Taken) -> Due {
        let mut state = self.lock();
        let thrown_away = Due { credit: taken.bytes, ..Due::default() };
        let Some(held) = state.partitions.get_mut(&taken.partition) else { return thrown_away };
        if generation < held.since {
            return thrown_away;
        }
        held.position.get_or_insert(first_offset);
        if held.paused {
            held.rewind = true;
            return thrown_away;
        }
        state.ready.push_back(taken);
        Due::default()
    }

    /// Takes in any other message.
    pub(super) fn control(&self, reply: Reply) -> Due {
        let mut state = self.lock();
        match reply {
            Reply::Assignment(assignment) => state.assign(&assignment),
            Reply::SeekAck(ack) => {
                let credit = if ack.error.is_none() { state.sought(ack.partition, ack.offset) } else { 0 };
                state.answer(ack.request_id, Reply::SeekAck(ack));
                Due { credit, ..Due::default() }
            }
            Reply::CommitAck(ack) => {
                state.commit_answered(&ack);
                state.answer(ack.request_id, Reply::CommitAck(ack));
                Due::default()
            }
            Reply::Offsets(offsets) => {
                state.answer(offsets.request_id, Reply::Offsets(offsets));
                Due::default()
            }
            Reply::Welcome(_) | Reply::Batch(_) | Reply::Failed(_) | Reply::HeartbeatAck(_) | Reply::End(_) => {
                Due::default()
            }
        }
    }
}

impl State {
    fn answer(&mut self, id: u64, reply: Reply) {
        if let Some(sender) = self.asked.remove(&id) {
            // Whoever asked may be gone.
            let _ = sender.send(reply);
        }
    }

    fn assign(&mut self, assignment: &protocol::Assignment) -> Due {
        let before = std::mem::take(&mut self.partitions);
        self.generation = assignment.generation;
        self.assigned = true;
        let states = assignment.partitions.iter();
        let held = states.map(|state| {
            let kept = before.get(&state.partition).filter(|held| held.since == state.since_generation);
            (state.partition, kept.map_or_else(|| Held::new(state), |held| held.kept(state)))
        });
        self.partitions = held.collect();
        let kept = |partition: &u32| {
            let since = |held: &BTreeMap<u32, Held>| held.get(partition).map(|held| held.since);
            since(&before).is_some() && since(&before) == since(&self.partitions)
        };
        let gone: Vec<u32> = before.keys().filter(|partition| !kept(partition)).copied().collect();
        let resume = gone.iter().filter(|partition| before.get(partition).is_some_and(|held| held.paused));
        let resume = resume.copied().collect();
        Due { credit: self.throw_away(|partition| gone.contains(&partition)), resume }
    }

    /// The server goes on elsewhere: what waits of the partition is from before.
    fn sought(&mut self, partition: u32, offset: u64) -> u64 {
        if let Some(held) = self.partitions.get_mut(&partition) {
            if held.position != Some(offset) {
                held.uncommitted = None;
            }
            held.position = Some(offset);
            held.rewind = false;
        }
        self.throw_away(|waiting| waiting == partition)
    }

    fn note_commit(&mut self, id: u64, entries: &[(u32, u64)]) {
        self.committing.insert(id, entries.to_vec());
        for (partition, next) in entries {
            if let Some(held) = self.partitions.get_mut(partition) {
                held.asked = Some(*next);
            }
        }
    }

    fn commit_answered(&mut self, ack: &protocol::CommitAck) {
        let entries = self.committing.remove(&ack.request_id).unwrap_or_default();
        if let Some(error) = &ack.error {
            let error = Error::from_wire(error);
            // Fenced: the assignment that says what is still held is on its way, and the next commit takes that.
            let passing = error.is_retryable() || error.kind() == protocol::ErrorKind::Fenced;
            if !passing && !self.asked.contains_key(&ack.request_id) {
                self.refused = Some(error);
            }
            return;
        }
        for (partition, next) in entries {
            let Some(held) = self.partitions.get_mut(&partition) else { continue };
            held.committed = Some(next);
            if held.uncommitted == Some(next) {
                held.uncommitted = None;
            }
        }
    }

    fn throw_away(&mut self, unwanted: impl Fn(u32) -> bool) -> u64 {
        let freed = self.ready.iter().filter(|taken| unwanted(taken.partition)).map(|taken| taken.bytes).sum();
        self.ready.retain(|taken| !unwanted(taken.partition));
        freed
    }
}

/// What a reply of the server's says went wrong.
pub(super) fn refused(error: Option<&protocol::Error>) -> Result<()> {
    error.map_or(Ok(()), |error| Err(Error::from_wire(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting() -> Inbox {
        let inbox = Inbox::default();
        inbox.lock().ready.push_back(Taken { partition: 0, next_offset: 5, bytes: 0, what: What::Moved });
        inbox
    }

    #[test]
    fn what_waits_when_a_stream_breaks_is_not_given_out() {
        for kind in [protocol::ErrorKind::Fenced, protocol::ErrorKind::Retry, protocol::ErrorKind::Reopen] {
            let inbox = waiting();
            inbox.end(Ended::Failed(Error::Server { kind, message: "it broke".to_owned() }));
            assert!(inbox.take().is_none(), "{kind:?}");
        }
        let inbox = waiting();
        inbox.end(Ended::SchemaChanged);
        assert!(inbox.take().is_some(), "the member goes on, with what it has");
    }
}
