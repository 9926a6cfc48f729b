//! What a namespace that has as many streams as it may is to forget.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use super::Producers;
use super::ages::Class;
use super::stream::{FORGOTTEN_AT_ONCE, SPARED_US, StreamId, is_silent};
use crate::model::{Error, Result, TableId};

/// Streams that are read of a table at a time.
const READ_AT_ONCE: usize = 64;

impl Producers {
    /// Refuses a stream that begins now while its namespace keeps `limit` of them and spares them all.
    pub(in crate::state) fn room(&self, namespace: &str, stream: StreamId, limit: u64, now_us: i64) -> Result<()> {
        let answering = self.tables.count_in(namespace, Class::Answering);
        if answering < limit || self.get(stream)?.is_some_and(|stream| !stream.window.is_empty()) {
            return Ok(());
        }
        let oldest = self.oldest_in(namespace, Class::Answering, 1, |_| true)?;
        if oldest.first().is_none_or(|(last_us, _)| is_silent(*last_us, now_us - self.passed_us)) {
            return Ok(());
        }
        Err(Error::Busy(format!(
            "namespace {namespace:?} has {answering} producer streams, none of them silent for {} minutes, and \
             producer_streams is {limit}; use producers for longer, or raise it with ALTER NAMESPACE",
            SPARED_US / 60_000_000
        )))
    }

    /// What a namespace that is over its limit is to forget: streams that lose their answers, and streams that are then not
    /// known at all any more, because as many without answers are. A little more than must be, so that not every new stream
    /// takes a record.
    pub(in crate::state) fn excess(
        &self,
        namespace: &str,
        limit: u64,
        now_us: i64,
    ) -> Result<(Vec<StreamId>, Vec<StreamId>)> {
        let over = self.tables.count_in(namespace, Class::Answering).saturating_sub(limit);
        if over == 0 {
            return Ok(Default::default());
        }
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let wanted = count(over.saturating_add(limit / 64)).min(FORGOTTEN_AT_ONCE);
        let silent = |last_us| is_silent(last_us, now_us - self.passed_us);
        let ids = |found: Vec<(i64, StreamId)>| found.into_iter().map(|(_, stream)| stream).collect::<Vec<_>>();
        let answers = ids(self.oldest_in(namespace, Class::Answering, wanted, silent)?);
        let known = self.tables.count_in(namespace, Class::Forgotten).saturating_add(answers.len() as u64);
        let beyond = count(known.saturating_sub(limit)).min(2 * FORGOTTEN_AT_ONCE);
        let mut whole = match beyond {
            0 => Vec::new(),
            beyond => ids(self.oldest_in(namespace, Class::Forgotten, beyond, |_| true)?),
        };
        whole.extend(answers.iter().copied().take(beyond.saturating_sub(whole.len())));
        Ok((answers, whole))
    }

    /// The oldest streams of a namespace, oldest first, as long as they are `wanted`. Tables are looked at in the order of the bounds of
    /// their ages, so that few of many are.
    fn oldest_in(
        &self,
        namespace: &str,
        class: Class,
        limit: usize,
        wanted: impl Fn(i64) -> bool,
    ) -> Result<Vec<(i64, StreamId)>> {
        let mut read: BTreeMap<TableId, VecDeque<(i64, StreamId)>> = BTreeMap::new();
        let tables = self.tables.in_space(namespace, class);
        let mut heap: BinaryHeap<_> = tables.map(|(table, oldest_us)| Reverse((oldest_us, table, None))).collect();
        let mut found = Vec::new();
        while let Some(Reverse((last_us, table, id))) = heap.pop() {
            if found.len() == limit || !wanted(last_us) {
                break;
            }
            if let Some(id) = id {
                found.push((last_us, (table, id)));
            }
            let queue = read.entry(table).or_default();
            if queue.is_empty() {
                queue.extend(self.oldest_of(table, class, id.map(|id| (last_us, id)), READ_AT_ONCE.min(limit))?);
            }
            if let Some((last_us, (table, id))) = queue.pop_front() {
                heap.push(Reverse((last_us, table, Some(id))));
            }
        }
        Ok(found)
    }
}
