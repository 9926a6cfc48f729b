//! What the host keeps beside each instance: how much memory it may have, and what it has said.

mod imports;
mod tables;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_engine::{Capability, KeyedState, SystemClock};
use wasmtime::ResourceLimiter;

use crate::calls::{Calls, Requests};
use crate::contract::Level;
use crate::failure::clip;
use crate::http::{Http, REQUESTS_PER_CALL};
use crate::tenants::{Reserve, Tenant};
pub(crate) use imports::offer_imports;
pub(crate) use tables::Tables;

/// Log lines that one call may write; the rest is dropped.
const LINES_PER_CALL: u32 = 64;

/// What one table element is counted as.
const TABLE_ELEMENT_BYTES: usize = size_of::<usize>();

/// The data of a store.
#[derive(Debug)]
pub(crate) struct Guest {
    plugin: Arc<str>,
    memory_limit: usize,
    memory_used: usize,
    denied: bool,
    /// Why the namespace, or the server, refused memory to the call at hand, and how much it would have had with it.
    denied_by_others: Option<(String, u64)>,
    lines_left: u32,
    last_error: Option<String>,
    owner: Owner,
    grants: BTreeSet<Capability>,
    /// Of the partition that a consumer is at.
    state: Option<KeyedState>,
    /// Once it is open.
    tables: Option<Arc<Tables>>,
    /// Once it is open.
    http: Option<Arc<Http>>,
    requests_left: u32,
    /// Of the call at hand.
    deadline: Instant,
    pub(crate) clock: SystemClock,
}

/// Whose instance it is.
#[derive(Debug, Clone)]
pub(crate) struct Owner {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) reserve: Arc<Reserve>,
    /// Where its calls are counted; nowhere if the module is only looked at.
    pub(crate) calls: Option<Arc<Calls>>,
}

impl Guest {
    pub(crate) fn new(plugin: Arc<str>, memory_limit: u64, owner: Owner) -> Guest {
        Guest {
            plugin,
            memory_limit: usize::try_from(memory_limit).unwrap_or(usize::MAX),
            memory_used: 0,
            denied: false,
            denied_by_others: None,
            lines_left: LINES_PER_CALL,
            last_error: None,
            owner,
            grants: BTreeSet::new(),
            state: None,
            tables: None,
            http: None,
            requests_left: 0,
            deadline: Instant::now(),
            clock: SystemClock::default(),
        }
    }

    /// Bytes of linear memory and tables.
    pub(crate) fn memory_used(&self) -> usize {
        self.memory_used
    }

    /// What the guest may use from now on.
    pub(crate) fn grant(&mut self, grants: &BTreeSet<Capability>) {
        self.grants.clone_from(grants);
    }

    /// Ends the call of a guest that uses what it was not granted.
    pub(crate) fn check_granted(&self, capability: Capability) -> wasmtime::Result<()> {
        if self.grants.contains(&capability) {
            return Ok(());
        }
        Err(wasmtime::Error::msg(format!("it uses {:?}, which it is not granted", capability.name())))
    }

    /// What the guest reads and writes as its state, until it is taken back.
    pub(crate) fn lend_state(&mut self, state: KeyedState) {
        self.state = Some(state);
    }

    pub(crate) fn take_state(&mut self) -> Option<KeyedState> {
        self.state.take()
    }

    /// The state of the partition at hand, of a guest that may use it.
    pub(crate) fn state(&mut self) -> wasmtime::Result<&mut KeyedState> {
        self.check_granted(Capability::State)?;
        let missing = || wasmtime::Error::msg("it uses its state outside of \"consume\", where it has none");
        self.state.as_mut().ok_or_else(missing)
    }

    /// What the guest may look rows up in from now on.
    pub(crate) fn give_tables(&mut self, tables: Arc<Tables>) {
        self.tables = Some(tables);
    }

    /// The tables, and when the call ends.
    pub(crate) fn tables(&self) -> Option<(Arc<Tables>, Instant)> {
        self.tables.clone().map(|tables| (tables, self.deadline))
    }

    /// What the guest may send requests with from now on.
    pub(crate) fn give_http(&mut self, http: Arc<Http>) {
        self.http = Some(http);
    }

    /// Counts a request of the call at hand. Gives what to send it with, and when the call ends.
    pub(crate) fn next_request(&mut self) -> Result<(Arc<Http>, Instant), String> {
        let http = self.http.clone().ok_or("no host is granted before the plugin is open")?;
        let left = self.requests_left.checked_sub(1);
        self.requests_left = left.ok_or_else(|| format!("a call may send {REQUESTS_PER_CALL} requests"))?;
        Ok((http, self.deadline))
    }

    /// What is counted of its requests.
    pub(crate) fn requests(&self) -> Option<&Requests> {
        self.owner.calls.as_ref().map(|calls| &calls.requests)
    }

    pub(crate) fn name(&self) -> &str {
        &self.plugin
    }

    /// Forgets what belongs to the last call. The next may take `limit`.
    pub(crate) fn next_call(&mut self, limit: Duration) {
        self.deadline = Instant::now() + limit;
        self.denied = false;
        self.denied_by_others = None;
        self.lines_left = LINES_PER_CALL;
        self.requests_left = REQUESTS_PER_CALL;
        self.last_error = None;
    }

    pub(crate) fn memory_limit(&self) -> usize {
        self.memory_limit
    }

    /// True when this call asked for memory above the limit.
    pub(crate) fn was_denied_memory(&self) -> bool {
        self.denied
    }

    /// Why this call, or the start, did not get memory that the namespace or the server does not have.
    pub(crate) fn denied_by_others(&self) -> Option<&str> {
        self.denied_by_others.as_ref().map(|(why, _)| why.as_str())
    }

    /// What it would have had with the memory that it did not get for others' sake.
    pub(crate) fn lacked_memory(&self) -> Option<u64> {
        self.denied_by_others.as_ref().map(|(_, bytes)| *bytes)
    }

    /// The time of a call that may take `own` by the plugin's limit.
    pub(crate) fn timeout(&self, own: Duration) -> Duration {
        self.owner.tenant.timeout(own)
    }

    /// The last line that this call wrote as an error: where a guest of ours says why it panicked.
    pub(crate) fn take_last_error(&mut self) -> Option<String> {
        self.last_error.take()
    }

    fn grow(&mut self, from: usize, to: usize) -> bool {
        let used = self.memory_used.saturating_sub(from).saturating_add(to);
        if used > self.memory_limit {
            self.denied = true;
            return false;
        }
        let more = used.saturating_sub(self.memory_used) as u64;
        if let Err(why) = self.owner.reserve.take_memory(&self.owner.tenant, more) {
            self.denied_by_others = Some((why, used as u64));
            return false;
        }
        self.memory_used = used;
        true
    }

    /// Writes a line under the plugin's name.
    pub(crate) fn log(&mut self, level: Level, line: &str) {
        if self.lines_left == 0 {
            if let Some(calls) = &self.owner.calls {
                calls.log_lines_dropped.add(1);
            }
            return;
        }
        self.lines_left -= 1;
        let line = clip(line);
        if level == Level::Error {
            self.last_error = Some(line.clone());
        }
        if self.owner.calls.as_ref().is_some_and(|calls| !calls.may_log()) {
            return;
        }
        let plugin = &*self.plugin;
        match level {
            Level::Error => tracing::error!(target: "millstream::plugin", plugin, "{line}"),
            Level::Warning => tracing::warn!(target: "millstream::plugin", plugin, "{line}"),
            Level::Info => tracing::info!(target: "millstream::plugin", plugin, "{line}"),
            Level::Debug => tracing::debug!(target: "millstream::plugin", plugin, "{line}"),
        }
        if let Some(calls) = &self.owner.calls {
            calls.log(level.name(), &line);
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.owner.reserve.give_memory(&self.owner.tenant, self.memory_used as u64);
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(current, desired))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = |elements: usize| elements.saturating_mul(TABLE_ELEMENT_BYTES);
        Ok(self.grow(bytes(current), bytes(desired)))
    }
}
