//! One thread of a consumer: the partitions that are its share, one step after the other.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::handle::Runners;
use super::lane::Lane;
use super::signal::Signal;
use super::standing::ConsumerStanding;
use crate::contract::{BatchConsumer, LoadedPlugin};
use crate::model::{Error, ErrorKind, PartitionId, PluginConsumerInfo, PluginId, Result};
use crate::platform::Stopwatch;
use crate::platform::panic_text;

/// How long a thread without work waits before it looks again: partitions may have been added, or the engine be gone.
const LOOK_AROUND: Duration = Duration::from_millis(500);
/// Before something that others are in the way of is tried again.
const PAUSE: Duration = Duration::from_millis(200);
/// Before a plugin that can't be loaded is tried again.
const LOAD_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct ConsumerWorker {
    runners: Weak<Runners>,
    pub(super) info: Arc<PluginConsumerInfo>,
    signal: Arc<Signal>,
    pub(super) standing: Arc<ConsumerStanding>,
    /// Partitions whose number modulo the second is the first.
    share: (PartitionId, PartitionId),
    /// Of each plugin version that the consumer may call.
    consumers: BTreeMap<PluginId, Arc<dyn BatchConsumer>>,
    lanes: BTreeMap<PartitionId, Lane>,
    /// When rows that were passed over were told of last.
    pub(super) told: Option<Stopwatch>,
}

/// What a step came to.
pub(super) enum RunnerStep {
    Done,
    /// No rows, or not yet.
    Idle,
    /// A plugin is over its share of the machine, for so long.
    Held(Duration),
}

impl ConsumerWorker {
    pub(super) fn new(
        runners: &Weak<Runners>,
        info: &Arc<PluginConsumerInfo>,
        signal: &Arc<Signal>,
        standing: &Arc<ConsumerStanding>,
        share: (PartitionId, PartitionId),
    ) -> ConsumerWorker {
        ConsumerWorker {
            runners: runners.clone(),
            info: info.clone(),
            signal: signal.clone(),
            standing: standing.clone(),
            share,
            consumers: BTreeMap::new(),
            lanes: BTreeMap::new(),
            told: None,
        }
    }

    /// Works until it is told to stop or the engine is gone.
    pub(super) fn run(mut self) {
        while let Some(seen) = self.signal.seen() {
            let Some(runners) = self.runners.upgrade() else { return };
            let pause = match self.round(&runners) {
                Ok(pause) => pause,
                Err(Error::Closed | Error::LogFailed { .. }) => return,
                Err(error) => {
                    self.standing.set_unready(Some(error.to_string()));
                    Some(LOAD_PAUSE)
                }
            };
            drop(runners);
            if let Some(pause) = pause {
                self.signal.wait(seen, pause);
            }
        }
    }

    /// A step for each partition that is ready; gives how long to wait if none was.
    fn round(&mut self, runners: &Arc<Runners>) -> Result<Option<Duration>> {
        self.load(runners)?;
        let topic = runners.ledger.topic(self.info.topic)?;
        let partitions = runners.ledger.table(topic.table)?.options.partitions;
        let (turn, of) = self.share;
        let (mut worked, mut pause) = (false, LOOK_AROUND);
        for partition in (turn..partitions).step_by(usize::try_from(of).unwrap_or(1).max(1)) {
            if self.signal.seen().is_none() {
                break;
            }
            let lane = self.lanes.entry(partition).or_default();
            if lane.stopped {
                continue;
            }
            if let Some(wait) = lane.pause.filter(|wait| !wait.is_over()) {
                pause = pause.min(wait.left());
                continue;
            }
            let step = catch_unwind(AssertUnwindSafe(|| self.step(runners, &topic, partition)));
            let step = step.unwrap_or_else(|panic| {
                Err(Error::Internal(format!("the runner panicked: {}", panic_text(panic.as_ref()))))
            });
            match step {
                Ok(RunnerStep::Done) => worked = true,
                // What was waited for has gone by another way, such as a reset of the offset.
                Ok(RunnerStep::Idle) => self.standing.go_on(partition),
                Ok(RunnerStep::Held(left)) => {
                    self.lane(partition).wait(left);
                    pause = pause.min(left);
                }
                Err(error) => self.settle(runners, partition, error)?,
            }
        }
        Ok(if worked { None } else { Some(pause) })
    }

    fn load(&mut self, runners: &Runners) -> Result<()> {
        for id in self.info.plugins() {
            if self.consumers.contains_key(&id) {
                continue;
            }
            let plugin = runners.ledger.plugin(id)?;
            let LoadedPlugin::Consumer(consumer) = runners.plugins.loaded_plugin(&plugin)? else {
                return Err(Error::Internal(format!("plugin {:?} was loaded as another kind", plugin.name)));
            };
            self.standing.set_unready(None);
            self.consumers.insert(id, consumer);
        }
        Ok(())
    }

    pub(super) fn consumer(&self, plugin: PluginId) -> Result<Arc<dyn BatchConsumer>> {
        let found = self.consumers.get(&plugin).cloned();
        found.ok_or_else(|| Error::Internal("the consumer's plugin is not loaded".to_owned()))
    }

    /// What is to be done about an error of a step. An error ends the thread.
    fn settle(&mut self, runners: &Runners, partition: PartitionId, error: Error) -> Result<()> {
        let lane = self.lanes.entry(partition).or_default();
        match error {
            Error::Closed | Error::LogFailed { .. } => return Err(error),
            // Another runner or a reset came first; or the consumer is about to be stopped.
            Error::Fenced(_) => lane.wait(PAUSE),
            Error::Throttled { left, .. } => lane.wait(left),
            error if error.kind() == ErrorKind::Retry || matches!(error, Error::Io { .. }) => {
                lane.wait(PAUSE);
                self.standing.hold(partition, false, error.to_string());
            }
            error => self.stop(runners, partition, &format!("partition {partition}: {error}")),
        }
        Ok(())
    }

    pub(super) fn lane(&mut self, partition: PartitionId) -> &mut Lane {
        self.lanes.entry(partition).or_default()
    }

    pub(super) fn stop(&mut self, runners: &Runners, partition: PartitionId, why: &str) {
        self.lanes.entry(partition).or_default().stopped = true;
        let name = &self.info.name;
        runners.ledger.events.push("consumer_stopped", format!("consumer {name:?} has stopped: {why}"));
        self.standing.hold(partition, true, why.to_owned());
    }
}
