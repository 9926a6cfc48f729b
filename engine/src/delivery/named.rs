//! Members of clients that have no connection of their own: SQL's `poll()` and `COMMIT OFFSETS`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::commit;
use super::coordinator::Coordinator;
use super::core::MemberCore;
use super::keys::client_of;
use super::named_members::Named;
use super::poll::{Poll, Polled, Progress};
use crate::model::Principal;
use crate::model::{Assignment, ConsumerConfig, Delivery, Error, GroupMode, Offset, PartitionId, Result, TopicInfo};

/// Bytes of one poll, however many rows are asked for: all of them are in memory at once.
const POLL_BYTES: usize = 32 << 20;

/// One `poll()` under way. Between its steps whoever polls waits without a thread.
#[derive(Debug)]
pub struct NamedPoll {
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
        let NamedPoll { named, poll } = self;
        let Polled { deliveries, generation } = poll.finish()?;
        if generation == 0 {
            return Err(named.core.gone());
        }
        let at = |delivery: &Delivery| Assignment { topic: delivery.topic, partition: delivery.partition };
        let mut read: BTreeMap<_, _> = deliveries.iter().map(|delivery| (at(delivery), delivery.next_offset)).collect();
        let mut handed = named.handed.lock();
        if handed.generation != generation {
            // Partitions may have gone and come back since: only what is read under this assignment counts.
            let kept = named.core.positions()?;
            let older = if handed.generation < generation { &mut handed.next } else { &mut read };
            older.retain(|at, next| kept.get(at).is_some_and(|position| position >= next));
            handed.generation = handed.generation.max(generation);
        }
        handed.next.extend(read);
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
        self: &Arc<Self>,
        who: &Principal,
        config: ConsumerConfig,
        topic: Arc<TopicInfo>,
        max_rows: usize,
        wait: Duration,
    ) -> Result<NamedPoll> {
        if max_rows == 0 {
            return Err(Error::InvalidInput("poll() must be asked for one row at least".to_owned()));
        }
        let config = ConsumerConfig { enable_auto_commit: false, ..config };
        let id = topic.id;
        let named = self.named_member(who, config, topic)?;
        let poll = Poll::new(self, &named.core, Some(id), max_rows, POLL_BYTES, wait);
        Ok(NamedPoll { named, poll })
    }

    /// Commits what the named member was last handed of a topic.
    pub(crate) fn commit_polled(
        &self,
        topic: &TopicInfo,
        group: &str,
        client_id: &str,
    ) -> Result<Vec<(PartitionId, Offset)>> {
        self.check_open()?;
        self.tick();
        let named = self.named.get(&client_of(&topic.namespace, group, client_id)).ok_or_else(|| {
            Error::Fenced(format!(
                "client {client_id:?} has not polled as a member of group {group:?}, or its session has timed out; rows it \
                 was handed will be handed out again"
            ))
        })?;
        let (generation, entries) = {
            let handed = named.handed.lock();
            let of_topic = handed.next.iter().filter(|(at, _)| at.topic == topic.id);
            (handed.generation, of_topic.map(|(at, next)| (*at, *next)).collect::<Vec<_>>())
        };
        commit::commit(self, &named.core, Some(generation), &entries)?.wait()?.wait()?;
        let mut handed = named.handed.lock();
        for entry in &entries {
            if handed.next.get(&entry.0) == Some(&entry.1) {
                handed.next.remove(&entry.0);
            }
        }
        Ok(entries.into_iter().map(|(at, next)| (at.partition, next)).collect())
    }

    fn named_member(&self, who: &Principal, config: ConsumerConfig, topic: Arc<TopicInfo>) -> Result<Arc<Named>> {
        self.check_open()?;
        self.tick();
        let key = client_of(&config.namespace, &config.group_id, &config.client_id);
        if let Some(named) = self.named.get(&key) {
            if config.mode != named.core.group.mode {
                let mode = named.core.group.mode;
                return Err(Error::FailedPrecondition(format!("group {:?} is a {mode:?} group", config.group_id)));
            }
            self.read_too(&named, &topic)?;
            return Ok(named);
        }
        let core = self.join(who, config, vec![topic.clone()])?;
        let named = Arc::new(Named::new(core.clone(), topic.id));
        let first = self.named.first(key, &named);
        if first.core.number != core.number && core.group.mode == GroupMode::Shared {
            core.leave(self, "its client has another member");
            self.read_too(&first, &topic)?;
        }
        Ok(first)
    }

    /// The poll will tell if the member has gone.
    fn read_too(&self, named: &Named, topic: &Arc<TopicInfo>) -> Result<()> {
        if !named.reads.lock().contains(&topic.id) {
            self.subscribe_too(&named.core, topic)?;
            named.reads.lock().insert(topic.id);
        }
        Ok(())
    }
}

impl MemberCore {
    fn positions(&self) -> Result<BTreeMap<Assignment, Offset>> {
        let mut inner = self.group.lock();
        let owned = &self.state(&mut inner)?.owned;
        Ok(owned.iter().filter_map(|(at, owned)| Some((*at, owned.position?))).collect())
    }
}
