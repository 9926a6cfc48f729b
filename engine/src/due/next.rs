//! Where the next entries are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::TableId;
use crate::state::{DueEntry, DueKey, DueWhat};

/// An entry whose time has come.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    pub key: DueKey,
    pub what: DueWhat,
    pub payload: Arc<[u8]>,
}

impl Due {
    pub(super) fn new(key: &DueKey, entry: &DueEntry) -> Due {
        Due { key: *key, what: entry.what, payload: entry.payload.clone() }
    }
}

/// For each table the key below which it has no entry that nobody is at, and when to look there.
#[derive(Debug, Default)]
pub(super) struct Next {
    tables: BTreeMap<TableId, Look>,
    /// By time.
    times: BTreeSet<(i64, TableId)>,
}

/// Where to look, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    pub from: DueKey,
    pub at_us: i64,
}

impl Look {
    pub(super) fn at(from: DueKey) -> Look {
        Look { from, at_us: from.at_us }
    }
}

impl Next {
    /// The table that is to be looked at first, and when.
    pub(super) fn first(&self) -> Option<(i64, TableId)> {
        self.times.first().copied()
    }

    /// The table has entries from here on, and maybe others.
    pub(super) fn lower(&mut self, table: TableId, look: Look) {
        let before = self.take(table);
        let look = match before {
            None => look,
            Some(before) => Look { from: before.from.min(look.from), at_us: before.at_us.min(look.at_us) },
        };
        self.tables.insert(table, look);
        self.times.insert((look.at_us, table));
    }

    /// Takes a table out: whoever looks through it says with [`Self::lower`] what is left.
    pub(super) fn take(&mut self, table: TableId) -> Option<Look> {
        let look = self.tables.remove(&table)?;
        self.times.remove(&(look.at_us, table));
        Some(look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Lsn;

    fn key(table: u64, at_us: i64) -> DueKey {
        DueKey { table: TableId(table), at_us, lsn: Lsn(7), index: 0 }
    }

    #[test]
    fn the_earliest_time_of_all_tables_comes_first() {
        let mut next = Next::default();
        assert_eq!(next.first(), None);
        next.lower(TableId(1), Look::at(key(1, 50)));
        next.lower(TableId(2), Look::at(key(2, 40)));
        assert_eq!(next.first(), Some((40, TableId(2))));
        next.lower(TableId(1), Look::at(key(1, 30)));
        next.lower(TableId(1), Look::at(key(1, 60)));
        assert_eq!(next.first(), Some((30, TableId(1))));
        assert_eq!(next.take(TableId(1)), Some(Look::at(key(1, 30))));
        assert_eq!((next.take(TableId(1)), next.first()), (None, Some((40, TableId(2)))));
    }

    #[test]
    fn what_is_put_off_is_looked_for_where_it_lies() {
        let mut next = Next::default();
        next.lower(TableId(1), Look { from: key(1, 10), at_us: 90 });
        assert_eq!(next.first(), Some((90, TableId(1))));
        next.lower(TableId(1), Look::at(key(1, 70)));
        assert_eq!(next.take(TableId(1)), Some(Look { from: key(1, 10), at_us: 70 }));
    }
}
