//! How many streams tables and namespaces have. In memory: there are as many as tables with producers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ages::Class;
use crate::model::TableId;
use crate::state::changed::Changed;

/// Of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TableStreams {
    answering: u64,
    forgotten: u64,
    /// No stream is older; not always the age of one.
    pub oldest_us: i64,
}

/// Of one namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Space {
    answering: u64,
    forgotten: u64,
    tables: BTreeSet<TableId>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct TableCounts {
    /// Tables with streams.
    tables: BTreeMap<TableId, (Arc<str>, TableStreams)>,
    spaces: BTreeMap<Arc<str>, Space>,
    /// No stream of any table is older; `None` before the first.
    oldest_us: Option<i64>,
    pub unwritten: Changed<TableId>,
}

/// Bounds of ages are only a short cut.
impl PartialEq for TableCounts {
    fn eq(&self, other: &TableCounts) -> bool {
        self.spaces == other.spaces
    }
}

impl TableCounts {
    /// The writer's copy.
    pub(super) fn ahead(&self) -> TableCounts {
        TableCounts { unwritten: Changed::untracked(), ..self.clone() }
    }

    pub(super) fn get(&self, table: TableId) -> Option<&TableStreams> {
        self.tables.get(&table).map(|(_, streams)| streams)
    }

    /// Streams with and without answers.
    pub(super) fn count(&self) -> (u64, u64) {
        let counts = self.spaces.values().map(|space| (space.answering, space.forgotten));
        counts.fold((0, 0), |all, space| (all.0 + space.0, all.1 + space.1))
    }

    /// Of a namespace.
    pub(super) fn count_in(&self, namespace: &str, class: Class) -> u64 {
        self.spaces.get(namespace).map_or(0, |space| *space.of(class))
    }

    /// Tables of a namespace that have streams, with the bounds of their ages.
    pub(super) fn in_space(&self, namespace: &str, class: Class) -> impl Iterator<Item = (TableId, i64)> {
        let tables = self.spaces.get(namespace).into_iter().flat_map(|space| &space.tables);
        tables.filter_map(move |table| {
            let streams = self.get(*table).filter(|streams| streams.of(class) > 0)?;
            Some((*table, streams.oldest_us))
        })
    }

    /// No stream is older than this; `None` where there never was one.
    pub(super) fn oldest_us(&self) -> Option<i64> {
        self.oldest_us
    }

    /// Tables that may have a stream as old as this.
    pub(super) fn as_old_as(&self, is_old: impl Fn(i64) -> bool) -> Vec<TableId> {
        let old = self.tables.iter().filter(|(_, (_, streams))| is_old(streams.oldest_us));
        old.map(|(table, _)| *table).collect()
    }

    pub(super) fn bound_ages(&mut self, bounds: impl IntoIterator<Item = (TableId, i64)>) {
        for (table, oldest_us) in bounds {
            if let Some((_, streams)) = self.tables.get_mut(&table) {
                streams.oldest_us = oldest_us;
            }
        }
        self.oldest_us = self.tables.values().map(|(_, streams)| streams.oldest_us).min();
    }

    pub(super) fn add(&mut self, namespace: &str, table: TableId, class: Class, last_us: i64) {
        self.unwritten.mark(table);
        self.oldest_us = Some(self.oldest_us.map_or(last_us, |oldest_us| oldest_us.min(last_us)));
        let space = match self.spaces.get_mut(namespace) {
            Some(space) => space,
            None => self.spaces.entry(Arc::from(namespace)).or_default(),
        };
        *space.of_mut(class) += 1;
        space.tables.insert(table);
        let fresh = || {
            let streams = TableStreams { answering: 0, forgotten: 0, oldest_us: last_us };
            (Arc::from(namespace), streams)
        };
        let (_, streams) = self.tables.entry(table).or_insert_with(fresh);
        streams.oldest_us = streams.oldest_us.min(last_us);
        *streams.of_mut(class) += 1;
    }

    pub(super) fn take(&mut self, table: TableId, class: Class) {
        self.unwritten.mark(table);
        let Some((namespace, streams)) = self.tables.get_mut(&table) else { return };
        let count = streams.of_mut(class);
        *count = count.saturating_sub(1);
        let empty = (streams.answering, streams.forgotten) == (0, 0);
        if let Some(space) = self.spaces.get_mut(namespace) {
            let count = space.of_mut(class);
            *count = count.saturating_sub(1);
        }
        if empty {
            self.remove(table);
        }
    }

    /// A stream of the table is of another class from now on.
    pub(super) fn change(&mut self, table: TableId, from: Class, to: Class) {
        self.unwritten.mark(table);
        let Some((namespace, streams)) = self.tables.get_mut(&table) else { return };
        *streams.of_mut(from) = streams.of(from).saturating_sub(1);
        *streams.of_mut(to) += 1;
        if let Some(space) = self.spaces.get_mut(namespace) {
            *space.of_mut(from) = space.of(from).saturating_sub(1);
            *space.of_mut(to) += 1;
        }
    }

    /// Takes a table away with all that it has.
    pub(super) fn remove(&mut self, table: TableId) {
        self.unwritten.mark(table);
        let Some((namespace, streams)) = self.tables.remove(&table) else { return };
        let Some(space) = self.spaces.get_mut(&namespace) else { return };
        space.answering = space.answering.saturating_sub(streams.answering);
        space.forgotten = space.forgotten.saturating_sub(streams.forgotten);
        space.tables.remove(&table);
        if space.tables.is_empty() {
            self.spaces.remove(&namespace);
        }
    }

    /// Puts back a table that was stored. Its namespace is told later.
    pub(super) fn restore(&mut self, table: TableId, streams: TableStreams) {
        self.tables.insert(table, (Arc::from(""), streams));
    }

    /// Tells the namespaces of tables that were put back; those of none are gone.
    pub(super) fn restored<'a>(&mut self, namespace_of: impl Fn(TableId) -> Option<&'a str>) {
        self.spaces.clear();
        for (table, (namespace, streams)) in &mut self.tables {
            *namespace = Arc::from(namespace_of(*table).unwrap_or_default());
            let space = self.spaces.entry(namespace.clone()).or_default();
            space.answering += streams.answering;
            space.forgotten += streams.forgotten;
            space.tables.insert(*table);
        }
        self.bound_ages([]);
    }
}

impl TableStreams {
    fn of(&self, class: Class) -> u64 {
        match class {
            Class::Answering => self.answering,
            Class::Forgotten => self.forgotten,
        }
    }

    fn of_mut(&mut self, class: Class) -> &mut u64 {
        match class {
            Class::Answering => &mut self.answering,
            Class::Forgotten => &mut self.forgotten,
        }
    }
}

impl Space {
    fn of(&self, class: Class) -> &u64 {
        match class {
            Class::Answering => &self.answering,
            Class::Forgotten => &self.forgotten,
        }
    }

    fn of_mut(&mut self, class: Class) -> &mut u64 {
        match class {
            Class::Answering => &mut self.answering,
            Class::Forgotten => &mut self.forgotten,
        }
    }
}
