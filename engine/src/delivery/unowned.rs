//! Groups whose clients share out partitions among themselves, as those of RocketMQ do: they commit for partitions that no
//! member of ours owns. Refused while the group has members of ours, whose commits are fenced by generation.

use super::calls::enqueue;
use super::coordinator::Coordinator;
use super::group::Entries;
use super::keys::name_of;
use crate::log::Ticket;
use crate::model::{Error, GroupMode, Offset, PartitionId, PendingReceipt, Result, TopicId, TopicInfo};
use crate::state::{Change, GroupKey, OffsetsRecord, PopName, Record, State, Submission};

impl Coordinator {
    /// Commits for a group without members; it begins with its first commit.
    pub(crate) fn commit_unowned(
        &self,
        namespace: &str,
        group: &str,
        topic: &TopicInfo,
        partition: PartitionId,
        offset: Offset,
    ) -> Result<Ticket> {
        self.check_open()?;
        self.tick();
        let name = name_of(namespace, group);
        if let Some(consumer) = self.ledger.state.read().catalog().consumer_of_group(namespace, group) {
            let by = format!("consumer {:?}, a plugin, which alone commits for it", consumer.name);
            return Err(Error::InUse { what: "consumer group", name: group.to_owned(), by });
        }
        self.refuse_popped(&name, topic)?;
        if self.untold.is_there(&name, topic.id, partition) {
            return Ok(Ticket::admitted(barrier_receipt(self)?));
        }
        self.begin_unowned(&name, topic)?;
        self.with_live(&name, GroupMode::Shared, |live, inner| {
            if !inner.members.is_empty() {
                let by = format!(
                    "{} members that share its partitions out by themselves; commit as one of them, or use another group",
                    inner.members.len()
                );
                return Err(Error::InUse { what: "consumer group", name: group.to_owned(), by });
            }
            let ticket = enqueue(self, Entries::from([(name.clone(), vec![(topic.id, partition, offset)])]));
            inner.settle(self)?;
            live.next_generation(self, inner);
            ticket
        })
    }

    /// Sees to it that the group is recorded, before it takes messages of the topic by pop. Refused while it has members or is a plugin's.
    pub(crate) fn begin_popped(&self, namespace: &str, group: &str, topic: &TopicInfo) -> Result<()> {
        self.check_open()?;
        self.tick();
        let name = name_of(namespace, group);
        let in_use = |by: String| Error::InUse { what: "consumer group", name: group.to_owned(), by };
        if let Some(consumer) = self.ledger.state.read().catalog().consumer_of_group(namespace, group) {
            return Err(in_use(format!("consumer {:?}, a plugin: it can't pop", consumer.name)));
        }
        self.begin_unowned(&name, topic)?;
        self.with_live(&name, GroupMode::Shared, |_, inner| match inner.members.len() {
            0 => Ok(()),
            members => {
                Err(in_use(format!("{members} members that share its partitions out; they must leave before it pops")))
            }
        })
    }

    /// What a group that pops has committed follows from what it has acknowledged.
    pub(super) fn refuse_popped(&self, name: &GroupKey, topic: &TopicInfo) -> Result<()> {
        let pop = PopName { namespace: name.namespace.clone(), group: name.group.clone(), table: topic.table };
        match self.ledger.state.read().pop(&pop) {
            Some(_) if topic.id.0 == topic.table.0 => {
                let by = format!(
                    "consumers that take messages of {:?} by pop; use another group, or drop this one first",
                    topic.name
                );
                Err(Error::InUse { what: "consumer group", name: name.group.to_string(), by })
            }
            _ => Ok(()),
        }
    }

    /// What a group has committed, whatever was queued before included. May wait for the log.
    pub(crate) fn committed_unowned(
        &self,
        namespace: &str,
        group: &str,
        topic: &TopicInfo,
        partition: PartitionId,
    ) -> Result<Option<Offset>> {
        self.check_open()?;
        barrier_receipt(self)?.wait()?;
        Ok(self.ledger.state.read().committed(&name_of(namespace, group), topic.id, partition))
    }

    /// The offset that was set for the group since its clients were last told; they are told now.
    pub(crate) fn take_untold_reset(
        &self,
        namespace: &str,
        group: &str,
        topic: TopicId,
        partition: PartitionId,
    ) -> Option<Offset> {
        self.untold.take(namespace, group, topic, partition)
    }

    /// Records the group if it is not known, and counts it among those of the topic.
    fn begin_unowned(&self, name: &GroupKey, topic: &TopicInfo) -> Result<()> {
        let is_on_topic =
            |state: &State| state.groups_of_topic(topic.id).any(|(n, g)| n == &*name.namespace && g == &*name.group);
        let mode = |state: &State| state.group(&name.namespace, &name.group).map(|group| group.mode);
        {
            let state = self.ledger.state.read();
            match mode(&state) {
                Some(GroupMode::Shared) if is_on_topic(&state) => return Ok(()),
                Some(GroupMode::Broadcast) => {
                    return Err(Error::FailedPrecondition(format!(
                        "group {:?} is a broadcast group, whose clients have offsets of their own; use another group",
                        name.group
                    )));
                }
                _ => {}
            }
        }
        let _setup = self.setups.hold(name);
        let mut reservation = self.setups.reserve((name.namespace.to_string(), name.group.to_string()));
        let begun = {
            let state = self.ledger.state.read();
            if !is_on_topic(&state) {
                reservation.add(&state, topic, self.ledger.options.max_groups_per_topic)?;
            }
            mode(&state).is_some()
        };
        if !begun {
            let created = Change::GroupCreated {
                namespace: name.namespace.to_string(),
                group: name.group.to_string(),
                mode: GroupMode::Shared,
            };
            let empty = OffsetsRecord { group: name.clone(), entries: Vec::new() };
            self.ledger.log.submit(Submission::of([Record::from(created), Record::from(empty)]))?.wait()?;
        }
        Ok(())
    }
}

fn barrier_receipt(delivery: &Coordinator) -> Result<PendingReceipt> {
    Ok(delivery.ledger.log.enqueue(Submission::default())?.keep())
}
