//! One running guest: its store, its memory, and calls into it within their limits.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use millstream_engine::{
    Capability, FailureKind, KeyedState, OperatorError, PluginDescription, PluginKind, PluginLimits,
};
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, ComponentNamedList, Instance as WasmInstance, Lift, Lower};

use super::blame::{answered_failure, call_failure, start_failure};
use super::deadline::Ticker;
use crate::compile::Compiled;
use crate::contract::{
    CONTRACTS, Description, Wire, WireAnswer, WireCheckback, WireConsumer, WireFilter, WireFilterV1, WireFunction,
    WirePosition, WireTransform,
};
use crate::failure::{StartError, clip, failure};
use crate::guest::{Guest, Owner, Tables};
use crate::http::Http;
use crate::messages::{self, Encoder};

/// What a guest may hand over in one call besides its output: descriptions, errors, log lines.
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
        owner: Owner,
    ) -> Result<Instance, StartError> {
        let guest = Guest::new(plugin.into(), limits.memory_bytes, owner);
        let mut store = Store::new(compiled.pre.engine(), guest);
        store.limiter(|guest| guest);
        let output_bytes = usize::try_from(limits.output_bytes).unwrap_or(usize::MAX);
        store.set_hostcall_fuel(output_bytes.max(MAX_ANSWER_BYTES));
        let call_timeout = Duration::from_millis(limits.call_timeout_ms);
        let started = {
            let limit = store.data().timeout(call_timeout);
            let _running = ticker.arm(&mut store, limit)?;
            compiled.pre.instantiate(&mut store)
        };
        let instance = started.map_err(|e| start_failure(&e, store.data_mut()))?;
        let (compiled, ticker) = (compiled.clone(), ticker.clone());
        Ok(Instance { store, instance, compiled, ticker, call_timeout, encoder: None, calls: 0 })
    }

    /// The memory that the last call would have had with what the namespace or the server does not have.
    pub(crate) fn lacked_memory(&self) -> Option<u64> {
        self.store.data().lacked_memory()
    }

    /// Bytes of linear memory and tables that it has.
    pub(crate) fn memory_used(&self) -> usize {
        self.store.data().memory_used()
    }

    /// Asks the guest what it is.
    pub(crate) fn describe(&mut self) -> Result<PluginDescription, OperatorError> {
        let offer = *self.compiled.offer;
        let description = match (offer.kind, offer.contract == CONTRACTS[0]) {
            (PluginKind::Filter, true) => self.describe_as::<WireFilterV1>()?,
            (PluginKind::Filter, false) => self.describe_as::<WireFilter>()?,
            (PluginKind::Function, _) => self.describe_as::<WireFunction>()?,
            (PluginKind::Transform, _) => self.describe_as::<WireTransform>()?,
            (PluginKind::Consumer, _) => self.describe_as::<WireConsumer>()?,
            (PluginKind::Checkback, _) => self.describe_as::<WireCheckback>()?,
        };
        description.check(&offer, &self.compiled.imported)
    }

    fn describe_as<W: Wire + Into<Description>>(&mut self) -> Result<Description, OperatorError> {
        let describe = self.compiled.exports.describe;
        let (description,): (W,) = self.call("describe", &describe, ())?;
        Ok(description.into())
    }

    /// Prepares the instance for batches of `schema`, with what it is granted. Gives the columns that come out of a
    /// transform as a Struct; nothing for other kinds.
    pub(crate) fn open(
        &mut self,
        schema: &SchemaRef,
        config: &str,
        grants: &BTreeSet<Capability>,
    ) -> Result<Option<DataType>, OperatorError> {
        self.store.data_mut().grant(grants);
        let open = self.compiled.exports.open;
        let message = messages::schema_message(schema)?;
        let refused = |text: String| failure(FailureKind::Data, format!("open answered: {}", clip(&text)));
        let gives = if self.compiled.offer.kind == PluginKind::Transform {
            let (opened,): (Result<Vec<u8>, String>,) = self.call("open", &open, (&message[..], config))?;
            let schema = messages::read_schema(opened.map_err(refused)?);
            let schema = schema.map_err(|why| {
                failure(FailureKind::BadOutput, format!("the schema that open answers is wrong: {why}"))
            })?;
            Some(DataType::Struct(schema.fields().clone()))
        } else {
            let (opened,): (Result<(), String>,) = self.call("open", &open, (&message[..], config))?;
            opened.map_err(refused)?;
            None
        };
        self.encoder = Some(Encoder::new(schema)?);
        Ok(gives)
    }

    /// What the guest may look rows up in from now on.
    pub(crate) fn give_tables(&mut self, tables: Arc<Tables>) {
        self.store.data_mut().give_tables(tables);
    }

    /// What the guest may send requests with from now on.
    pub(crate) fn give_http(&mut self, http: Arc<Http>) {
        self.store.data_mut().give_http(http);
    }

    /// What the function that does the work is called.
    pub(crate) fn work_name(&self) -> &'static str {
        self.compiled.offer.work
    }

    /// Has the guest do its work on a batch. Also gives the size of the message.
    pub(crate) fn work<W: Wire>(&mut self, batch: &RecordBatch) -> Result<(W, usize), OperatorError> {
        self.encoded(batch, |instance, message| instance.answer((message,)))
    }

    /// Has a consumer take a batch. `state` is what it reads and writes meanwhile; it comes back whatever happens.
    pub(crate) fn consume(
        &mut self,
        batch: &RecordBatch,
        position: &WirePosition,
        state: KeyedState,
    ) -> (Result<(WireAnswer, usize), OperatorError>, Option<KeyedState>) {
        self.store.data_mut().lend_state(state);
        let answer = self.encoded(batch, |instance, message| instance.answer((message, position.clone())));
        (answer, self.store.data_mut().take_state())
    }

    /// Does `call` with the message of a batch; gives the size of the message too.
    fn encoded<W>(
        &mut self,
        batch: &RecordBatch,
        call: impl FnOnce(&mut Instance, &[u8]) -> Result<W, OperatorError>,
    ) -> Result<(W, usize), OperatorError> {
        // The encoder is lent out for the call, so that its message can be borrowed beside the store.
        let mut encoder = self.encoder.take().ok_or_else(|| failure(FailureKind::Host, "the instance is not open"))?;
        let answer = match encoder.encode(batch) {
            Ok(message) => call(self, message).map(|answer| (answer, message.len())),
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

    /// Calls the function that does the work.
    fn answer<W: Wire, P: ComponentNamedList + Lower>(&mut self, arguments: P) -> Result<W, OperatorError> {
        let work = self.compiled.exports.work;
        let (answer,): (Result<W, String>,) = self.call(self.compiled.offer.work, &work, arguments)?;
        answer.map_err(|text| answered_failure(self.compiled.offer.work, &text, self.store.data()))
    }

    fn call<P, R>(&mut self, name: &str, export: &ComponentExportIndex, arguments: P) -> Result<R, OperatorError>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift + 'static,
    {
        let limit = self.store.data().timeout(self.call_timeout);
        self.store.data_mut().next_call(limit);
        let function = self.instance.get_typed_func::<P, R>(&mut self.store, export).map_err(|e| {
            failure(FailureKind::BadOutput, format!("{name} has another type than the contract's: {e:#}"))
        })?;
        let answer = {
            let _running = self.ticker.arm(&mut self.store, limit)?;
            function.call(&mut self.store, arguments)
        };
        answer.map_err(|e| call_failure(name, &e, self.store.data_mut()))
    }
}
