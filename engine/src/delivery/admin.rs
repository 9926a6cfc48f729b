//! Groups from outside: listings, resets, drops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::assign::MemberNumber;
use super::calls::enqueue_with;
use super::coordinator::Coordinator;
use super::core::MemberCore;
use super::group::{Entries, LiveGroup, MemberState, Membership, Owned};
use super::keys::name_of;
use super::positions::resolve;
use crate::model::{
    Assignment, Error, GroupInfo, GroupMode, GroupRetries, GroupRetryChanges, MemberInfo, Offset, OffsetReset,
    PartitionId, PartitionOffsets, PendingReceipt, Result, TopicId, TopicInfo,
};
use crate::state::{Change, GroupKey, GroupState, PopRecord, State, Submission};

impl Coordinator {
    /// Every recorded group, by namespace and name.
    pub(crate) fn list(&self) -> Vec<GroupInfo> {
        self.tick();
        let names: Vec<(GroupKey, GroupMode, GroupRetries)> = {
            let state = self.ledger.state.read();
            let of = |(namespace, group, state): (&str, &str, &GroupState)| {
                (name_of(namespace, group), state.mode, state.retries.clone())
            };
            state.groups().map(of).collect()
        };
        let list = names.into_iter().map(|(name, mode, retries)| {
            let live = self.find(&name);
            let inner = live.as_ref().map(|group| group.lock());
            GroupInfo { retries, ..describe(&name, mode, inner.as_deref()) }
        });
        list.collect()
    }

    /// Offsets of every partition that the group has committed or is assigned, by topic and partition. In a broadcast group
    /// a partition comes once for each client.
    pub(crate) fn offsets(&self, namespace: &str, group: &str) -> Result<Vec<PartitionOffsets>> {
        self.tick();
        let name = name_of(namespace, group);
        let mut positions: BTreeMap<OffsetPlace, Standing> = BTreeMap::new();
        let live = self.find(&name);
        for member in live.iter().flat_map(|group| group.lock().members.values().map(owned_by).collect::<Vec<_>>()) {
            positions.extend(member);
        }
        let state = self.ledger.state.read();
        let recorded = state.group(namespace, group).ok_or_else(|| unknown(group))?;
        for (client, offsets) in &recorded.committed {
            for (topic, partition) in offsets.keys() {
                positions.entry((*topic, *partition, client.clone())).or_default();
            }
        }
        let places = positions.into_iter().filter_map(|((topic, partition, client), position)| {
            let topic = state.catalog().topic(topic)?;
            let key = GroupKey { client, ..name.clone() };
            partition_offsets(&state, topic, partition, &key, position)
        });
        Ok(places.collect())
    }

    /// Moves committed offsets and the positions of live members. What members were handed before can't be committed any
    /// more. A member that joins meanwhile reads what is committed after this.
    /// `topic` is the one that `reset` names; `told` goes with it.
    pub(crate) fn reset(
        &self,
        namespace: &str,
        group: &str,
        topic: Option<Arc<TopicInfo>>,
        reset: &OffsetReset,
        told: Submission,
    ) -> Result<()> {
        self.check_open()?;
        self.tick();
        let name = name_of(namespace, group);
        let (mode, entries) = reset_entries(self, &name, topic, reset)?;
        let answer = self.with_live(&name, mode, |live, inner| live.reset(self, inner, entries, told))?;
        answer.wait().map(drop)
    }

    /// Records a group in which nobody consumes yet, and what is `told` of it.
    pub(crate) fn create_group(
        &self,
        namespace: &str,
        group: &str,
        retries: GroupRetryChanges,
        told: Submission,
    ) -> Result<()> {
        self.check_open()?;
        retries.check()?;
        let _no_beginning = self.setups.hold(&name_of(namespace, group));
        let (namespace, group) = (namespace.to_owned(), group.to_owned());
        let set = Change::GroupRetriesSet { namespace: namespace.clone(), group: group.clone(), retries };
        let created = Change::GroupCreated { namespace, group, mode: GroupMode::Shared };
        self.ledger.log.submit(told.with([created, set]))?.wait().map(drop)
    }

    /// Sets how messages of a group are tried again, and what is `told` of it.
    pub(crate) fn set_retries(
        &self,
        namespace: &str,
        group: &str,
        retries: GroupRetryChanges,
        told: Submission,
    ) -> Result<()> {
        self.check_open()?;
        retries.check()?;
        let (namespace, group) = (namespace.to_owned(), group.to_owned());
        let set = Change::GroupRetriesSet { namespace, group, retries };
        self.ledger.log.submit(told.with([set]))?.wait().map(drop)
    }

    /// Forgets a group and its offsets, with what is `told` of it. A member that joins meanwhile begins the group anew.
    pub(crate) fn drop_group(&self, namespace: &str, group: &str, force: bool, told: Submission) -> Result<()> {
        self.check_open()?;
        self.tick();
        let name = name_of(namespace, group);
        let _no_beginning = self.setups.hold(&name);
        let mode = self.ledger.state.read().group(namespace, group).map(|group| group.mode);
        let mode = mode.ok_or_else(|| unknown(group))?;
        let dropped = Change::GroupDropped { namespace: namespace.to_owned(), group: group.to_owned() };
        let submission = told.with([dropped]);
        let answer = self.with_live(&name, mode, |live, inner| {
            if !inner.members.is_empty() && !force {
                let by = format!("{} live members; they must leave first, or FORCE it", inner.members.len());
                return Err(Error::InUse { what: "consumer group", name: group.to_owned(), by });
            }
            live.end(self, inner, submission)
        })?;
        answer.wait()?;
        self.untold.forget(&name);
        Ok(())
    }

    /// Calls with the live group's lock held. A group without members is made live for a moment, so that whoever joins comes
    /// before the call or after.
    pub(super) fn with_live<T>(
        &self,
        name: &GroupKey,
        mode: GroupMode,
        call: impl FnOnce(&LiveGroup, &mut Membership) -> Result<T>,
    ) -> Result<T> {
        loop {
            let live = self.live(name, mode);
            let mut inner = live.lock();
            if !inner.retired {
                return call(&live, &mut inner);
            }
        }
    }
}

impl LiveGroup {
    /// Queues the offsets, moves the members, and fences what they have been handed.
    fn reset(
        &self,
        delivery: &Coordinator,
        inner: &mut Membership,
        entries: Entries,
        told: Submission,
    ) -> Result<PendingReceipt> {
        // Resets are few, and small.
        let (popped, others) = popped_anew(delivery, &entries);
        let answer = enqueue_with(delivery, entries.clone(), popped, told)?.keep();
        if inner.members.is_empty() {
            delivery.untold.note(&others);
        }
        inner.settle(delivery)?;
        let stamp = inner.stamp();
        for member in inner.members.values_mut() {
            for (topic, partition, offset) in entries.get(&member.core.key).into_iter().flatten() {
                let at = Assignment { topic: *topic, partition: *partition };
                if let Some(owned) = member.owned.get_mut(&at) {
                    owned.reset_to(stamp, *offset);
                }
            }
            member.core.replay.lock().restart();
        }
        self.next_generation(delivery, inner);
        Ok(answer)
    }

    /// Queues the group's end, and takes its members out. What they have not committed goes with it.
    fn end(&self, delivery: &Coordinator, inner: &mut Membership, dropped: Submission) -> Result<PendingReceipt> {
        let answer = delivery.ledger.log.enqueue(dropped)?.keep();
        inner.settle(delivery)?;
        let members: Vec<MemberNumber> = inner.members.keys().copied().collect();
        members.into_iter().for_each(|member| inner.part_with(delivery, member, "the group was dropped"));
        inner.departed.clear();
        self.rebalance(delivery, inner);
        Ok(answer)
    }
}

/// Groups that pop go on at their new offsets, and what they were handed does not count any more. Also the entries of the others.
fn popped_anew(delivery: &Coordinator, entries: &Entries) -> (Vec<PopRecord>, Entries) {
    let state = delivery.ledger.state.read();
    let (mut anew, mut others) = (Vec::new(), Entries::new());
    for (key, offsets) in entries {
        let pops: Vec<_> = state.pops_of(&key.namespace, &key.group).collect();
        let mut left = Vec::with_capacity(offsets.len());
        for (topic, partition, position) in offsets.iter().copied() {
            match pops.iter().find(|(_, table)| table.0 == topic.0) {
                None => left.push((topic, partition, position)),
                Some((pop, _)) => {
                    let before = state.pop_queue(*pop, partition).map(|(queue, _)| queue);
                    anew.push(PopRecord::Set { pop: *pop, partition, before, position });
                }
            }
        }
        others.insert(key.clone(), left);
    }
    (anew, others)
}

/// Start, end, committed and position of what a member is assigned.
pub(super) fn member_offsets(delivery: &Coordinator, core: &MemberCore) -> Result<Vec<PartitionOffsets>> {
    let mut inner = core.look(delivery)?;
    let member = core.state(&mut inner)?;
    let state = delivery.ledger.state.read();
    let owned = member.owned.iter().filter_map(|(at, owned)| {
        partition_offsets(&state, member.topics.get(&at.topic)?, at.partition, &core.key, standing(owned))
    });
    Ok(owned.collect())
}

type OffsetPlace = (TopicId, PartitionId, Option<Arc<str>>);

/// Position, and the generation from which on it is held; of a partition without an owner, neither.
type Standing = (Option<Offset>, Option<u64>);

fn owned_by(member: &MemberState) -> Vec<(OffsetPlace, Standing)> {
    let client = &member.core.key.client;
    member.owned.iter().map(|(at, owned)| ((at.topic, at.partition, client.clone()), standing(owned))).collect()
}

fn standing(owned: &Owned) -> Standing {
    (owned.position, Some(owned.since))
}

fn partition_offsets(
    state: &State,
    topic: &TopicInfo,
    partition: PartitionId,
    key: &GroupKey,
    (position, since_generation): Standing,
) -> Option<PartitionOffsets> {
    let found = state.partition(topic.table, partition)?;
    Some(PartitionOffsets {
        topic: topic.name.clone(),
        partition,
        start: found.start,
        end: found.end,
        committed: state.committed(key, topic.id, partition),
        position,
        since_generation,
    })
}

fn describe(name: &GroupKey, mode: GroupMode, inner: Option<&Membership>) -> GroupInfo {
    let members = inner.into_iter().flat_map(|inner| inner.members.values());
    let generation = inner.map_or(0, |inner| inner.generation);
    let state = match inner {
        Some(inner) if !inner.members.is_empty() => {
            let settled = inner.members.values().all(|member| member.acknowledged == generation);
            if settled && inner.due.is_none() { "stable" } else { "rebalancing" }
        }
        _ => "empty",
    };
    GroupInfo {
        namespace: name.namespace.to_string(),
        group_id: name.group.to_string(),
        mode,
        state,
        generation,
        members: members.map(member_info).collect(),
        retries: GroupRetries::default(),
    }
}

fn member_info(member: &MemberState) -> MemberInfo {
    let topic_name = |topic: TopicId| member.topics.get(&topic).map(|topic| topic.name.clone());
    let mut assignment: Vec<(String, PartitionId)> =
        member.owned.keys().filter_map(|at| Some((topic_name(at.topic)?, at.partition))).collect();
    assignment.sort();
    let mut topics: Vec<String> = member.topics.values().map(|topic| topic.name.clone()).collect();
    topics.sort();
    MemberInfo {
        member_id: member.core.id.clone(),
        client_id: member.core.config.client_id.clone(),
        principal: member.core.principal.name().to_owned(),
        topics,
        assignment,
        session_timeout: member.core.config.session_timeout,
        joined_us: member.core.joined_us,
    }
}

/// The group's mode, and the offsets that a reset means, for the group or each of its clients.
fn reset_entries(
    delivery: &Coordinator,
    name: &GroupKey,
    topic: Option<Arc<TopicInfo>>,
    reset: &OffsetReset,
) -> Result<(GroupMode, Entries)> {
    let (mode, topics, clients) = {
        let state = delivery.ledger.state.read();
        let recorded = state.group(&name.namespace, &name.group).ok_or_else(|| unknown(&name.group))?;
        let topics: Vec<Arc<TopicInfo>> = match topic {
            Some(topic) => vec![topic],
            None => {
                let ids: BTreeSet<TopicId> =
                    recorded.committed.values().flat_map(|offsets| offsets.keys().map(|(topic, _)| *topic)).collect();
                ids.into_iter().filter_map(|id| state.catalog().topic(id).cloned()).collect()
            }
        };
        let clients: Vec<Option<Arc<str>>> = match recorded.mode {
            GroupMode::Shared => vec![None],
            GroupMode::Broadcast => recorded.committed.keys().filter(|client| client.is_some()).cloned().collect(),
        };
        (recorded.mode, topics, clients)
    };
    if topics.is_empty() {
        return Err(Error::FailedPrecondition(format!("group {:?} has no offsets on any topic; name one", name.group)));
    }
    let mut all = Vec::new();
    for topic in topics {
        let partitions = delivery.ledger.table(topic.table)?.options.partitions;
        let chosen = match reset.partition {
            Some(partition) => partition..partition.saturating_add(1),
            None => 0..partitions,
        };
        for partition in chosen {
            all.push((topic.id, partition, resolve(delivery, topic.table, partition, reset.to)?));
        }
    }
    let entries = clients.into_iter().map(|client| (GroupKey { client, ..name.clone() }, all.clone())).collect();
    Ok((mode, entries))
}

fn unknown(group: &str) -> Error {
    Error::NotFound { what: "consumer group", name: group.to_owned() }
}
