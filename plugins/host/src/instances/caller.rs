//! Calls of one plugin: the arguments as messages, an instance from the pool for each, the answers checked.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{Array as _, ArrayRef, RecordBatch};
use millstream_engine::{Error, FailureKind, OperatorError, PluginInfo, PluginVersion, Result};

use super::instance::Instance;
use super::pool::Pool;
use crate::calls::Answered;
use crate::contract::Wire;
use crate::failure::failure;
use crate::figures::Counters;
use crate::messages;

/// One message holds at most this many rows, and about as many bytes.
const MAX_CALL_ROWS: usize = 65_536;
const MAX_CALL_BYTES: usize = 4 << 20;

/// What one kind of plugin answers.
pub(crate) trait Kind: fmt::Debug + Send + Sync + 'static {
    /// The answer as it crosses the border.
    type Answer: Wire;
    /// The answer once it is checked.
    type Output;

    /// Checks an answer about `rows` rows. An error says what is wrong with it.
    fn check(&self, answer: Self::Answer, rows: usize) -> Result<Self::Output, String>;

    /// The size of an answer, in bytes.
    fn answer_bytes(answer: &Self::Answer) -> usize;

    /// How many rows come out of `rows`.
    fn rows_out(output: &Self::Output, rows: usize) -> usize;
}

/// Calls a plugin.
pub(crate) struct Caller<K> {
    plugin: PluginInfo,
    /// The same, as failures name it.
    version: Arc<PluginVersion>,
    kind: K,
    pool: Pool,
    counters: Arc<Counters>,
}

impl<K> fmt::Debug for Caller<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("plugin", &self.plugin.name)
            .field("version", &self.plugin.version)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

impl<K: Kind> Caller<K> {
    /// Starts the first instance, so that a configuration that the guest refuses is an error now.
    pub(crate) fn new(plugin: &PluginInfo, kind: K, pool: Pool, counters: &Arc<Counters>) -> Result<Caller<K>> {
        pool.begin().map_err(|e| Error::InvalidInput(format!("plugin {:?} does not start: {e}", plugin.name)))?;
        let version = Arc::new(PluginVersion { name: plugin.name.clone(), version: plugin.version });
        Ok(Caller { plugin: plugin.clone(), version, kind, pool, counters: counters.clone() })
    }

    pub(crate) fn plugin(&self) -> &PluginInfo {
        &self.plugin
    }

    /// Calls the plugin about `rows` rows, in as many parts as they take; gives the answers with the rows each is about,
    /// in order. Without rows nothing is called.
    pub(crate) fn call(&self, arguments: &[ArrayRef], rows: usize) -> Result<Vec<(usize, K::Output)>, OperatorError> {
        self.ready().and_then(|()| self.call_parts(arguments, rows)).map_err(|e| self.failed(e))
    }

    /// One call about all rows of a batch, made by `work`, which may be asked to do it again.
    pub(crate) fn call_by(
        &self,
        batch: &RecordBatch,
        work: impl FnMut(&mut Instance) -> Result<(K::Answer, usize), OperatorError>,
    ) -> Result<K::Output, OperatorError> {
        self.ready().and_then(|()| self.attempt(batch.num_rows(), work)).map_err(|e| self.failed(e))
    }

    /// How long calls are to be held back.
    pub(crate) fn throttled(&self) -> Option<Duration> {
        self.pool.calls().throttled()
    }

    fn ready(&self) -> Result<(), OperatorError> {
        let calls = self.pool.calls();
        calls.check().inspect_err(|e| calls.uses.current().failed(e.kind))
    }

    /// The arguments of a call as the guest reads them.
    pub(crate) fn batch(&self, arguments: &[ArrayRef], rows: usize) -> Result<RecordBatch, OperatorError> {
        messages::argument_batch(self.pool.schema(), arguments, rows)
    }

    fn failed(&self, error: OperatorError) -> OperatorError {
        self.counters.failed(error.kind);
        let message = format!("plugin {:?}: {}", self.plugin.name, error.message);
        OperatorError { kind: error.kind, message, plugin: Some(self.version.clone()) }
    }

    fn call_once(&self, batch: &RecordBatch) -> Result<K::Output, OperatorError> {
        self.attempt(batch.num_rows(), |instance| instance.work::<K::Answer>(batch))
    }

    fn call_parts(&self, arguments: &[ArrayRef], rows: usize) -> Result<Vec<(usize, K::Output)>, OperatorError> {
        let batch = self.batch(arguments, rows)?;
        let part = rows_of_a_call(&batch);
        let parts = (0..rows).step_by(part).map(|first| batch.slice(first, part.min(rows - first)));
        parts.map(|part| Ok((part.num_rows(), self.call_once(&part)?))).collect()
    }

    /// One call into the guest. A failure of an instance that has seen other batches is confirmed on a fresh one:
    /// what it kept of them, and memory that it did not give back, are then not held against these rows.
    fn attempt(
        &self,
        rows: usize,
        mut work: impl FnMut(&mut Instance) -> Result<(K::Answer, usize), OperatorError>,
    ) -> Result<K::Output, OperatorError> {
        let plugin = &*self.version;
        let _span =
            tracing::debug_span!(target: "millstream::plugin", "call", plugin = plugin.name, plugin.version, rows)
                .entered();
        let calls = self.pool.calls();
        let of = calls.uses.current();
        calls.share.hold(&of);
        let asked = Instant::now();
        let lent = self.pool.lend();
        of.queued(asked.elapsed());
        let mut lease = lent.inspect_err(|e| of.failed(e.kind))?;
        loop {
            let instance = lease.instance()?;
            let fresh = instance.is_fresh();
            let began = calls.meter.start();
            let answer = work(instance).and_then(|answer| self.take(instance, rows, answer));
            let memory = instance.memory_used();
            let error = match answer {
                Ok((output, answered)) => {
                    self.counters.calls.add(1);
                    self.counters.rows.add(rows as u64);
                    self.counters.bytes_in.add(answered.bytes_in as u64);
                    let took = calls.meter.end(&began);
                    of.ended(took, memory, Ok(answered));
                    calls.ended(took, Ok(answered));
                    return Ok(output);
                }
                Err(error) => error,
            };
            let took = calls.meter.end(&began);
            let unconfirmed = matches!(error.kind, FailureKind::Trap | FailureKind::Memory | FailureKind::BadOutput);
            if unconfirmed && !fresh {
                calls.share.used(took, 0);
                of.started(took);
                lease.renew()?;
                continue;
            }
            of.ended(took, memory, Err(error.kind));
            calls.ended(took, Err(&error));
            if error.kind != FailureKind::Data {
                lease.discard();
            }
            return Err(error);
        }
    }

    /// Checks an answer about `rows` rows, which were sent in so many bytes.
    fn take(
        &self,
        instance: &Instance,
        rows: usize,
        (answer, bytes_in): (K::Answer, usize),
    ) -> Result<(K::Output, Answered), OperatorError> {
        let bytes_out = K::answer_bytes(&answer);
        let output = self.kind.check(answer, rows).map_err(|why| {
            let work = instance.work_name();
            failure(FailureKind::BadOutput, format!("the answer of {work} about {rows} rows is wrong: {why}"))
        })?;
        let rows_out = K::rows_out(&output, rows);
        Ok((output, Answered { rows_in: rows, rows_out, bytes_in, bytes_out }))
    }
}

/// How many rows to send at once, given how wide they are.
fn rows_of_a_call(batch: &RecordBatch) -> usize {
    let bytes: usize = batch.columns().iter().map(|c| c.to_data().get_slice_memory_size().unwrap_or(0)).sum();
    let parts = bytes.div_ceil(MAX_CALL_BYTES).max(1);
    batch.num_rows().div_ceil(parts).clamp(1, MAX_CALL_ROWS)
}
