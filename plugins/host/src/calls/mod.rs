//! What is known of one plugin version at work: its figures, its share, its log lines and whether it is suspended.

mod requests;
mod share;
mod suspension;
mod uses;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use millstream_engine::{
    CallFigures, Clock as _, OperatorError, PluginCalls, PluginId, PluginInfo, PluginLogLine, PluginSuspension,
    PluginVersion, SystemClock, current_evaluation,
};
use parking_lot::Mutex;

use crate::figures::Counter;
use crate::tenants::{Bucket, Meter, Tenant, Took};
pub(crate) use requests::{Requests, failure_of};
use share::Share;
pub(crate) use suspension::Notice;
use suspension::Suspension;
pub(crate) use uses::Answered;
use uses::Uses;

/// Log lines that are kept of one plugin version; older ones are only in the server's own log.
const LINES_KEPT: usize = 256;

/// One plugin version's figures, log lines and state.
#[derive(Debug)]
pub(crate) struct Calls {
    id: PluginId,
    namespace: String,
    version: PluginVersion,
    pub(crate) instances: AtomicU64,
    pub(crate) started: Counter,
    pub(crate) discarded: Counter,
    pub(crate) waiting: AtomicU64,
    log_lines: Counter,
    pub(crate) log_lines_dropped: Counter,
    log: Mutex<VecDeque<PluginLogLine>>,
    /// Lines a second.
    log_rate: Bucket,
    suspension: Suspension,
    pub(crate) uses: Uses,
    pub(crate) share: Share,
    pub(crate) meter: Meter,
    notice: Arc<Notice>,
    pub(crate) requests: Requests,
    clock: SystemClock,
}

impl Calls {
    pub(crate) fn new(plugin: &PluginInfo, tenant: Arc<Tenant>, notice: &Arc<Notice>) -> Calls {
        Calls {
            id: plugin.id,
            namespace: plugin.namespace.clone(),
            version: PluginVersion { name: plugin.name.clone(), version: plugin.version },
            instances: AtomicU64::new(0),
            started: Counter::default(),
            discarded: Counter::default(),
            waiting: AtomicU64::new(0),
            log_lines: Counter::default(),
            log_lines_dropped: Counter::default(),
            log: Mutex::default(),
            log_rate: Bucket::new(Some(plugin.limits.log_rate.into())),
            suspension: Suspension::new(plugin.suspended.clone()),
            uses: Uses::default(),
            share: Share::new(plugin.limits.cpu_milli, tenant),
            meter: Meter::default(),
            notice: notice.clone(),
            requests: Requests::default(),
            clock: SystemClock::default(),
        }
    }

    /// Whether this counts for the plugin version.
    pub(crate) fn is_of(&self, plugin: &PluginInfo) -> bool {
        self.namespace == plugin.namespace && self.version.name == plugin.name && self.version.version == plugin.version
    }

    /// Refuses the call while the plugin is suspended.
    pub(crate) fn check(&self) -> Result<(), OperatorError> {
        self.suspension.check(&self.version)
    }

    /// How long calls are to be held back.
    pub(crate) fn throttled(&self) -> Option<Duration> {
        self.share.wait(|| self.uses.current())
    }

    /// A call was answered, for good or for bad.
    pub(crate) fn ended(&self, took: Took, outcome: Result<Answered, &OperatorError>) {
        let output_bytes = outcome.map_or(0, |answered| answered.bytes_out as u64);
        self.share.used(took, output_bytes);
        match outcome {
            Ok(_) => self.suspension.answered(),
            Err(error) => {
                if self.suspension.failed(&self.version, error, took.wall, self.clock.wall_us()) {
                    self.notice.give();
                }
            }
        }
    }

    /// Whether another line may be kept, of which a call may have more.
    pub(crate) fn may_log(&self) -> bool {
        let may = self.log_rate.take_one(self.share.tenant().now_ns()) && self.share.tenant().may_log();
        if !may {
            self.log_lines_dropped.add(1);
        }
        may
    }

    /// Keeps a line that the guest has logged.
    pub(crate) fn log(&self, level: &'static str, line: &str) {
        self.log_lines.add(1);
        let line = PluginLogLine {
            at_us: self.clock.wall_us(),
            namespace: self.namespace.clone(),
            plugin: self.version.name.clone(),
            version: self.version.version,
            level,
            line: line.to_owned(),
            place: current_evaluation(),
        };
        let mut log = self.log.lock();
        if log.len() >= LINES_KEPT {
            log.pop_front();
        }
        log.push_back(line);
    }

    pub(crate) fn lines(&self) -> Vec<PluginLogLine> {
        self.log.lock().iter().cloned().collect()
    }

    pub(crate) fn suspended(&self) -> Option<PluginSuspension> {
        self.suspension.now()
    }

    pub(crate) fn resume(&self) -> bool {
        self.suspension.end(&self.version)
    }

    pub(crate) fn figures(&self) -> PluginCalls {
        let uses = self.uses.figures(self.share.tenant().now_ns());
        let mut figures = CallFigures::default();
        uses.iter().for_each(|used| figures.add(&used.figures));
        PluginCalls {
            plugin: self.id,
            figures,
            instances: self.instances.load(Ordering::Relaxed),
            instances_started: self.started.get(),
            instances_discarded: self.discarded.get(),
            waiting: self.waiting.load(Ordering::Relaxed),
            log_lines: self.log_lines.get(),
            log_lines_dropped: self.log_lines_dropped.get(),
            suspended: self.suspension.now(),
            uses,
            http: self.requests.figures(),
        }
    }
}
