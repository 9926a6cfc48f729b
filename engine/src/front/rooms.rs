//! The rooms of one open engine, wired.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::watchers::Watchers;
use crate::audit::Audit;
use crate::checkbacks::Checkbacks;
use crate::continuous::ContinuousTopics;
use crate::credentials::Authenticator;
use crate::cursor::Tables;
use crate::delivery::Coordinator;
use crate::due::DueTimes;
use crate::evaluation::Evaluations;
use crate::log::{CommitSink, Ledger};
use crate::maintenance::Maintenance;
use crate::messages::{MessageTrace, Messages, Presence, QueueLocks};
use crate::model::{GroupRetries, Result, TableId};
use crate::platform::disk::DiskLock;
use crate::platform::join;
use crate::plugins::{Plugins, suspensions};
use crate::pop::Pop;
use crate::quotas::Quotas;
use crate::runners::Runners;
use crate::segments::Segments;
use crate::state::{ForgottenStreams, Record, RecordContext};
use crate::write::Appender;

/// Each room has handles of those below that it uses; only the front has all.
#[derive(Debug)]
pub(super) struct Rooms {
    pub ledger: Arc<Ledger>,
    pub authenticator: Authenticator,
    pub quotas: Quotas,
    pub segments: Arc<Segments>,
    pub tables: Arc<Tables>,
    pub appender: Arc<Appender>,
    pub plugins: Arc<Plugins>,
    pub evaluations: Arc<Evaluations>,
    pub delivery: Arc<Coordinator>,
    pub runners: Arc<Runners>,
    pub messages: Arc<Messages>,
    pub due: Arc<DueTimes>,
    pub checkbacks: Arc<Checkbacks>,
    pub continuous: Arc<ContinuousTopics>,
    pub pop: Arc<Pop>,
    pub maintenance: Maintenance,
    pub watchers: Watchers,
    pub message_clients: Arc<Presence>,
    pub queue_locks: QueueLocks,
    pub trace: MessageTrace,
    pub audit: Audit,
    pub forgotten_streams: ForgottenStreams,
    pub closing: Closing,
    /// These very rooms.
    pub me: Weak<Rooms>,
}

/// How far the closing of an engine is.
#[derive(Debug)]
pub(super) struct Closing {
    /// Held while closing: who closes at the same time waits, and has the same answer.
    answer: Mutex<Option<Result<()>>>,
    /// Of the data directory; let go at the end, so that it can be opened again while somebody still holds this one.
    lock: Mutex<Option<DiskLock>>,
}

impl Closing {
    pub(super) fn new(lock: DiskLock) -> Closing {
        Closing { answer: Mutex::default(), lock: Mutex::new(Some(lock)) }
    }
}

impl Rooms {
    /// How messages of a group are tried again, as far as that is set.
    pub(super) fn retries_of(&self, namespace: &str, group: &str) -> GroupRetries {
        let state = self.ledger.state.read();
        state.group(namespace, group).map(|group| group.retries.clone()).unwrap_or_default()
    }

    /// Stops what works by itself, then the groups, then the log; what was queued before is still answered. The last
    /// checkpoint makes the next opening short.
    pub(super) fn close(&self) -> Result<()> {
        let mut answer = self.closing.answer.lock();
        if let Some(answer) = answer.as_ref() {
            return answer.clone();
        }
        let Rooms { ledger, .. } = self;
        self.trace.stop().into_iter().for_each(join);
        self.audit.stop().into_iter().for_each(join);
        ledger.begin_closing();
        self.continuous.stop();
        self.runners.stop();
        self.due.stop();
        self.checkbacks.stop();
        self.pop.stop();
        self.evaluations.stop();
        if let Err(error) = suspensions::record(&self.plugins) {
            tracing::warn!("suspended plugins could not be recorded: {error}");
        }
        self.maintenance.stop();
        self.delivery.stop();
        let closed = ledger.log.close().and_then(|()| ledger.checkpoint());
        if let Err(error) = ledger.log.time().record(true) {
            tracing::warn!("the clock could not be recorded: {error}");
        }
        self.watchers.wake_all();
        ledger.store.close();
        self.closing.lock.lock().take();
        *answer = Some(closed.clone());
        closed
    }
}

impl CommitSink for Rooms {
    fn apply_commit(&self, records: &[(RecordContext, Record)]) -> Result<()> {
        let ledger = &self.ledger;
        let note = |state: &_, context, record: &_| self.forgotten_streams.note(state, &ledger.events, context, record);
        if ledger.apply(records, note)? {
            self.maintenance.checkpoint_early();
        }
        self.plugins.tell_limits(records.iter().filter_map(|(_, record)| record.namespace()));
        self.limits_applied(records);
        self.delivery.applied(records);
        self.runners.applied(records);
        self.checkbacks.applied(records);
        self.continuous.applied(records);
        self.due.applied(records);
        self.pop.applied(records);
        Ok(())
    }

    fn wake(&self, records: &[(RecordContext, Record)]) {
        let mut touched: BTreeSet<TableId> = records.iter().filter_map(|(_, record)| record.table()).collect();
        // Whoever waits is to hear at once that he may not any more.
        if records.iter().any(|(_, record)| record.identity().is_some()) {
            touched.extend(self.ledger.state.read().catalog().tables().map(|table| table.id));
            self.recheck_clients(None);
        }
        self.delivery.wake(&touched);
        self.runners.wake(&touched);
        self.continuous.wake(&touched);
        self.watchers.wake(touched);
    }

    fn checkpoint(&self) -> Result<()> {
        self.ledger.checkpoint()
    }
}
