//! Where statements run: threads of our own, and stacks that the deepest statement fits on.
//!
//! DataFusion walks plans and expressions by recursion, on whatever thread polls a query or one of its tasks. Callers may
//! have small stacks, so nothing recursive runs on their threads. How deep a statement may be is bounded by
//! `parse::guard` and `query::shape`; what the deepest one of each shape needs is measured in a test. These are debug
//! builds' figures, release builds need about a fifth.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use crate::shares::Shares;
use crate::{BatchStream, Error, Result};

/// The stack of a thread that executes: evaluating takes some 5 KiB for each operator, polling some 10 KiB for each step
/// of a plan.
const THREAD_STACK_BYTES: usize = 32 << 20;
/// The stack that parsing, planning and optimising get, up to 85 KiB for each operator. It is address space, not memory,
/// until it is used, and given back afterwards.
const PLANNING_STACK_BYTES: usize = 128 << 20;
/// What must be left of the current stack to plan on it.
const PLANNING_NEEDS_BYTES: usize = 96 << 20;
/// What evaluating needs at least: the kernels of arrow, or a Wasm guest's stack and the host beneath it.
const EVALUATING_BASE_BYTES: usize = 1 << 20;
/// What it needs for each operator within an operator.
const EVALUATING_LEVEL_BYTES: usize = 10 << 10;
/// Batches that wait between a query and its reader.
const CHANNEL_BATCHES: usize = 1;

/// The threads that statements are planned and executed on, whichever thread asks for it. They end with their owner.
#[derive(Debug)]
pub(crate) struct Threads {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
    shares: Arc<Shares>,
}

impl Threads {
    /// Starts `count` threads, and more for calls that block.
    pub(crate) fn start(count: usize) -> Result<Threads> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count.max(1))
            .thread_stack_size(THREAD_STACK_BYTES)
            .thread_name("millstream-sql")
            .enable_all()
            .build()
            .map_err(|error| Error::Internal(format!("cannot start threads for queries: {error}")))?;
        Ok(Threads { handle: runtime.handle().clone(), runtime: Some(runtime), shares: Arc::default() })
    }

    /// Where these threads call what blocks.
    pub(crate) fn shares(&self) -> &Arc<Shares> {
        &self.shares
    }

    #[cfg(test)]
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle.spawn(work));
    }

    /// Runs a future on these threads. It is dropped when the caller is.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let stop = Stop::default();
        let mut task = Task { handle: self.handle.spawn(STOP.scope(stop.clone(), work)), stop: Some(stop) };
        let done = (&mut task.handle).await;
        // What it has begun to read belongs to its rows now.
        task.stop = None;
        done.unwrap_or_else(|error| Err(failed(error)))
    }

    /// Reads a query's rows on these threads, within the task that has begun it. Dropping the stream ends the query.
    pub(crate) fn stream(&self, mut rows: BatchStream) -> BatchStream {
        let (sender, receiver) = mpsc::channel(CHANNEL_BATCHES);
        let handle = self.handle.spawn(async move {
            while let Some(batch) = rows.next().await {
                if sender.send(batch).await.is_err() {
                    return;
                }
            }
        });
        let task = Task { handle, stop: Some(Stop::current()) };
        let batches = futures::stream::unfold((receiver, Some(task)), |(mut receiver, mut task)| async move {
            if let Some(batch) = receiver.recv().await {
                return Some((batch, (receiver, task)));
            }
            // The end of the rows and the end of a task that broke off look the same from here.
            let ended = (&mut task.as_mut()?.handle).await;
            ended.err().map(|error| (Err(failed(error)), (receiver, None)))
        });
        // Readers chain and select: they may ask once more.
        Box::pin(batches.fuse())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last owner may be async code, which must not wait.
            runtime.shutdown_background();
        }
    }
}

tokio::task_local! {
    /// Of the statement that the current task runs.
    static STOP: Stop;
}

/// Says that nobody waits for a statement any more, to what works long without coming back to its runtime.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// That of the statement which this task runs.
    pub(crate) fn current() -> Stop {
        STOP.try_with(Stop::clone).unwrap_or_default()
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A task that ends when its owner does.
struct Task<T> {
    handle: JoinHandle<T>,
    stop: Option<Stop>,
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.handle.abort();
        if let Some(stop) = &self.stop {
            stop.0.store(true, Ordering::Relaxed);
        }
    }
}

pub(crate) fn failed(error: JoinError) -> Error {
    match error.try_into_panic() {
        Ok(panic) => {
            Error::Internal(format!("a statement panicked: {}", millstream_engine::panic_text(panic.as_ref())))
        }
        Err(_) => Error::Engine(millstream_engine::Error::Closed),
    }
}

/// Calls what parses, plans or compiles with the stack that it may need.
pub(crate) fn planning<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(PLANNING_NEEDS_BYTES, PLANNING_STACK_BYTES, work)
}

/// Polls a future that plans with the stack that it may need.
pub(crate) async fn planned<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|context| planning(|| future.as_mut().poll(context))).await
}

/// Calls what evaluates expressions `depth` levels deep, on whatever thread that happens.
pub(crate) fn evaluating<T>(depth: usize, work: impl FnOnce() -> T) -> T {
    let bytes = EVALUATING_BASE_BYTES + depth * EVALUATING_LEVEL_BYTES;
    stacker::maybe_grow(bytes, bytes, work)
}

/// Calls what will wait, perhaps long, in the middle of an evaluation: if this thread is one that runs statements, another one
/// takes its place meanwhile.
pub(crate) fn waiting<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}
