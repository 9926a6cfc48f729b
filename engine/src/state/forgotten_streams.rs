//! Telling an operator that producers were forgotten for want of room, without telling it for each of them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::platform::Events;
use crate::state::State;
use crate::state::{Change, Record, RecordContext};

/// A namespace is told of again when the log has gone on for this long.
const TOLD_AGAIN_US: i64 = 3_600 * 1_000_000;
/// Namespaces of which it is known when they were told of.
const NAMESPACES_KEPT: usize = 1_024;

#[derive(Debug, Default)]
pub(crate) struct ForgottenStreams {
    count: AtomicU64,
    told_us: Mutex<HashMap<String, i64>>,
}

impl ForgottenStreams {
    /// Streams that have lost their answers since opening.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Called with every record before it is applied.
    pub(crate) fn note(&self, state: &State, events: &Events, context: RecordContext, record: &Record) {
        let Record::Change(change) = record else { return };
        let Change::ProducersForgotten { answers, .. } = change.as_ref() else { return };
        self.count.fetch_add(answers.len() as u64, Ordering::Relaxed);
        let Some(table) = answers.first().and_then(|(table, _)| state.table(*table)) else { return };
        let mut told_us = self.told_us.lock();
        let last = told_us.get(&table.namespace).copied();
        if last.is_some_and(|last| context.append_us.saturating_sub(last) < TOLD_AGAIN_US) {
            return;
        }
        if told_us.len() >= NAMESPACES_KEPT {
            told_us.clear();
        }
        told_us.insert(table.namespace.clone(), context.append_us);
        events.push(
            "producers_forgotten",
            format!(
                "namespace {:?} has more producer streams than producer_streams lets it have: those that were silent for \
                 longest are forgotten, and their next batch is refused",
                table.namespace
            ),
        );
    }
}
