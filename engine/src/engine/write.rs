//! Appends.

use crate::*;

#[allow(unused_variables, clippy::unimplemented, reason = "signatures first: bodies land with their modules")]
impl Engine {
    /// Queues rows for one table. The batch is checked, encoded and split by partition on the caller's thread; blocks while
    /// the writer's queue is full.
    pub fn append(&self, who: &Principal, append: Append, stamp: Option<ProducerStamp>) -> Result<PendingReceipt> {
        unimplemented!()
    }
    /// Several appends as one submission: seen whole or not at all.
    pub fn append_all(
        &self,
        who: &Principal,
        appends: Vec<Append>,
        stamp: Option<ProducerStamp>,
    ) -> Result<PendingReceipt> {
        unimplemented!()
    }
}
