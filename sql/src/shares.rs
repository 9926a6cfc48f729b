//! Calls that block, each on a thread that may. The threads are shared out by purpose, so that work of one kind, however
//! much of it there is and however long its disk takes, leaves the others theirs. Whoever waits for one holds none.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::threads::failed;
use crate::{Error, Result};

/// What a thread is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reading a table for a query, for a slice of time.
    Scan,
    /// Looking for rows of a `poll()`, or encoding those of an INSERT.
    Rows,
    /// A definition, a commit: whatever waits for one answer of the log.
    Statement,
    /// A file of the server's.
    File,
}

/// Threads of each purpose. Their sum lies below what a runtime has (512), and what is left is for plugins that wait.
const SCANS: usize = 192;
const ROWS: usize = 64;
const STATEMENTS: usize = 128;
const FILES: usize = 32;

/// The threads of one SQL engine that may block.
#[derive(Debug)]
pub(crate) struct Shares {
    scans: Arc<Semaphore>,
    rows: Arc<Semaphore>,
    statements: Arc<Semaphore>,
    files: Arc<Semaphore>,
}

impl Default for Shares {
    fn default() -> Shares {
        let share = |threads| Arc::new(Semaphore::new(threads));
        Shares { scans: share(SCANS), rows: share(ROWS), statements: share(STATEMENTS), files: share(FILES) }
    }
}

impl Shares {
    /// Runs a call when a thread of its purpose is free. Only for code that runs on the threads of statements. Once begun it is
    /// seen to its end, even if the caller goes.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        purpose: Purpose,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let share = match purpose {
            Purpose::Scan => &self.scans,
            Purpose::Rows => &self.rows,
            Purpose::Statement => &self.statements,
            Purpose::File => &self.files,
        };
        let place = Arc::clone(share).acquire_owned().await;
        let place = place.map_err(|_| Error::Engine(millstream_engine::Error::Closed))?;
        let called = tokio::task::spawn_blocking(move || {
            let given = work();
            drop(place);
            given
        });
        called.await.map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_purpose_leaves_the_others_their_threads() {
        let threads = crate::threads::Threads::start(1).expect("threads");
        let shares = Arc::clone(threads.shares());
        let (open, gate) = mpsc::sync_channel::<()>(1);
        let gate = Arc::new(std::sync::Mutex::new(gate));
        let (seen, others) = mpsc::sync_channel(1);
        let (begun, started) = mpsc::sync_channel(2 * SCANS);
        for _ in 0..2 * SCANS {
            let (shares, gate, begun) = (Arc::clone(&shares), Arc::clone(&gate), begun.clone());
            threads.spawn(async move {
                let scan = move || {
                    begun.send(()).expect("the test goes on");
                    drop(gate.lock().map(|gate| gate.recv()));
                };
                shares.run(Purpose::Scan, scan).await.expect("it runs");
            });
        }
        for _ in 0..SCANS {
            started.recv_timeout(Duration::from_secs(60)).expect("a scan begins");
        }
        for purpose in [Purpose::Rows, Purpose::Statement, Purpose::File] {
            let (shares, seen) = (Arc::clone(&shares), seen.clone());
            threads.spawn(async move {
                shares.run(purpose, move || seen.send(purpose).expect("the test goes on")).await.expect("it runs");
            });
            assert_eq!(others.recv_timeout(Duration::from_secs(60)), Ok(purpose));
        }
        assert!(started.try_recv().is_err(), "no more scans run than have threads");
        drop(open);
        for _ in 0..SCANS {
            started.recv_timeout(Duration::from_secs(60)).expect("the others follow");
        }
    }
}
