//! The oldest streams of a table.

use std::ops::Bound;

use super::Producers;
use super::ages::Class;
use super::stream::StreamId;
use crate::model::{Result, TableId};

impl Producers {
    /// Of one table and class, the streams behind one, oldest first; at most `limit`.
    pub(super) fn oldest_of(
        &self,
        table: TableId,
        class: Class,
        behind: Option<(i64, u128)>,
        limit: usize,
    ) -> Result<Vec<(i64, StreamId)>> {
        let from = match behind {
            None => Bound::Included((table, class, i64::MIN, 0)),
            Some((last_us, id)) => Bound::Excluded((table, class, last_us, id)),
        };
        let mut found = Vec::new();
        self.ages.scan(from, |&(of, is, last_us, id), ()| {
            if (of, is) != (table, class) {
                return Ok(false);
            }
            found.push((last_us, (of, id)));
            Ok(found.len() < limit)
        })?;
        Ok(found)
    }
}
