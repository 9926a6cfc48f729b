//! One running guest: its store, its memory, and calls into it within their limits.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_buffer::{BooleanBuffer, Buffer};
use arrow_schema::SchemaRef;
use millstream_engine::{FailureKind, OperatorError, PluginDescription, PluginLimits};
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance as WasmInstance, Lift, Lower};

use crate::compile::Compiled;
use crate::contract::WireFilter;
use crate::deadline::Ticker;
use crate::failure::{StartError, call_failure, clip, failure, start_failure};
use crate::guest::Guest;
use crate::message::{self, Encoder};

/// What a guest may hand over in one call besides a bitmap: descriptions, errors, log lines.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// An instance. It is used by one call at a time, and after a failure other than the guest's own error never again.
pub(crate) struct Instance {
    store: Store<Guest>,
    instance: WasmInstance,
    compiled: Compiled,
    ticker: Arc<Ticker>,
    call_timeout: Duration,
    /// Set by [`Self::open`].
    encoder: Option<Encoder>,
    calls: u64,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("calls", &self.calls).finish_non_exhaustive()
    }
}

impl Instance {
    /// Instantiates a module, which runs its start function.
    pub(crate) fn start(
        compiled: &Compiled,
        limits: &PluginLimits,
        ticker: &Arc<Ticker>,
        plugin: &str,
    ) -> Result<Instance, StartError> {
        let guest = Guest::new(plugin.into(), limits.memory_bytes);
        let mut store = Store::new(compiled.pre.engine(), guest);
        store.limiter(|guest| guest);
        store.set_hostcall_fuel(MAX_ANSWER_BYTES);
        let call_timeout = Duration::from_millis(limits.call_timeout_ms);
        let started = {
            let _running = ticker.arm(&mut store, call_timeout);
            compiled.pre.instantiate(&mut store)
        };
        let instance = started.map_err(|e| start_failure(&e, store.data_mut()))?;
        let (compiled, ticker) = (compiled.clone(), ticker.clone());
        Ok(Instance { store, instance, compiled, ticker, call_timeout, encoder: None, calls: 0 })
    }

    /// Asks the guest what it is.
    pub(crate) fn describe(&mut self) -> Result<PluginDescription, OperatorError> {
        let describe = self.compiled.exports.describe;
        let (description,): (WireFilter,) = self.call("describe", &describe, ())?;
        description.check()
    }

    /// Prepares the instance for batches of `schema`.
    pub(crate) fn open(&mut self, schema: &SchemaRef, config: &str) -> Result<(), OperatorError> {
        let open = self.compiled.exports.open;
        let message = message::schema_message(schema)?;
        let (opened,): (Result<(), String>,) = self.call("open", &open, (&message[..], config))?;
        opened.map_err(|text| failure(FailureKind::Data, format!("open answered: {}", clip(&text))))?;
        self.encoder = Some(Encoder::new(schema)?);
        Ok(())
    }

    /// Asks which rows to keep. Also gives the size of the message.
    pub(crate) fn filter(&mut self, batch: &RecordBatch) -> Result<(BooleanArray, usize), OperatorError> {
        // The encoder is lent out for the call, so that its message can be borrowed beside the store.
        let mut encoder = self.encoder.take().ok_or_else(|| failure(FailureKind::Host, "the instance is not open"))?;
        let answer = match encoder.encode(batch) {
            Ok(message) => {
                let bytes = message.len();
                self.filter_message(message, batch.num_rows()).map(|selection| (selection, bytes))
            }
            Err(e) => Err(e),
        };
        self.encoder = Some(encoder);
        self.calls += 1;
        answer
    }

    /// True when no batch has been through this instance, so that a failure can't be a batch's before.
    pub(crate) fn is_fresh(&self) -> bool {
        self.calls == 0
    }

    fn filter_message(&mut self, message: &[u8], rows: usize) -> Result<BooleanArray, OperatorError> {
        let filter = self.compiled.exports.filter;
        let (answer,): (Result<Vec<u8>, String>,) = self.call("filter", &filter, (message,))?;
        let bitmap = answer.map_err(|text| failure(FailureKind::Data, clip(&text)))?;
        let expected = rows.div_ceil(8);
        if bitmap.len() != expected {
            return Err(failure(
                FailureKind::BadOutput,
                format!(
                    "filter answered with a bitmap of {} bytes for {rows} rows; it must have {expected}",
                    bitmap.len()
                ),
            ));
        }
        Ok(BooleanArray::new(BooleanBuffer::new(Buffer::from_vec(bitmap), 0, rows), None))
    }

    fn call<P, R>(&mut self, name: &str, export: &ComponentExportIndex, arguments: P) -> Result<R, OperatorError>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        self.store.data_mut().next_call();
        let function = self.instance.get_typed_func::<P, R>(&mut self.store, export).map_err(|e| {
            failure(FailureKind::BadOutput, format!("{name} has another type than the contract's: {e:#}"))
        })?;
        let answer = {
            let _running = self.ticker.arm(&mut self.store, self.call_timeout);
            function.call(&mut self.store, arguments)
        };
        answer.map_err(|e| call_failure(name, &e, self.store.data_mut()))
    }
}
