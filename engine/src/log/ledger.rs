//! The log with what it has been folded to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Log;
use super::state_lock::StateLock;
use crate::access::{Access, Action};
use crate::contract::{CheckbackInfo, FunctionInfo, PluginInfo};
use crate::model::{
    CheckbackId, ContinuousId, ContinuousInfo, Error, FunctionId, PluginId, Result, TableId, TableInfo, TopicId,
    TopicInfo, TopicSource,
};
use crate::platform::{EngineOptions, Events, Threads};
use crate::state::{Record, RecordContext, State, StateStore, StoredEntries};

/// Memory for entries of paged families that no checkpoint has yet: with more, one is taken before the log rolls.
const MAX_UNWRITTEN_BYTES: usize = 4 << 20;
/// With more than this, commits wait for it.
const HELD_UNWRITTEN_BYTES: usize = 6 << 20;

/// The commit log and the readers' view of the state, which every room but the lowest stands on. Lock order where two are
/// needed: groups, then state; never the other way round.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub options: EngineOptions,
    /// Durable, applied state: what readers see. After a panic or an error in the midst of a commit it holds a part of one, and
    /// [`Ledger::check_whole`] refuses to read it.
    pub state: StateLock,
    half_applied: AtomicBool,
    /// To be read before a submission is queued that is about them.
    pub stored: StoredEntries,
    /// Where checkpoints of `state` go.
    pub store: StateStore,
    pub log: Log,
    /// As of the last commit applied. It asks for no lock of the state.
    pub access: Access,
    pub events: Arc<Events>,
    pub threads: Arc<Threads>,
    /// Closing has begun.
    closing: AtomicBool,
}

/// Held while a commit is applied, and let go before the lock of the state is: after a panic the state holds a part of it,
/// for good.
struct Applying<'a> {
    half_applied: &'a AtomicBool,
    whole: bool,
}

impl Drop for Applying<'_> {
    fn drop(&mut self) {
        if !self.whole {
            self.half_applied.store(true, Ordering::Release);
        }
    }
}

impl Ledger {
    pub(crate) fn new(
        options: EngineOptions,
        state: State,
        store: StateStore,
        log: Log,
        events: Arc<Events>,
    ) -> Ledger {
        let threads = Threads::new(options.clock.clone(), events.clone());
        let stored = state.stored_entries();
        let access = Access::new(options.clock.clone(), state.identities().clone());
        Ledger {
            options,
            state: StateLock::new(state),
            half_applied: AtomicBool::new(false),
            stored,
            store,
            log,
            access,
            events,
            threads,
            closing: AtomicBool::new(false),
        }
    }

    /// `Closed` once closing has begun; `LogFailed` once a part of a commit has been left in the state.
    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closing.load(Ordering::Acquire) { Err(Error::Closed) } else { self.check_whole() }
    }

    /// From here on [`Self::check_open`] refuses.
    pub(crate) fn begin_closing(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// `LogFailed` once the state holds a part of a commit. To be asked again by whoever was let in before and has then waited
    /// for the state's lock, if he gives out rows.
    pub(crate) fn check_whole(&self) -> Result<()> {
        if !self.half_applied.load(Ordering::Acquire) {
            return Ok(());
        }
        let message = || "a commit is in memory in part".to_owned();
        Err(self.log.refusal().unwrap_or_else(|| Error::LogFailed { operation: "apply", message: message() }))
    }

    /// Folds a durable commit; `note` is told of each record before it is applied. Gives whether a checkpoint is due before the
    /// log rolls.
    pub(crate) fn apply(
        &self,
        records: &[(RecordContext, Record)],
        mut note: impl FnMut(&State, RecordContext, &Record),
    ) -> Result<bool> {
        let unwritten = {
            let mut state = self.state.write();
            let mut applying = Applying { half_applied: &self.half_applied, whole: false };
            for (context, record) in records {
                note(&state, *context, record);
                state.apply(*context, record)?;
            }
            applying.whole = true;
            state.unwritten_bytes()
        };
        let mut changes = records.iter().filter_map(|(_, record)| record.identity()).peekable();
        if changes.peek().is_some() {
            self.access.apply(changes);
        }
        if unwritten > HELD_UNWRITTEN_BYTES {
            self.log.hold(true);
        }
        Ok(unwritten > MAX_UNWRITTEN_BYTES)
    }

    /// Writes everything applied since the last checkpoint to the state store, in one synced batch. Leaves it for a later
    /// time while rows are applied that were written and not yet synced: the store never knows more than the log keeps.
    /// Refused once the log has failed: nothing more is built on what its threads may have left half done.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        if let Some(failed @ Error::LogFailed { .. }) = self.log.refusal() {
            return Err(failed);
        }
        let taken = self.store.checkpoint(&self.state, || self.log.durable());
        // Where none can be taken, commits do not wait for it.
        self.log.hold(taken.is_ok() && self.state.read().unwritten_bytes() > HELD_UNWRITTEN_BYTES);
        taken
    }

    /// Whether more is in memory than should wait for the log to roll.
    pub(crate) fn is_checkpoint_due(&self) -> bool {
        self.state.read().unwritten_bytes() > MAX_UNWRITTEN_BYTES
    }

    /// Refuses a topic whose owner may not read its table any more: it shows others what he may.
    pub(crate) fn check_topic(&self, topic: &TopicInfo) -> Result<()> {
        if topic.source == TopicSource::Identity || !self.access.is_on() {
            return Ok(());
        }
        let table = self.table(topic.table)?;
        self.access.check_owner(&topic.owner, Action::Read, &table.as_ref().into()).map_err(|_| {
            Error::PermissionDenied(format!(
                "topic {:?} stands still: its owner {:?} may not read its table any more",
                topic.name,
                topic.owner.name()
            ))
        })
    }

    pub(crate) fn table(&self, id: TableId) -> Result<Arc<TableInfo>> {
        self.state.read().table(id).cloned().ok_or_else(|| Error::gone("table"))
    }

    pub(crate) fn topic(&self, id: TopicId) -> Result<Arc<TopicInfo>> {
        self.state.read().topic(id).cloned().ok_or_else(|| Error::gone("topic"))
    }

    pub(crate) fn plugin(&self, id: PluginId) -> Result<Arc<PluginInfo>> {
        self.state.read().plugin(id).cloned().ok_or_else(|| Error::gone("plugin"))
    }

    pub(crate) fn checkback(&self, id: CheckbackId) -> Result<Arc<CheckbackInfo>> {
        self.state.read().catalog().checkback(id).cloned().ok_or_else(|| Error::gone("checkback"))
    }

    pub(crate) fn continuous(&self, id: ContinuousId) -> Result<Arc<ContinuousInfo>> {
        self.state.read().catalog().continuous(id).cloned().ok_or_else(|| Error::gone("continuous topic"))
    }

    pub(crate) fn function(&self, id: FunctionId) -> Result<Arc<FunctionInfo>> {
        self.state.read().catalog().function(id).cloned().ok_or_else(|| Error::gone("function"))
    }
}
