//! Consumer groups.

use std::time::Duration;

use super::access::Action;
use crate::delivery::{Member, NamedPoll};
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{ConsumerConfig, Delivery, GroupInfo, Offset, OffsetReset, PartitionId, PartitionOffsets, Result};

impl Engine {
    /// Joins a group, creating it on first use. Topics are names in the configuration's namespace.
    pub fn join(&self, who: &Principal, config: ConsumerConfig, topics: &[String]) -> Result<Member> {
        self.enter(who, Action::Consume, Some(&config.namespace))?;
        self.rooms.delivery.join_as_member(who, config, topics)
    }

    /// Every group, with its live members.
    pub fn groups(&self, who: &Principal) -> Result<Vec<GroupInfo>> {
        self.enter(who, Action::Read, None)?;
        Ok(self.rooms.delivery.list())
    }

    /// Offsets of every partition the group has committed or is assigned; in a broadcast group, once for each client.
    pub fn group_offsets(&self, who: &Principal, namespace: &str, group: &str) -> Result<Vec<PartitionOffsets>> {
        self.enter(who, Action::Read, Some(namespace))?;
        self.rooms.delivery.offsets(namespace, group)
    }

    /// `ALTER CONSUMER GROUP … SET OFFSET`: live members of the partitions are moved too. What they were handed before
    /// can't be committed any more.
    pub fn reset_offsets(&self, who: &Principal, namespace: &str, group: &str, reset: OffsetReset) -> Result<()> {
        self.enter(who, Action::Consume, Some(namespace))?;
        self.rooms.delivery.reset(namespace, group, &reset)
    }

    /// Refused while it has members, unless `force`.
    pub fn drop_group(&self, who: &Principal, namespace: &str, group: &str, force: bool) -> Result<()> {
        self.enter(who, Action::Consume, Some(namespace))?;
        self.rooms.delivery.drop_group(namespace, group, force)
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
        self.enter(who, Action::Consume, Some(&config.namespace))?;
        self.rooms.delivery.poll_named(who, config, topic, max_rows, wait)
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
        self.enter(who, Action::Consume, Some(namespace))?;
        self.rooms.delivery.commit_polled(namespace, topic, group, client_id)
    }
}
