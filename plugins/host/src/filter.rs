//! A filter plugin as a function that SQL can call.

use std::fmt;
use std::sync::Arc;

use arrow_array::builder::BooleanBufferBuilder;
use arrow_array::{Array as _, ArrayRef, BooleanArray, RecordBatch};
use millstream_engine::{Error, FailureKind, FunctionSignature, OperatorError, PluginInfo, Result, ScalarFunction};

use crate::figures::Counters;
use crate::message;
use crate::pool::Pool;

/// One message holds at most this many rows, and about as many bytes.
const MAX_CALL_ROWS: usize = 65_536;
const MAX_CALL_BYTES: usize = 4 << 20;

/// A loaded filter.
pub(crate) struct WasmFilter {
    plugin: PluginInfo,
    signature: FunctionSignature,
    pool: Pool,
    counters: Arc<Counters>,
}

impl fmt::Debug for WasmFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmFilter")
            .field("plugin", &self.plugin.name)
            .field("version", &self.plugin.version)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

impl WasmFilter {
    pub(crate) fn new(plugin: PluginInfo, pool: Pool, counters: Arc<Counters>) -> WasmFilter {
        let signature = FunctionSignature {
            parameters: plugin.description.parameters.clone(),
            returns: plugin.description.returns.clone(),
            volatility: plugin.description.volatility,
        };
        WasmFilter { plugin, signature, pool, counters }
    }

    pub(crate) fn plugin(&self) -> &PluginInfo {
        &self.plugin
    }

    /// Starts the first instance, so that a configuration that the guest refuses is an error now.
    pub(crate) fn warm(&self) -> Result<()> {
        self.pool.lend().map(drop).map_err(|e| {
            let message = format!("plugin {:?} does not start: {e}", self.plugin.name);
            match e.kind {
                FailureKind::Host => Error::Busy(message),
                _ => Error::InvalidInput(message),
            }
        })
    }

    /// One call into the guest. A failure of an instance that has seen other batches is confirmed on a fresh one:
    /// what it kept of them, and memory that it did not give back, are then not held against these rows.
    fn call_once(&self, batch: &RecordBatch) -> Result<BooleanArray, OperatorError> {
        let mut lease = self.pool.lend()?;
        loop {
            let instance = lease.instance()?;
            let fresh = instance.is_fresh();
            match instance.filter(batch) {
                Ok((selection, bytes)) => {
                    self.counters.calls.add(1);
                    self.counters.rows.add(batch.num_rows() as u64);
                    self.counters.bytes_in.add(bytes as u64);
                    return Ok(selection);
                }
                Err(e) => match e.kind {
                    FailureKind::Data => return Err(e),
                    FailureKind::Trap | FailureKind::Memory | FailureKind::BadOutput if !fresh => lease.renew()?,
                    _ => {
                        lease.discard();
                        return Err(e);
                    }
                },
            }
        }
    }

    fn call_in_parts(&self, batch: &RecordBatch) -> Result<BooleanArray, OperatorError> {
        let rows = batch.num_rows();
        let part = rows_of_a_call(batch);
        if part >= rows {
            return self.call_once(batch);
        }
        let mut selection = BooleanBufferBuilder::new(rows);
        for first in (0..rows).step_by(part) {
            let answer = self.call_once(&batch.slice(first, part.min(rows - first)))?;
            selection.append_buffer(answer.values());
        }
        Ok(BooleanArray::new(selection.finish(), None))
    }
}

impl ScalarFunction for WasmFilter {
    fn name(&self) -> &str {
        &self.plugin.name
    }

    fn signature(&self) -> &FunctionSignature {
        &self.signature
    }

    fn call(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef, OperatorError> {
        let batch = message::batch(self.pool.schema(), arguments, rows)?;
        if rows == 0 {
            return Ok(Arc::new(BooleanArray::from(Vec::<bool>::new())));
        }
        let answer = self.call_in_parts(&batch).map_err(|e| {
            self.counters.failed(e.kind);
            OperatorError { kind: e.kind, message: format!("plugin {:?}: {}", self.plugin.name, e.message) }
        })?;
        Ok(Arc::new(answer))
    }
}

/// How many rows to send at once, given how wide they are.
fn rows_of_a_call(batch: &RecordBatch) -> usize {
    let bytes: usize = batch.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or(0)).sum();
    let parts = bytes.div_ceil(MAX_CALL_BYTES).max(1);
    batch.num_rows().div_ceil(parts).clamp(1, MAX_CALL_ROWS)
}
