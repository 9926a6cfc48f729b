//! The thread that starts and stops consumers as the catalog says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use super::handle::{Runners, RunningConsumer};
use super::signal::Signal;
use super::standing::ConsumerStanding;
use super::worker::ConsumerWorker;
use crate::model::{ConsumerId, PartitionId, PluginConsumerInfo, Result, TopicSource};

/// How long the thread waits before it looks whether the engine is still there.
const LOOK_AROUND: Duration = Duration::from_millis(500);
/// Threads of one consumer, whatever its plugin may have.
const MAX_THREADS: u32 = 8;

impl Runners {
    /// Starts the thread. It holds no reference to the engine while it sleeps.
    pub(crate) fn start(self: &Arc<Self>) -> Result<()> {
        let (weak, signal) = (Arc::downgrade(self), self.changed.clone());
        let manager = self.ledger.threads.start_again("consumers", move || manage(&weak, &signal))?;
        *self.manager.lock() = Some(manager);
        Ok(())
    }

    /// Stops what should not run, and starts what should. Waits for nothing: a consumer that was stopped may be in a call of its
    /// plugin, and keeps no other from beginning.
    fn reconcile(self: &Arc<Self>) {
        let wanted: BTreeMap<ConsumerId, Arc<PluginConsumerInfo>> = {
            let state = self.ledger.state.read();
            let running = state.catalog().consumers().filter(|info| !info.paused);
            running.map(|info| (info.id, info.clone())).collect()
        };
        let ended: Vec<(ConsumerId, RunningConsumer)> = {
            let mut running = self.running.lock();
            let is_wanted = |id: &ConsumerId, running: &RunningConsumer| {
                wanted.get(id).is_some_and(|info| info.version == running.version)
            };
            let ids: Vec<ConsumerId> =
                running.iter().filter(|(id, running)| !is_wanted(id, running)).map(|(id, _)| *id).collect();
            ids.into_iter().filter_map(|id| Some((id, running.remove(&id)?))).collect()
        };
        for (id, running) in ended {
            running.signal.stop();
            if let Some(readers) = self.readers.write().get_mut(&running.table) {
                readers.retain(|reader| !Arc::ptr_eq(reader, &running.signal));
            }
            self.ending.lock().entry(id).or_default().extend(running.threads);
        }
        let still: BTreeSet<ConsumerId> = {
            let mut ending = self.ending.lock();
            ending.values_mut().for_each(|threads| threads.retain(|thread| !thread.is_finished()));
            ending.retain(|_, threads| !threads.is_empty());
            ending.keys().copied().collect()
        };
        for info in wanted.into_values().filter(|info| !still.contains(&info.id)) {
            if !self.running.lock().contains_key(&info.id) && is_ready(self, &info) {
                self.begin(&info);
            }
        }
    }

    fn begin(self: &Arc<Self>, info: &Arc<PluginConsumerInfo>) {
        let (Ok(topic), Ok(plugin)) = (self.ledger.topic(info.topic), self.ledger.plugin(info.plugin)) else { return };
        let Ok(table) = self.ledger.table(topic.table) else { return };
        let (signal, standing) = (Arc::new(Signal::default()), Arc::new(ConsumerStanding::default()));
        let of = plugin.limits.concurrency.min(table.options.partitions).clamp(1, MAX_THREADS);
        self.readers.write().entry(table.id).or_default().push(signal.clone());
        let mut threads = Vec::new();
        for turn in 0..of {
            match self.begin_thread(info, (&signal, &standing), (turn, of)) {
                Ok(thread) => threads.push(thread),
                Err(error) => standing.set_unready(Some(error.to_string())),
            }
        }
        let running = RunningConsumer { version: info.version, table: table.id, signal, standing, threads };
        self.running.lock().insert(info.id, running);
    }

    fn begin_thread(
        self: &Arc<Self>,
        info: &Arc<PluginConsumerInfo>,
        (signal, standing): (&Arc<Signal>, &Arc<ConsumerStanding>),
        share: (PartitionId, PartitionId),
    ) -> Result<JoinHandle<()>> {
        let (engine, ended) = (Arc::downgrade(self), Ended(self.changed.clone()));
        let (of, told, lost) = (info.clone(), (signal.clone(), standing.clone()), standing.clone());
        let body = move || {
            let _ended = &ended;
            ConsumerWorker::new(&engine, &of, &told.0, &told.1, share).run();
        };
        let missed =
            Box::new(move |reason: &str| lost.lose(format!("a thread of the consumer has panicked: {reason}")));
        self.ledger.threads.start_part(&format!("consumer {}", info.id), body, missed)
    }
}

/// Tells the manager that a thread of a consumer has ended.
struct Ended(Arc<Signal>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.notify();
    }
}

/// Whether the embedding program has given the engine what the consumer needs.
fn is_ready(runners: &Runners, info: &PluginConsumerInfo) -> bool {
    let identity = runners.ledger.topic(info.topic).is_ok_and(|topic| topic.source == TopicSource::Identity);
    runners.plugins.host.read().is_some() && (identity || runners.plugins.compiler.read().is_some())
}

fn manage(runners: &Weak<Runners>, signal: &Signal) {
    while let Some(seen) = signal.seen() {
        let Some(engine) = runners.upgrade() else { return };
        engine.reconcile();
        drop(engine);
        signal.wait(seen, LOOK_AROUND);
    }
}
