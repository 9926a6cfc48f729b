//! Members of clients that have no connection of their own: SQL's `poll()` and `COMMIT OFFSETS`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::core::Core;
use super::join::name_of;
use super::poll::{Poll, Progress};
use super::{Coordinator, commit};
use crate::front::Shared;
use crate::model::Principal;
use crate::model::{Assignment, ConsumerConfig, Delivery, Error, GroupMode, Offset, PartitionId, Result, TopicId};
use crate::state::GroupKey;

/// Bytes of one poll, however many rows are asked for: all of them are in memory at once.
const POLL_BYTES: usize = 32 << 20;

/// By namespace, group and client id; each until its session times out.
#[derive(Debug, Default)]
pub(super) struct NamedMembers {
    members: Mutex<HashMap<GroupKey, Arc<Named>>>,
}

#[derive(Debug)]
struct Named {
    core: Arc<Core>,
    handed: Mutex<Handed>,
}

/// What was handed out and not committed yet.
#[derive(Debug, Default)]
struct Handed {
    generation: u64,
    next: BTreeMap<Assignment, Offset>,
}

impl NamedMembers {
    pub(super) fn forget(&self, core: &Core) {
        let mut members = self.members.lock();
        let key = key_of(&core.config.namespace, &core.config.group_id, &core.config.client_id);
        if members.get(&key).is_some_and(|named| named.core.number == core.number) {
            members.remove(&key);
        }
    }

    fn get(&self, key: &GroupKey) -> Option<Arc<Named>> {
        self.members.lock().get(key).cloned()
    }
}

/// One `poll()` under way. Between its steps whoever polls waits without a thread.
#[derive(Debug)]
pub struct NamedPoll {
    shared: Arc<Shared>,
    named: Arc<Named>,
    poll: Poll,
}

/// What a poll waits for.
#[derive(Debug)]
pub struct PollWait {
    changes: watch::Receiver<u64>,
    seen: u64,
    /// The next step is due after this, whatever changes.
    pub longest: Duration,
}

impl PollWait {
    /// Completes when there may be rows, or the member has come to its end, which the next step says.
    pub async fn changed(&mut self) {
        let seen = self.seen;
        // An error means that the member has gone.
        drop(self.changes.wait_for(|changes| *changes != seen).await);
    }
}

impl NamedPoll {
    /// Takes the rows that are there. Blocks on disks and plugins, but does not wait for rows to come: `Some` says what
    /// the next step is due after, `None` that it is time to [`Self::finish`].
    pub fn step(&mut self) -> Option<PollWait> {
        match self.poll.step() {
            Progress::Done => None,
            Progress::Waits { seen, nap } => {
                Some(PollWait { changes: self.named.core.wake.subscribe(), seen, longest: nap })
            }
        }
    }

    /// Gives the rows taken; they are what the client's next commit is of.
    pub fn finish(self) -> Result<Vec<Delivery>> {
        let NamedPoll { shared, named, poll } = self;
        let deliveries = poll.finish()?;
        let generation = named.core.acknowledged(&shared)?;
        let mut handed = named.handed.lock();
        if handed.generation != generation {
            // Partitions may have gone and come back since: only what is read under this assignment counts.
            handed.generation = generation;
            let kept = named.core.positions()?;
            handed.next.retain(|at, next| kept.get(at).is_some_and(|position| position >= next));
        }
        for delivery in &deliveries {
            let at = Assignment { topic: delivery.topic, partition: delivery.partition };
            handed.next.insert(at, delivery.next_offset);
        }
        Ok(deliveries)
    }

    /// Steps and waits to its end on this thread.
    pub(crate) fn run(mut self) -> Result<Vec<Delivery>> {
        while let Progress::Waits { seen, nap } = self.poll.step() {
            self.named.core.wake.wait(seen, nap);
        }
        self.finish()
    }
}

impl Coordinator {
    /// Begins a poll of a named member, which joins if it is not there.
    pub(crate) fn poll_named(
        &self,
        shared: &Arc<Shared>,
        who: &Principal,
        config: ConsumerConfig,
        topic: &str,
        max_rows: usize,
        wait: Duration,
    ) -> Result<NamedPoll> {
        if max_rows == 0 {
            return Err(Error::InvalidInput("poll() must be asked for one row at least".to_owned()));
        }
        let config = ConsumerConfig { enable_auto_commit: false, ..config };
        let (named, topic) = self.named_member(shared, who, config, topic)?;
        let poll = Poll::begin(shared, &named.core, Some(topic), max_rows, POLL_BYTES, wait)?;
        Ok(NamedPoll { shared: shared.clone(), named, poll })
    }

    /// Commits what the named member was last handed of a topic.
    pub(crate) fn commit_polled(
        &self,
        shared: &Shared,
        namespace: &str,
        topic: &str,
        group: &str,
        client_id: &str,
    ) -> Result<Vec<(PartitionId, Offset)>> {
        self.check_open()?;
        let topic = find_topic(shared, namespace, topic)?;
        self.tick(shared);
        let named = self.named.get(&key_of(namespace, group, client_id)).ok_or_else(|| {
            Error::Fenced(format!(
                "client {client_id:?} has not polled as a member of group {group:?}, or its session has timed out; rows it \
                 was handed will be handed out again"
            ))
        })?;
        let (generation, entries) = {
            let handed = named.handed.lock();
            let of_topic = handed.next.iter().filter(|(at, _)| at.topic == topic);
            (handed.generation, of_topic.map(|(at, next)| (*at, *next)).collect::<Vec<_>>())
        };
        commit::commit(shared, &named.core, Some(generation), &entries)?.wait()?.wait()?;
        let mut handed = named.handed.lock();
        for entry in &entries {
            if handed.next.get(&entry.0) == Some(&entry.1) {
                handed.next.remove(&entry.0);
            }
        }
        Ok(entries.into_iter().map(|(at, next)| (at.partition, next)).collect())
    }

    fn named_member(
        &self,
        shared: &Shared,
        who: &Principal,
        config: ConsumerConfig,
        topic: &str,
    ) -> Result<(Arc<Named>, TopicId)> {
        self.check_open()?;
        self.tick(shared);
        let id = find_topic(shared, &config.namespace, topic)?;
        let key = key_of(&config.namespace, &config.group_id, &config.client_id);
        if let Some(named) = self.named.get(&key) {
            if config.mode != named.core.group.mode {
                let mode = named.core.group.mode;
                return Err(Error::FailedPrecondition(format!("group {:?} is a {mode:?} group", config.group_id)));
            }
            self.subscribe_too(shared, &named.core, topic)?;
            return Ok((named, id));
        }
        let core = self.join(shared, who, config, &[topic.to_owned()])?;
        let named = Arc::new(Named { core: core.clone(), handed: Mutex::default() });
        let first = self.named.members.lock().entry(key).or_insert_with(|| named.clone()).clone();
        if first.core.number != core.number && core.group.mode == GroupMode::Shared {
            core.leave(shared, "its client has another member");
            self.subscribe_too(shared, &first.core, topic)?;
        }
        Ok((first, id))
    }
}

impl Core {
    fn acknowledged(&self, shared: &Shared) -> Result<u64> {
        let mut inner = self.look(shared)?;
        Ok(self.state(&mut inner)?.acknowledged)
    }

    fn positions(&self) -> Result<BTreeMap<Assignment, Offset>> {
        let mut inner = self.group.inner.lock();
        let owned = &self.state(&mut inner)?.owned;
        Ok(owned.iter().filter_map(|(at, owned)| Some((*at, owned.position?))).collect())
    }
}

fn key_of(namespace: &str, group: &str, client_id: &str) -> GroupKey {
    GroupKey { client: Some(Arc::from(client_id)), ..name_of(namespace, group) }
}

fn find_topic(shared: &Shared, namespace: &str, topic: &str) -> Result<TopicId> {
    let state = shared.state.read();
    let found = state.catalog().topic_named(namespace, topic).map(|topic| topic.id);
    found.ok_or_else(|| Error::NotFound { what: "topic", name: topic.to_owned() })
}
