//! Opening, in order: the checkpoint, the log after it, then everything that stands on them.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::RwLock;

use crate::evaluation::Evaluations;
use crate::events::Events;
use crate::forgotten_streams::ForgottenStreams;
use crate::groups::Coordinator;
use crate::log::{CommitSink, Log};
use crate::maintenance::Maintenance;
use crate::modules::Modules;
use crate::runners::Runners;
use crate::segments::Segments;
use crate::shared::{Closing, Shared};
use crate::state::Store;
use crate::threads::Threads;
use crate::watchers::Watchers;
use crate::write::RoundRobin;
use crate::*;

/// Reads what is there; no thread of the engine runs yet.
pub(super) fn open(options: EngineOptions) -> Result<Arc<Shared>> {
    check(&options)?;
    let io = |error: std::io::Error| Error::Io { path: options.dir.clone(), message: error.to_string() };
    options.disk.create_dir(&options.dir).map_err(io)?;
    let lock = options.disk.lock(&options.dir.join("LOCK")).map_err(io)?;
    let lock = lock.ok_or_else(|| Error::Busy(format!("{} is open elsewhere", options.dir.display())))?;
    let events = Arc::new(Events::new(options.clock.clone()));
    let store = Store::open(&options.dir)?;
    let mut state = store.load()?;
    let log = Log::open(&options, events.clone(), &mut state)?;
    if state.applied() > log.durable() {
        return Err(store.ahead_of_log(state.applied(), log.durable()));
    }
    let segments = Segments::open(&options, &state, &events)?;
    let modules = Modules::open(&options.dir, options.disk.clone())?;
    let evaluations = Evaluations::new(options.evaluation_cache_bytes);
    let state = RwLock::new(state);
    modules.sweep(&state, &events);
    Ok(Arc::new_cyclic(|me| Shared {
        me: me.clone(),
        state,
        half_applied: AtomicBool::new(false),
        store,
        log,
        compiler: RwLock::default(),
        host: RwLock::default(),
        watchers: Watchers::default(),
        threads: Threads::new(options.clock.clone(), events.clone()),
        options,
        events,
        segments,
        maintenance: Maintenance::default(),
        groups: Coordinator::default(),
        runners: Runners::default(),
        evaluations,
        modules,
        turns: RoundRobin::default(),
        forgotten_streams: ForgottenStreams::default(),
        closing: Closing::new(lock),
    }))
}

/// Starts the threads: the log first, which the others write to.
pub(super) fn start(shared: &Arc<Shared>) -> Result<()> {
    let ahead = shared.state.read().ahead();
    let sink: Arc<dyn CommitSink> = shared.clone();
    shared.log.start(ahead, sink, &shared.threads)?;
    Coordinator::start(shared)?;
    Runners::start(shared)?;
    shared.evaluations.begin(Arc::downgrade(shared));
    shared.maintenance.start(shared)
}

fn check(options: &EngineOptions) -> Result<()> {
    let least = |what: &str, value: u64, least: u64| match value >= least {
        true => Ok(()),
        false => Err(Error::InvalidInput(format!("{what} must be at least {least}, it is {value}"))),
    };
    let bytes = |bytes: usize| u64::try_from(bytes).unwrap_or(u64::MAX);
    least("max_commit_bytes", bytes(options.max_commit_bytes), 64 << 10)?;
    if options.max_commit_bytes > 8 << 20 {
        return Err(Error::InvalidInput("max_commit_bytes must be at most 8 MiB".to_owned()));
    }
    least("log_file_bytes", options.log_file_bytes, 4 << 10)?;
    least("queue_bytes", bytes(options.queue_bytes), 1)?;
    least("segment_bytes", options.segment_bytes, 1)?;
    least("maintenance_interval_ms", options.maintenance_interval_ms, 1)?;
    least("max_groups_per_topic", bytes(options.max_groups_per_topic), 1)
}
