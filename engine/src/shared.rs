//! What every part of one open engine shares.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::evaluation::Evaluations;
use crate::events::Events;
use crate::groups::Coordinator;
use crate::log::Log;
use crate::maintenance::Maintenance;
use crate::record::{Change, Record, RecordContext};
use crate::segments::Segments;
use crate::state::{State, Store};
use crate::watchers::Watchers;
use crate::{EngineOptions, Error, PluginHost, Result, TableId, TableInfo, TopicCompiler, TopicId, TopicInfo};

/// One open engine. Lock order where two are needed: groups, then state; never the other way round.
#[derive(Debug)]
pub(crate) struct Shared {
    pub options: EngineOptions,
    /// Durable, applied state: what readers see.
    pub state: RwLock<State>,
    /// Where checkpoints of `state` go.
    pub store: Store,
    pub log: Log,
    pub compiler: RwLock<Option<Arc<dyn TopicCompiler>>>,
    pub host: RwLock<Option<Arc<dyn PluginHost>>>,
    pub watchers: Watchers,
    pub events: Arc<Events>,
    pub segments: Segments,
    pub maintenance: Maintenance,
    pub groups: Coordinator,
    pub evaluations: Evaluations,
}

impl Shared {
    /// Makes the records of a durable commit visible to readers, and wakes those who wait for the tables they touch.
    pub(crate) fn apply_commit(&self, records: &[(RecordContext, Record)]) {
        {
            let mut state = self.state.write();
            for (context, record) in records {
                if let Record::Change(change) = record
                    && let Change::TableDropped { table } = **change
                {
                    self.segments.bury_table(&state, table);
                }
                state.apply(*context, record);
            }
        }
        let touched: BTreeSet<TableId> = records.iter().filter_map(|(_, record)| record.table()).collect();
        self.watchers.wake(touched);
    }

    /// Writes everything applied since the last checkpoint to the state store, in one synced batch.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.store.checkpoint(&self.state)
    }

    pub(crate) fn table(&self, id: TableId) -> Result<Arc<TableInfo>> {
        let state = self.state.read();
        state.table(id).cloned().ok_or_else(|| Error::NotFound { what: "table", name: format!("#{id}") })
    }

    pub(crate) fn topic(&self, id: TopicId) -> Result<Arc<TopicInfo>> {
        let state = self.state.read();
        state.topic(id).cloned().ok_or_else(|| Error::NotFound { what: "topic", name: format!("#{id}") })
    }
}
