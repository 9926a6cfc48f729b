//! Runs work off the network's threads.

use tokio::runtime::Handle;
use tokio::task::{AbortHandle, JoinError};

use super::error::{DoorError, Result};
use crate::door::Door;
use crate::work::Waits;

/// A task that ends when its owner drops it.
#[derive(Debug)]
pub(super) struct Owned(AbortHandle);

impl Owned {
    pub(super) fn new(handle: AbortHandle) -> Owned {
        Owned(handle)
    }

    pub(super) fn handle(&self) -> AbortHandle {
        self.0.clone()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs a call that may block, on a thread for what it waits for. It is seen to its end even if the caller goes.
pub(super) async fn blocking<T: Send + 'static>(
    door: &Door,
    waits: Waits,
    call: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    door.work.run(waits, call).await.unwrap_or_else(|error| Err(failed(error)))
}

/// Runs a future that computes (planning, executing). It is dropped when the caller is.
pub(super) async fn computing<T: Send + 'static>(
    queries: &Handle,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let task = queries.spawn(work);
    let _owned = Owned::new(task.abort_handle());
    task.await.unwrap_or_else(|error| Err(failed(error)))
}

fn failed(error: JoinError) -> DoorError {
    if error.is_cancelled() {
        return DoorError::new(millstream_engine::ErrorKind::Retry, "the server is stopping");
    }
    DoorError::internal("the call failed in the server; its log says why")
}
