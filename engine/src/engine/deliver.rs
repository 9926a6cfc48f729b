//! Consumer groups.

use std::time::Duration;

use crate::*;

#[allow(unused_variables, clippy::unimplemented, reason = "signatures first: bodies land with their modules")]
impl Engine {
    /// Joins a group, creating it on first use. Topics are names in the configuration's namespace.
    pub fn join(&self, who: &Principal, config: ConsumerConfig, topics: &[String]) -> Result<Member> {
        unimplemented!()
    }
    pub fn groups(&self, who: &Principal) -> Result<Vec<GroupInfo>> {
        unimplemented!()
    }
    /// Offsets of every partition the group has committed or is assigned.
    pub fn group_offsets(&self, who: &Principal, namespace: &str, group: &str) -> Result<Vec<PartitionOffsets>> {
        unimplemented!()
    }
    /// `ALTER CONSUMER GROUP … SET OFFSET`: live members of the partitions are moved too.
    pub fn reset_offsets(&self, who: &Principal, namespace: &str, group: &str, reset: OffsetReset) -> Result<()> {
        unimplemented!()
    }
    /// Refused while it has members, unless `force`.
    pub fn drop_group(&self, who: &Principal, namespace: &str, group: &str, force: bool) -> Result<()> {
        unimplemented!()
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
        unimplemented!()
    }
    /// `COMMIT OFFSETS`: commits what that client was last handed; gives the committed (partition, next offset) pairs.
    pub fn commit_polled(
        &self,
        who: &Principal,
        namespace: &str,
        topic: &str,
        group: &str,
        client_id: &str,
    ) -> Result<Vec<(PartitionId, Offset)>> {
        unimplemented!()
    }
}
