//! Tells operators of skipped rows without flooding them.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::log::Ledger;
use crate::model::OperatorError;
use crate::model::{Offset, PartitionId, TopicId, TopicInfo};

/// One event for each topic in this time.
const INTERVAL: Duration = Duration::from_secs(10);

/// When each topic was last told of, and how many rows it has skipped since.
#[derive(Debug, Default)]
pub(super) struct SkipEvents {
    topics: Mutex<HashMap<TopicId, (Duration, u64)>>,
}

impl SkipEvents {
    /// `rows` rows were left out, the first of them at `offset`.
    pub(super) fn tell(
        &self,
        ledger: &Ledger,
        topic: &TopicInfo,
        partition: PartitionId,
        offset: Offset,
        rows: u64,
        error: &OperatorError,
    ) {
        let now = ledger.options.clock.monotonic();
        let untold = {
            let mut topics = self.topics.lock();
            match topics.get_mut(&topic.id) {
                Some((last, untold)) if now.saturating_sub(*last) < INTERVAL => {
                    *untold += rows;
                    return;
                }
                _ => topics.insert(topic.id, (now, 0)).map_or(0, |(_, untold)| untold),
            }
        };
        ledger.events.push(
            "row_skipped",
            format!(
                "topic {:?} left out {rows} rows that failed to evaluate, the first at partition {partition} offset \
                 {offset}: {error} ({untold} more since the last such event)",
                topic.name
            ),
        );
    }

    pub(super) fn forget(&self, topic: TopicId) {
        self.topics.lock().remove(&topic);
    }
}
