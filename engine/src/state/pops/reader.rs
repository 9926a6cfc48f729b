//! Hand-outs as readers see them. Reading them needs no lock of the whole state.

use std::ops::Bound;

use super::super::paged::Paged;
use super::{HandOutTime, HandOutTimes, HandOuts};
use crate::model::{Offset, Result};
use crate::state::{HandOut, HandOutKey, PopQueueId};

#[derive(Debug)]
pub(crate) struct HandOutReader {
    pub(super) hand_outs: Paged<HandOuts>,
    pub(super) times: Paged<HandOutTimes>,
}

impl HandOutReader {
    pub(crate) fn get(&self, key: &HandOutKey) -> Result<Option<HandOut>> {
        self.hand_outs.get(key)
    }

    /// Those of a queue by their first messages, from an offset on, until `each` gives false.
    pub(crate) fn scan(
        &self,
        queue: PopQueueId,
        from: Offset,
        mut each: impl FnMut(&HandOutKey, &HandOut) -> Result<bool>,
    ) -> Result<()> {
        self.hand_outs.scan(Bound::Included(HandOutKey::first_at(queue, from)), |key, hand_out| {
            match key.queue == queue {
                true => each(key, hand_out),
                false => Ok(false),
            }
        })
    }

    /// When those of a queue are visible again, from a time on, until `each` gives false.
    pub(crate) fn times(
        &self,
        queue: PopQueueId,
        from_us: i64,
        mut each: impl FnMut(&HandOutTime) -> Result<bool>,
    ) -> Result<()> {
        self.times.scan(Bound::Included(HandOutTime::first_at(queue, from_us)), |time, ()| match time.queue == queue {
            true => each(time),
            false => Ok(false),
        })
    }
}
