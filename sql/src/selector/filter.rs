//! A selector compiled.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use millstream_engine::{FunctionId, OperatorError, PluginId};

use super::call::Call;
use super::columns::{PropertyNames, Source, columns};
use super::condition::Condition;
use super::evaluate::{Evaluation, Truth};
use super::parse::parse;
use crate::Result;
use crate::plugin::Callables;
use crate::threads::evaluating;

/// What nodes of a condition take, for each byte of the text: `a OR` is one node.
const BYTES_FOR_EACH: usize = 48;

/// Which messages a consumer wants.
#[derive(Debug)]
pub struct MessageFilter {
    condition: Condition,
    sources: Vec<Source>,
    calls: Vec<Call>,
    pub(super) names: PropertyNames,
    _charge: Charge,
}

/// What came of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// The rows that pass.
    pub passing: Vec<u32>,
    /// Rows that don't because the expression fails on them: how many, the first one, and why.
    pub failed: Option<(usize, u32, String)>,
}

/// Memory of filters that are in use.
#[derive(Debug)]
pub(super) struct Charge {
    pub(super) used: Arc<AtomicUsize>,
    pub(super) bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What the filter of an expression takes, at most.
pub(super) fn bytes_of(expression: &str) -> usize {
    size_of::<MessageFilter>() + expression.len() * BYTES_FOR_EACH
}

impl MessageFilter {
    pub(super) fn compile(
        expression: &str,
        callables: &dyn Callables,
        names: PropertyNames,
        charge: Charge,
    ) -> Result<MessageFilter> {
        let parsed = parse(expression)?;
        let mut sources: Vec<Source> = parsed.properties.iter().map(|name| Source::of(name, names)).collect();
        let calls = parsed.calls.iter().map(|called| Call::of(called, callables, names, &mut sources));
        let calls = calls.collect::<Result<_>>()?;
        Ok(MessageFilter { condition: parsed.condition, sources, calls, names, _charge: charge })
    }

    /// The plugins that it calls, by the names under which it does.
    pub(super) fn plugins(&self) -> impl Iterator<Item = (&str, PluginId, Option<FunctionId>)> {
        self.calls.iter().map(|call| (call.plugin.name.as_str(), call.plugin.id, call.plugin.via))
    }

    /// How long to wait before it may be asked, because a plugin of it is over its share.
    pub fn throttled(&self) -> Option<Duration> {
        self.calls.iter().filter_map(|call| call.plugin.throttled()).max()
    }

    /// Which rows of a batch pass, whose first columns are those of messages. An error is a plugin's.
    pub fn select(&self, batch: &RecordBatch) -> Result<Selection, OperatorError> {
        let rows: Vec<u32> = (0..u32::try_from(batch.num_rows()).unwrap_or(u32::MAX)).collect();
        let columns = columns(&self.sources, batch)?;
        let mut evaluation = Evaluation { batch, columns: &columns, calls: &self.calls, failed: Vec::new() };
        let truths = evaluating(super::parse::MAX_DEPTH, || evaluation.truths(&self.condition, &rows, true))?;
        let with = |wanted: Truth| (0..).zip(&truths).filter(move |(_, truth)| **truth == wanted).map(|(row, _)| row);
        let failed = with(Truth::Failed).next().map(|first: u32| {
            let told = evaluation.failed.first().map(|(_, failure)| failure.to_string());
            (with(Truth::Failed).count(), first, told.unwrap_or_default())
        });
        Ok(Selection { passing: with(Truth::Yes).collect(), failed })
    }
}
