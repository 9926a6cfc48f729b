//! Opening, in order: the checkpoint, the log after it, then everything that stands on them.

use std::sync::Arc;

use super::message_trace;
use super::rooms::{Closing, Rooms};
use super::watchers::Watchers;
use crate::audit::Audit;
use crate::checkbacks::{Board, Checkbacks, LeavingChecks};
use crate::continuous::ContinuousTopics;
use crate::credentials::Authenticator;
use crate::cursor::Tables;
use crate::delivery::Coordinator;
use crate::due::DueTimes;
use crate::evaluation::Evaluations;
use crate::log::{CommitSink, Ledger, Log};
use crate::maintenance::Maintenance;
use crate::messages::{MessageTrace, Messages, Presence, QueueLocks};
use crate::model::{Error, Result};
use crate::platform::{EngineOptions, Events};
use crate::plugins::{Modules, Plugins};
use crate::pop::Pop;
use crate::quotas::Quotas;
use crate::runners::Runners;
use crate::segments::Segments;
use crate::state::{ForgottenStreams, StateStore};
use crate::write::Appender;

/// Reads what is there; no thread of the engine runs yet.
pub(super) fn open(options: EngineOptions) -> Result<Arc<Rooms>> {
    check(&options)?;
    let io = |error: std::io::Error| Error::Io { path: options.dir.clone(), message: error.to_string() };
    options.disk.create_dir(&options.dir).map_err(io)?;
    let lock = options.disk.lock(&options.dir.join("LOCK")).map_err(io)?;
    let lock = lock.ok_or_else(|| Error::Busy(format!("{} is open elsewhere", options.dir.display())))?;
    let events = Arc::new(Events::new(options.clock.clone()));
    let store = StateStore::open(&options.dir)?;
    let mut state = store.load()?;
    let log = Log::open(&options, events.clone(), &mut state)?;
    if state.applied() > log.durable() {
        return Err(store.ahead_of_log(state.applied(), log.durable()));
    }
    let quotas = Quotas::new(options.clock.clone());
    let modules = Modules::open(&options.dir, options.disk.clone())?;
    let authenticator = Authenticator::open(&options.dir, &options.disk, options.clock.clone(), events.clone())?;
    let ledger = Arc::new(Ledger::new(options, state, store, log, events));
    let segments = Arc::new(Segments::open(&ledger)?);
    modules.sweep(&ledger.state, &ledger.events);
    let tables = Arc::new(Tables::new(&ledger, &segments));
    let appender = Arc::new(Appender::new(ledger.options.clone()));
    let plugins = Arc::new(Plugins::new(tables.clone(), modules));
    let evaluations = Arc::new(Evaluations::new(&plugins, &appender));
    let delivery = Arc::new(Coordinator::new(&tables, &evaluations));
    let runners = Arc::new(Runners::new(&appender, &plugins, &evaluations));
    let continuous = Arc::new(ContinuousTopics::new(&appender, &plugins));
    let messages = Arc::new(Messages::new(&ledger, &appender)?);
    let board = Arc::new(Board::default());
    let acts = LeavingChecks { ledger: ledger.clone(), others: messages.clone(), board: board.clone() };
    let due = Arc::new(DueTimes::new(&ledger, Arc::new(acts)));
    let message_clients = Arc::new(Presence::default());
    let checkbacks = Arc::new(Checkbacks::new(&messages, &due, &plugins, &message_clients, board));
    let pop = Arc::new(Pop::new(&tables, &appender, &message_clients));
    let maintenance = Maintenance::new(&plugins);
    let audit = Audit::new(ledger.options.audit, ledger.options.clock.clone());
    let rooms = Arc::new_cyclic(|me| Rooms {
        me: me.clone(),
        ledger,
        authenticator,
        quotas,
        segments,
        tables,
        appender,
        plugins,
        evaluations,
        delivery,
        runners,
        messages,
        due,
        checkbacks,
        continuous,
        pop,
        maintenance,
        watchers: Watchers::default(),
        message_clients,
        queue_locks: QueueLocks::default(),
        trace: MessageTrace::default(),
        audit,
        forgotten_streams: ForgottenStreams::default(),
        closing: Closing::new(lock),
    });
    rooms.read_quotas();
    Ok(rooms)
}

/// Starts the threads: the log first, which the others write to.
pub(super) fn start(rooms: &Arc<Rooms>) -> Result<()> {
    let ledger = &rooms.ledger;
    let ahead = ledger.state.read().ahead();
    let sink: Arc<dyn CommitSink> = rooms.clone();
    ledger.log.start(ahead, sink, &ledger.threads)?;
    rooms.delivery.start()?;
    rooms.runners.start()?;
    rooms.continuous.start()?;
    rooms.checkbacks.start()?;
    rooms.due.start()?;
    rooms.pop.start()?;
    message_trace::start(rooms)?;
    rooms.evaluations.begin();
    rooms.maintenance.start()
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
