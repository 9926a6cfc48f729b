//! Calls that block, each on a thread that may. The threads are shared out by what a call waits for, so that no kind of work
//! keeps another from its threads: a heartbeat goes through whatever producers, fetches and joins there are.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waits {
    /// For nothing but short locks: heartbeats, commits, leaves, names of tables.
    Never,
    /// For disks, the object store and plugins: fetches, and seeks by time.
    ForRows,
    /// For an answer of the log: joins.
    ForLog,
    /// For nothing, and it takes the processor's time: decoding and encoding rows.
    Computes,
}

/// Threads of each kind. Their sum lies below what a runtime has (512); the rest is for calls that never wait.
const FOR_ROWS: usize = 256;
const FOR_LOG: usize = 128;
const COMPUTE: usize = 64;

/// The blocking threads of the runtime of queries. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    threads: Handle,
    for_rows: Arc<Semaphore>,
    for_log: Arc<Semaphore>,
    compute: Arc<Semaphore>,
}

impl Work {
    pub(crate) fn new(threads: Handle) -> Work {
        let share = |threads| Arc::new(Semaphore::new(threads));
        Work { threads, for_rows: share(FOR_ROWS), for_log: share(FOR_LOG), compute: share(COMPUTE) }
    }

    /// Runs a call when a thread of its kind is free. Once begun it is seen to its end even if the caller goes.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        waits: Waits,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let share = match waits {
            Waits::Never => None,
            Waits::ForRows => Some(&self.for_rows),
            Waits::ForLog => Some(&self.for_log),
            Waits::Computes => Some(&self.compute),
        };
        let place = match share {
            // Shares are never closed.
            Some(share) => Arc::clone(share).acquire_owned().await.ok(),
            None => None,
        };
        let called = self.threads.spawn_blocking(move || {
            let given = call();
            drop(place);
            given
        });
        called.await
    }

    /// As [`Self::run`] with [`Waits::Never`], for nobody who waits.
    pub(crate) fn spawn(&self, call: impl FnOnce() + Send + 'static) {
        drop(self.threads.spawn_blocking(call));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_kind_of_work_leaves_the_others_their_threads() {
        let limit = Duration::from_secs(60);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("threads");
        let work = Work::new(runtime.handle().clone());
        let (open, gate) = mpsc::sync_channel::<()>(1);
        let gate = Arc::new(Mutex::new(gate));
        let (begun, started) = mpsc::sync_channel(2 * (FOR_ROWS + FOR_LOG + COMPUTE));
        let kinds = [(Waits::ForRows, FOR_ROWS), (Waits::ForLog, FOR_LOG), (Waits::Computes, COMPUTE)];
        for (waits, threads) in kinds {
            for _ in 0..2 * threads {
                let (work, gate, begun) = (work.clone(), Arc::clone(&gate), begun.clone());
                drop(runtime.spawn(async move {
                    let blocked = move || {
                        begun.send(waits).expect("the test goes on");
                        drop(gate.lock().map(|gate| gate.recv()));
                    };
                    work.run(waits, blocked).await.expect("it runs");
                }));
            }
        }
        let mut counts = [0; 3];
        for _ in 0..FOR_ROWS + FOR_LOG + COMPUTE {
            let waits = started.recv_timeout(limit).expect("a call begins");
            let kind = kinds.iter().position(|(kind, _)| *kind == waits).expect("it is one of them");
            counts[kind] += 1;
        }
        assert_eq!(counts, [FOR_ROWS, FOR_LOG, COMPUTE], "each kind has its threads");
        let (seen, answered) = mpsc::sync_channel(1);
        drop(runtime.spawn(async move {
            work.run(Waits::Never, move || seen.send(()).expect("the test goes on")).await.expect("it runs");
        }));
        answered.recv_timeout(limit).expect("what never waits goes through");
        drop(open);
    }
}
