//! Consumer groups.

use std::time::Duration;

use crate::access::Action;
use crate::audit::Deed;
use crate::delivery::{Member, NamedPoll};
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{
    ConsumerConfig, Delivery, GroupInfo, GroupRetries, GroupRetryChanges, Offset, OffsetReset, PartitionId,
    PartitionOffsets, Result, SeekTo,
};

impl Engine {
    /// Joins a group, creating it on first use. Topics are names in the configuration's namespace.
    pub fn join(&self, who: &Principal, config: ConsumerConfig, topics: &[String]) -> Result<Member> {
        let topics = self.session(who)?.subscribed(&config, topics)?;
        let (namespace, group) = (config.namespace.clone(), config.group_id.clone());
        self.with_room_for_group(&namespace, &group, || self.rooms.delivery.join_as_member(who, config, topics))
    }

    /// Every group, with its live members.
    pub fn groups(&self, who: &Principal) -> Result<Vec<GroupInfo>> {
        let session = self.session(who)?;
        Ok(session.allowed_of(Action::See, self.rooms.delivery.list(), |group| group.into()))
    }

    /// Offsets of every partition the group has committed or is assigned; in a broadcast group, once for each client.
    pub fn group_offsets(&self, who: &Principal, namespace: &str, group: &str) -> Result<Vec<PartitionOffsets>> {
        let session = self.session(who)?;
        session.group(Action::See, namespace, group)?;
        let mut offsets = self.rooms.delivery.offsets(namespace, group)?;
        offsets.retain(|at| session.topic(Action::See, namespace, &at.topic).is_ok());
        Ok(offsets)
    }

    /// `ALTER CONSUMER GROUP … SET OFFSET`: live members of the partitions are moved too. What they were handed before
    /// can't be committed any more.
    pub fn reset_offsets(&self, who: &Principal, namespace: &str, group: &str, reset: OffsetReset) -> Result<()> {
        let session = self.session(who)?;
        session.group(Action::Consume, namespace, group)?;
        let topic = reset.topic.as_ref().map(|topic| session.topic(Action::Consume, namespace, topic)).transpose()?;
        let deed = Deed::new("reset_offset", "group", namespace, group).with(shown(&reset));
        self.telling(who, vec![deed], |told| self.rooms.delivery.reset(namespace, group, topic, &reset, told))
    }

    /// Makes a group in which nobody consumes yet; others are made by their first member, or by what they commit first.
    pub fn create_group(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        retries: GroupRetryChanges,
    ) -> Result<()> {
        self.session(who)?.group(Action::Consume, namespace, group)?;
        let deed = Deed::new("create_group", "group", namespace, group);
        let create = |told| self.rooms.delivery.create_group(namespace, group, retries, told);
        self.with_room_for_group(namespace, group, || self.telling(who, vec![deed], create))
    }

    /// Sets how messages of a group are tried again. What was handed out already is not touched.
    pub fn set_group_retries(
        &self,
        who: &Principal,
        namespace: &str,
        group: &str,
        retries: GroupRetryChanges,
    ) -> Result<()> {
        self.session(who)?.group(Action::Consume, namespace, group)?;
        let deed = Deed::new("alter_group", "group", namespace, group);
        self.telling(who, vec![deed], |told| self.rooms.delivery.set_retries(namespace, group, retries, told))
    }

    /// How messages of a group are tried again, as far as that is set; nothing of a group that is not known.
    pub fn group_retries(&self, who: &Principal, namespace: &str, group: &str) -> Result<GroupRetries> {
        self.session(who)?.group(Action::See, namespace, group)?;
        Ok(self.rooms.retries_of(namespace, group))
    }

    /// Refused while it has members, unless `force`.
    pub fn drop_group(&self, who: &Principal, namespace: &str, group: &str, force: bool) -> Result<()> {
        let session = self.session(who)?;
        session.group(Action::Consume, namespace, group)?;
        let deed = Deed::new("drop_group", "group", namespace, group);
        let dropped =
            self.telling(who, vec![deed], |told| self.rooms.delivery.drop_group(namespace, group, force, told));
        session.veiled(namespace, dropped)
    }

    /// `poll()` in SQL: one member per (group, client id), kept until its session times out. Waits up to `wait` for rows.
    /// Rows stay uncommitted until [`Self::commit_polled`]; a later poll continues after them.
    pub fn poll_named(
        &self,
        who: &Principal,
        config: ConsumerConfig,
        topic: &str,
        max_rows: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>> {
        self.begin_poll_named(who, config, topic, max_rows, wait)?.run()
    }

    /// As [`Self::poll_named`], in steps that do not wait for rows: for callers who must not hold a thread meanwhile. Joining may
    /// wait for the disk.
    pub fn begin_poll_named(
        &self,
        who: &Principal,
        config: ConsumerConfig,
        topic: &str,
        max_rows: usize,
        wait: Duration,
    ) -> Result<NamedPoll> {
        let session = self.session(who)?;
        session.allow(Action::Consume, &config)?;
        let topic = session.topic(Action::Consume, &config.namespace, topic)?;
        let (namespace, group) = (config.namespace.clone(), config.group_id.clone());
        self.with_room_for_group(&namespace, &group, || {
            self.rooms.delivery.poll_named(who, config, topic, max_rows, wait)
        })
    }

    /// `COMMIT OFFSETS`: commits what that client was last handed; gives the committed (partition, next offset) pairs.
    /// `Fenced` if its session has timed out or the group was rebalanced since.
    pub fn commit_polled(
        &self,
        who: &Principal,
        namespace: &str,
        topic: &str,
        group: &str,
        client_id: &str,
    ) -> Result<Vec<(PartitionId, Offset)>> {
        let session = self.session(who)?;
        session.group(Action::Consume, namespace, group)?;
        let topic = session.topic(Action::Consume, namespace, topic)?;
        self.rooms.delivery.commit_polled(&topic, group, client_id)
    }
}

/// What a reset means, for the audit table.
fn shown(reset: &OffsetReset) -> String {
    let OffsetReset { to, topic, partition } = reset;
    let topic = topic.as_ref().map_or_else(|| "all topics".to_owned(), |topic| format!("topic {topic}"));
    let partition = partition.map(|partition| format!(" partition {partition}")).unwrap_or_default();
    let to = match to {
        SeekTo::Start => "start".to_owned(),
        SeekTo::End => "end".to_owned(),
        SeekTo::Offset(offset) => format!("offset {offset}"),
        SeekTo::AppendTime(us) => format!("append time {us} µs"),
    };
    format!("{topic}{partition} to {to}")
}
