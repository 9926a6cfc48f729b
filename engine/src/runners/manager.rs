//! The thread that starts and stops consumers as the catalog says.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::worker::Worker;
use super::{Runners, Running, Signal, Standing, join};
use crate::shared::Shared;
use crate::{ConsumerId, Error, PluginConsumerInfo, Result, TopicSource};

/// How long the thread waits before it looks whether the engine is still there.
const LOOK_AROUND: Duration = Duration::from_millis(500);
/// Threads of one consumer, whatever its plugin may have.
const MAX_THREADS: u32 = 8;

impl Runners {
    /// Starts the thread. It holds no reference to the engine while it sleeps.
    pub(crate) fn start(shared: &Arc<Shared>) -> Result<()> {
        let (weak, signal) = (Arc::downgrade(shared), shared.runners.changed.clone());
        let manager = thread::Builder::new().name("consumers".to_owned()).spawn(move || manage(&weak, &signal));
        let manager = manager.map_err(|error| Error::Internal(format!("no thread for consumers: {error}")))?;
        *shared.runners.manager.lock() = Some(manager);
        Ok(())
    }

    /// Stops what should not run, then starts what should.
    fn reconcile(&self, shared: &Arc<Shared>) {
        let wanted: BTreeMap<ConsumerId, Arc<PluginConsumerInfo>> = {
            let state = shared.state.read();
            let running = state.catalog().consumers().filter(|info| !info.paused);
            running.map(|info| (info.id, info.clone())).collect()
        };
        let ended: Vec<Running> = {
            let mut running = self.running.lock();
            let is_wanted =
                |id: &ConsumerId, running: &Running| wanted.get(id).is_some_and(|info| info.version == running.version);
            let ids: Vec<ConsumerId> =
                running.iter().filter(|(id, running)| !is_wanted(id, running)).map(|(id, _)| *id).collect();
            ids.iter().filter_map(|id| running.remove(id)).collect()
        };
        for running in ended {
            running.signal.stop();
            if let Some(readers) = self.readers.write().get_mut(&running.table) {
                readers.retain(|reader| !Arc::ptr_eq(reader, &running.signal));
            }
            running.threads.into_iter().for_each(join);
        }
        for info in wanted.into_values() {
            if !self.running.lock().contains_key(&info.id) && is_ready(shared, &info) {
                self.begin(shared, &info);
            }
        }
    }

    fn begin(&self, shared: &Arc<Shared>, info: &Arc<PluginConsumerInfo>) {
        let (Ok(topic), Ok(plugin)) = (shared.topic(info.topic), shared.plugin(info.plugin)) else { return };
        let Ok(table) = shared.table(topic.table) else { return };
        let (signal, standing) = (Arc::new(Signal::default()), Arc::new(Standing::default()));
        let of = plugin.limits.concurrency.min(table.options.partitions).clamp(1, MAX_THREADS);
        self.readers.write().entry(table.id).or_default().push(signal.clone());
        let mut threads = Vec::new();
        for turn in 0..of {
            let worker = Worker::new(shared, info, &signal, &standing, (turn, of));
            match thread::Builder::new().name(format!("consumer {}", info.id)).spawn(move || worker.run()) {
                Ok(thread) => threads.push(thread),
                Err(error) => standing.set_unready(Some(format!("no thread: {error}"))),
            }
        }
        let running = Running { version: info.version, table: table.id, signal, standing, threads };
        self.running.lock().insert(info.id, running);
    }
}

/// Whether the embedding program has given the engine what the consumer needs.
fn is_ready(shared: &Shared, info: &PluginConsumerInfo) -> bool {
    let identity = shared.topic(info.topic).is_ok_and(|topic| topic.source == TopicSource::Identity);
    shared.host.read().is_some() && (identity || shared.compiler.read().is_some())
}

fn manage(shared: &Weak<Shared>, signal: &Signal) {
    while let Some(seen) = signal.seen() {
        let Some(engine) = shared.upgrade() else { return };
        engine.runners.reconcile(&engine);
        drop(engine);
        signal.wait(seen, LOOK_AROUND);
    }
}
