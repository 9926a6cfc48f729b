//! Whose turn is next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::model::TableId;
use crate::platform::Patience;
use crate::state::DueKey;

/// Turns of one namespace at once: a plugin that takes all of its time leaves room for others.
const NAMESPACE_TURNS: usize = 2;

/// Tables with half messages that their checkback is to be asked about.
#[derive(Debug, Default)]
pub(crate) struct Board {
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: BTreeMap<TableId, Waiting>,
    at_work: BTreeMap<TableId, Arc<str>>,
    /// When namespaces had a turn last, by the count of turns.
    turns: BTreeMap<Arc<str>, u64>,
    count: u64,
    stopping: bool,
}

#[derive(Debug)]
struct Waiting {
    namespace: Arc<str>,
    /// Nothing is due below that was not looked at.
    from: DueKey,
    /// Not before it is over.
    until: Option<Patience>,
}

/// What a thread is to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Stop,
    /// Nothing, for the moment.
    Wait,
    /// The half messages of a table, from this due time on.
    Table(DueKey),
}

impl Board {
    /// A table has something due from this entry on.
    pub(crate) fn note(&self, namespace: Arc<str>, from: DueKey) {
        self.put(namespace, from, None);
    }

    fn put(&self, namespace: Arc<str>, from: DueKey, until: Option<Patience>) {
        let mut inner = self.inner.lock();
        let waiting = inner.waiting.entry(from.table).or_insert(Waiting { namespace, from, until });
        waiting.from = waiting.from.min(from);
        // What is put off stays so: what it waits for has not come by this.
        waiting.until = waiting.until.or(until);
        self.changed.notify_one();
    }

    /// The table whose turn it is; the turn ends with [`Self::done`].
    pub(super) fn take(&self, patience: Duration) -> Turn {
        let mut inner = self.inner.lock();
        match inner.next() {
            _ if inner.stopping => Turn::Stop,
            Some(from) => Turn::Table(from),
            None => {
                let left = inner.waiting.values().filter_map(|waiting| waiting.until).map(|until| until.left());
                let patience = left.filter(|left| !left.is_zero()).min().unwrap_or(patience).min(patience);
                self.changed.wait_for(&mut inner, patience);
                Turn::Wait
            }
        }
    }

    /// A turn is over; from `more` on the table has more, to be looked at once the patience is over.
    pub(super) fn done(&self, table: TableId, more: Option<(DueKey, Option<Duration>)>) {
        let namespace = self.inner.lock().at_work.remove(&table);
        if let (Some(namespace), Some((from, after))) = (namespace, more) {
            self.put(namespace, from, after.map(Patience::of));
        }
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.inner.lock().stopping = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.inner.lock().stopping
    }
}

impl Inner {
    /// Of the namespaces with the fewest turns under way that which had none for longest.
    fn next(&mut self) -> Option<DueKey> {
        let ready = self.waiting.iter().filter(|(table, waiting)| {
            !self.at_work.contains_key(table) && waiting.until.is_none_or(|until| until.is_over())
        });
        let ranked = ready.filter_map(|(table, Waiting { namespace, .. })| {
            let under_way = self.at_work.values().filter(|other| *other == namespace).count();
            let last = self.turns.get(namespace).copied().unwrap_or(0);
            (under_way < NAMESPACE_TURNS).then_some((under_way, last, *table))
        });
        let (_, _, table) = ranked.min()?;
        let Waiting { namespace, from, .. } = self.waiting.remove(&table)?;
        self.count += 1;
        self.turns.insert(namespace.clone(), self.count);
        self.at_work.insert(table, namespace);
        // A namespace that nothing is due in needs no place in the order.
        if self.turns.len() > 2 * (self.waiting.len() + self.at_work.len()) {
            let named = |namespace: &Arc<str>| {
                self.waiting.values().any(|waiting| waiting.namespace == *namespace)
                    || self.at_work.values().any(|other| other == namespace)
            };
            self.turns.retain(|namespace, _| named(namespace));
        }
        Some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn key(table: u64, at_us: i64) -> DueKey {
        DueKey::first_at(TableId(table), at_us)
    }

    fn note(board: &Board, namespace: &str, from: DueKey) {
        board.note(Arc::from(namespace), from);
    }

    #[test]
    fn a_table_is_at_work_once_and_keeps_what_is_noted_meanwhile() {
        let board = Board::default();
        assert_eq!(board.take(NOW), Turn::Wait);
        note(&board, "a", key(1, 50));
        note(&board, "a", key(1, 40));
        assert_eq!(board.take(NOW), Turn::Table(key(1, 40)));
        note(&board, "a", key(1, 60));
        assert_eq!(board.take(NOW), Turn::Wait);
        board.done(TableId(1), Some((key(1, 55), None)));
        assert_eq!(board.take(NOW), Turn::Table(key(1, 55)));
        board.done(TableId(1), None);
        assert_eq!(board.take(NOW), Turn::Wait);
        board.stop();
        assert_eq!(board.take(NOW), Turn::Stop);
    }

    #[test]
    fn namespaces_take_turns_and_none_has_all_of_them() {
        let board = Board::default();
        (1..=5).for_each(|table| note(&board, "greedy", key(table, 1)));
        note(&board, "other", key(9, 1));
        assert_eq!(board.take(NOW), Turn::Table(key(1, 1)));
        assert_eq!(board.take(NOW), Turn::Table(key(9, 1)));
        board.done(TableId(9), Some((key(9, 2), None)));
        assert_eq!(board.take(NOW), Turn::Table(key(9, 2)), "it has none under way");
        assert_eq!(board.take(NOW), Turn::Table(key(2, 1)));
        assert_eq!(board.take(NOW), Turn::Wait, "two are enough");
        board.done(TableId(1), None);
        assert_eq!(board.take(NOW), Turn::Table(key(3, 1)));
    }

    #[test]
    fn what_is_put_off_is_not_hurried_by_what_comes_after_it() {
        let board = Board::default();
        note(&board, "a", key(1, 50));
        assert_eq!(board.take(NOW), Turn::Table(key(1, 50)));
        board.done(TableId(1), Some((key(1, 50), Some(Duration::from_secs(3_600)))));
        note(&board, "a", key(1, 70));
        assert_eq!(board.take(NOW), Turn::Wait);
        note(&board, "b", key(2, 70));
        assert_eq!(board.take(NOW), Turn::Table(key(2, 70)));
    }
}
