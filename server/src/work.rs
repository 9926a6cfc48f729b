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
    /// For disks, the object store and plugins: fetches, which have room for [`READ_BYTES`], and seeks by time.
    ForRows,
    /// For the state store, for indexes of where rows lie, or for a plugin to be loaded: what is known of messages, and filters.
    ForState,
    /// For an answer of the log: joins.
    ForLog,
    /// For nothing, and it takes the processor's time: decoding and encoding rows.
    Computes,
    /// For its turn to hash a password, which is one's at a time.
    Hashes,
}

/// What a call that reads rows has in memory at a time: a frame of the log, or a decoded run of a segment. Counts as on its way to the
/// client for whom it is read, so that many clients do not read at once more than there is room for.
pub(crate) const READ_BYTES: usize = 4 << 20;

/// Threads of each kind. Their sum lies below what a runtime has (512); the rest is for calls that never wait.
const FOR_STATE: usize = 128;
const FOR_LOG: usize = 128;
const COMPUTE: usize = 64;
const HASH: usize = 8;

/// Threads that block. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// Those of the runtime of queries.
    threads: Handle,
    /// Those that read rows are no others: the allocator keeps for each thread of what it has had, which is much for these.
    readers: Handle,
    for_rows: Arc<Semaphore>,
    for_state: Arc<Semaphore>,
    for_log: Arc<Semaphore>,
    compute: Arc<Semaphore>,
    hash: Arc<Semaphore>,
}

impl Work {
    /// `reading` of the threads of `readers` read rows.
    pub(crate) fn new(threads: Handle, readers: Handle, reading: usize) -> Work {
        let share = |threads| Arc::new(Semaphore::new(threads));
        Work {
            threads,
            readers,
            for_rows: share(reading),
            for_state: share(FOR_STATE),
            for_log: share(FOR_LOG),
            compute: share(COMPUTE),
            hash: share(HASH),
        }
    }

    /// How many threads read rows where answers have so much room: as many as find room at once.
    pub(crate) fn readers(egress_bytes: usize) -> usize {
        (egress_bytes / READ_BYTES).clamp(8, 256)
    }

    /// Runs a call when a thread of its kind is free. Once begun it is seen to its end even if the caller goes.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        waits: Waits,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let (threads, share) = match waits {
            Waits::Never => (&self.threads, None),
            Waits::ForRows => (&self.readers, Some(&self.for_rows)),
            Waits::ForState => (&self.threads, Some(&self.for_state)),
            Waits::ForLog => (&self.threads, Some(&self.for_log)),
            Waits::Computes => (&self.threads, Some(&self.compute)),
            Waits::Hashes => (&self.threads, Some(&self.hash)),
        };
        let place = match share {
            // Shares are never closed.
            Some(share) => Arc::clone(share).acquire_owned().await.ok(),
            None => None,
        };
        let called = threads.spawn_blocking(move || {
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

    const FOR_ROWS: usize = 24;

    #[test]
    fn one_kind_of_work_leaves_the_others_their_threads() {
        let limit = Duration::from_secs(60);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("threads");
        let work = Work::new(runtime.handle().clone(), runtime.handle().clone(), FOR_ROWS);
        let (open, gate) = mpsc::sync_channel::<()>(1);
        let gate = Arc::new(Mutex::new(gate));
        let (begun, started) = mpsc::sync_channel(2 * (FOR_ROWS + FOR_STATE + FOR_LOG + COMPUTE + HASH));
        let kinds = [
            (Waits::ForRows, FOR_ROWS),
            (Waits::ForState, FOR_STATE),
            (Waits::ForLog, FOR_LOG),
            (Waits::Computes, COMPUTE),
            (Waits::Hashes, HASH),
        ];
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
        let mut counts = [0; 5];
        for _ in 0..FOR_ROWS + FOR_STATE + FOR_LOG + COMPUTE + HASH {
            let waits = started.recv_timeout(limit).expect("a call begins");
            let kind = kinds.iter().position(|(kind, _)| *kind == waits).expect("it is one of them");
            counts[kind] += 1;
        }
        assert_eq!(counts, [FOR_ROWS, FOR_STATE, FOR_LOG, COMPUTE, HASH], "each kind has its threads");
        let (seen, answered) = mpsc::sync_channel(1);
        drop(runtime.spawn(async move {
            work.run(Waits::Never, move || seen.send(()).expect("the test goes on")).await.expect("it runs");
        }));
        answered.recv_timeout(limit).expect("what never waits goes through");
        drop(open);
    }
}
