//! The thread of a shadow.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use arrow_array::RecordBatch;
use arrow_select::concat::concat_batches;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::compare::{Answer, compare};
use super::{Offered, QUEUED, ShadowStanding, compile_shadow};
use crate::chunks::ChunkRows;
use crate::contract::EvaluationPlace;
use crate::contract::Scope;
use crate::cursor;
use crate::evaluation::evaluate::{Outcome, evaluate, offset};
use crate::evaluation::operators::Compiled;
use crate::model::{Error, Offset, OnError, PluginId, Result, TopicInfo};
use crate::platform::Threads;
use crate::plugins::Plugins;

type Started = (Sender<Offered>, Arc<ShadowStanding>, JoinHandle<()>);

/// `None` where no thread can be had. What a panic was at is left out of the comparison.
pub(super) fn start(
    threads: &Arc<Threads>,
    engine: &Weak<Plugins>,
    topic: &Arc<TopicInfo>,
    plugin: PluginId,
) -> Option<Started> {
    let (sender, receiver) = bounded(QUEUED);
    let standing = Arc::new(ShadowStanding::default());
    let (engine, of, told) = (engine.clone(), topic.clone(), standing.clone());
    let body = move || {
        let (plugins, topic, standing) = (engine.clone(), of.clone(), told.clone());
        ShadowWorker { plugins, topic, plugin, standing, compiled: None }.run(&receiver);
    };
    let told = standing.clone();
    let missed = Box::new(move |reason: &str| *told.error.lock() = Some(format!("its thread has panicked: {reason}")));
    let thread = threads.start_part(&format!("shadow {}", topic.id), body, missed);
    Some((sender, standing, thread.ok()?))
}

struct ShadowWorker {
    plugins: Weak<Plugins>,
    topic: Arc<TopicInfo>,
    plugin: PluginId,
    standing: Arc<ShadowStanding>,
    compiled: Option<Compiled>,
}

impl ShadowWorker {
    /// Works until nothing can be offered any more.
    fn run(mut self, queue: &Receiver<Offered>) {
        while let Ok(offered) = queue.recv() {
            let Some(plugins) = self.plugins.upgrade() else { return };
            let rows = offered.rows;
            let done = self.work(&plugins, offered);
            drop(plugins);
            if let Err(error) = &done {
                self.standing.skipped.fetch_add(rows as u64, std::sync::atomic::Ordering::Relaxed);
                tracing::debug!(topic = %self.topic.name, "shadow: {error}");
            }
            *self.standing.error.lock() = done.err().map(|error| error.to_string());
        }
    }

    fn work(&mut self, plugins: &Plugins, offered: Offered) -> Result<()> {
        let Some(compiled) = &self.compiled else {
            let plugin = plugins.ledger.plugin(self.plugin)?;
            self.compiled = Some(compile_shadow(plugins, &self.topic, &plugin)?);
            return self.work(plugins, offered);
        };
        let until = offered.base + offset(offered.rows);
        let Some(input) = rows(plugins, compiled, &self.topic, &offered, until)? else { return Ok(()) };
        let place = EvaluationPlace {
            topic: self.topic.name.clone(),
            consumer: None,
            partition: offered.partition,
            offset: offered.base,
        };
        let _evaluating = Scope::enter(place);
        let outcome = evaluate(compiled.operator.as_ref(), &input, OnError::Skip);
        let Outcome { batch, rows: map, skipped, .. } = outcome.map_err(|source| Error::Evaluation {
            topic: self.topic.name.clone(),
            partition: offered.partition,
            offset: offered.base,
            source,
        })?;
        let Offered { partition, base, rows, .. } = offered;
        let old = Answer { batch: &offered.batch, rows: &offered.map, failed: &offered.failed };
        let new = Answer { batch: &batch, rows: &map, failed: &skipped };
        self.standing.failures.fetch_add(skipped.len() as u64, std::sync::atomic::Ordering::Relaxed);
        compare(&old, &new, rows, |row, old, new| {
            self.standing.note(crate::contract::ShadowDifference {
                topic: self.topic.name.clone(),
                partition,
                offset: base + offset(row),
                old,
                new,
            });
        });
        self.standing.compared.fetch_add(rows as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

/// The source's rows, with the columns that the shadow reads; `None` once they are not retained any more.
fn rows(
    plugins: &Plugins,
    compiled: &Compiled,
    topic: &TopicInfo,
    offered: &Offered,
    until: Offset,
) -> Result<Option<RecordBatch>> {
    let (mut at, mut parts) = (offered.base, Vec::new());
    while at < until {
        let chunk =
            match cursor::chunk_at(&plugins.tables, &compiled.projection, topic.table, offered.partition, at, None) {
                Ok(Some(chunk)) => chunk,
                Ok(None) | Err(Error::OffsetOutOfRange { .. }) => return Ok(None),
                Err(error) => return Err(error),
            };
        let ChunkRows::Batch(batch) = &chunk.rows else { return Ok(None) };
        let index = |at: Offset| usize::try_from(at - chunk.base_offset).unwrap_or(usize::MAX);
        let next = chunk.next_offset.min(until);
        if next <= at || index(next) > batch.num_rows() {
            return Ok(None);
        }
        parts.push(batch.slice(index(at), index(next) - index(at)));
        at = next;
    }
    let Some(first) = parts.first() else { return Ok(None) };
    let joined = concat_batches(first.schema_ref(), &parts);
    joined.map(Some).map_err(|error| Error::Internal(format!("rows for a shadow could not be joined: {error}")))
}
