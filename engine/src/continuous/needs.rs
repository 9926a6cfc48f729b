//! What topics work with: the rooms below, and what topics say to one another.

use std::collections::{BTreeMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;

use super::board::Board;
use crate::contract::ContinuousPlan;
use crate::cursor::Tables;
use crate::log::Ledger;
use crate::model::{ContinuousId, ContinuousInfo, Error, Result, TableId, TableInfo};
use crate::platform::panic_text;
use crate::plugins::Plugins;
use crate::write::Appender;

#[derive(Debug)]
pub(super) struct Needs {
    pub ledger: Arc<Ledger>,
    pub tables: Arc<Tables>,
    pub appender: Arc<Appender>,
    pub plugins: Arc<Plugins>,
    pub board: Arc<Board>,
    /// By output: how far event time has to come for topics that read it.
    wanted: Mutex<HashMap<TableId, BTreeMap<ContinuousId, i64>>>,
}

impl Needs {
    pub(super) fn new(appender: &Arc<Appender>, plugins: &Arc<Plugins>) -> Needs {
        Needs {
            ledger: plugins.ledger.clone(),
            tables: plugins.tables.clone(),
            appender: appender.clone(),
            plugins: plugins.clone(),
            board: Arc::default(),
            wanted: Mutex::default(),
        }
    }

    /// How far event time has to come for those who read the output, if `watermark_us`, which is on record, is less.
    pub(super) fn wanted(&self, output: TableId, watermark_us: Option<i64>) -> Option<i64> {
        let wanted = self.wanted.lock().get(&output).and_then(|wanted| wanted.values().min().copied());
        wanted.filter(|wanted_us| watermark_us < Some(*wanted_us))
    }

    /// Says how far event time has to come in the sources that are outputs of others.
    pub(super) fn want(&self, info: &ContinuousInfo, target_us: Option<i64>) {
        let of: Vec<(TableId, ContinuousId)> = {
            let state = self.ledger.state.read();
            let of =
                info.sources.iter().filter_map(|table| Some((*table, state.catalog().continuous_of_table(*table)?.id)));
            of.collect()
        };
        for (table, topic) in of {
            let mut wanted = self.wanted.lock();
            let by = wanted.entry(table).or_default();
            let before = match target_us {
                Some(target_us) => by.insert(info.id, target_us),
                None => by.remove(&info.id),
            };
            drop(wanted);
            if target_us.is_some() && before != target_us {
                self.board.note(topic);
            }
        }
    }

    /// What the topic computes, by its definition.
    pub(super) fn compile(&self, info: &ContinuousInfo, tables: &[Arc<TableInfo>]) -> Result<Arc<dyn ContinuousPlan>> {
        let compiler = self.plugins.compiler.read().clone();
        let compiler = compiler.ok_or_else(|| Error::Busy("no topic compiler is set".to_owned()))?;
        let called = self.plugins.called(&info.plugins, &info.functions)?;
        let compiled = catch_unwind(AssertUnwindSafe(|| compiler.compile_continuous(info, tables, &called)));
        compiled.unwrap_or_else(|panic| {
            Err(Error::Internal(format!("compiling it has panicked: {}", panic_text(panic.as_ref()))))
        })
    }

    /// What is wanted for a topic that is gone is wanted no more.
    pub(super) fn forget(&self, topic: ContinuousId) {
        self.wanted.lock().values_mut().for_each(|wanted| {
            wanted.remove(&topic);
        });
    }

    /// Whether topics can be compiled.
    pub(super) fn is_ready(&self, info: &ContinuousInfo) -> bool {
        self.plugins.compiler.read().is_some() && (info.plugins.is_empty() || self.plugins.host.read().is_some())
    }
}
