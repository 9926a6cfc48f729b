//! Requests to an object store below one prefix. A private runtime drives the store; callers block on channels, so that they
//! may stand on any thread, one of another runtime included.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};
use tokio::runtime::{Builder, Runtime};

use super::errors::io_error;
use crate::model::{Error, Result};

#[derive(Debug, Clone)]
pub(super) struct Bucket {
    driver: Arc<Driver>,
    prefix: String,
    url: String,
}

impl Bucket {
    pub(super) fn new(store: Arc<dyn ObjectStore>, prefix: &str, url: &str) -> Result<Bucket> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("segment-store")
            .enable_all()
            .build()
            .map_err(|error| Error::Internal(format!("can't start the object store's runtime: {error}")))?;
        let driver = Arc::new(Driver { store, runtime: Some(runtime) });
        Ok(Bucket { driver, prefix: prefix.trim_matches('/').to_owned(), url: url.to_owned() })
    }

    pub(super) fn driver(&self) -> &Arc<Driver> {
        &self.driver
    }

    /// As the operator has named it.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn display(&self, path: &str) -> String {
        format!("{}/{path}", self.url.trim_end_matches('/'))
    }

    pub(super) fn object(&self, path: &str) -> Path {
        let joined = format!("{}/{path}", self.prefix);
        let trimmed = joined.trim_matches('/');
        // Our own paths are always valid; `from` only encodes what an operator's prefix may hold.
        Path::parse(trimmed).unwrap_or_else(|_| Path::from(trimmed))
    }

    /// `None` where there is no such object.
    pub(super) fn get(&self, path: &str) -> Result<Option<Bytes>> {
        let object = self.object(path);
        let answer = self.driver.run(move |store| async move {
            match store.get(&object).await {
                Ok(found) => found.bytes().await.map(Some),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })?;
        answer.map_err(|error| io_error(self.display(path), &error))
    }

    pub(super) fn exists(&self, path: &str) -> Result<bool> {
        let object = self.object(path);
        let answer = self.driver.run(move |store| async move {
            match store.head(&object).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })?;
        answer.map_err(|error| io_error(self.display(path), &error))
    }

    pub(super) fn put(&self, path: &str, text: String) -> Result<()> {
        let object = self.object(path);
        let answer = self.driver.run(move |store| async move { store.put(&object, text.into()).await })?;
        answer.map(drop).map_err(|error| io_error(self.display(path), &error))
    }

    /// Whether it was put: an object that is there already stays as it is.
    pub(super) fn put_if_absent(&self, path: &str, text: String) -> Result<bool> {
        let object = self.object(path);
        let put = move |store: Arc<dyn ObjectStore>| async move {
            store.put_opts(&object, text.into(), PutMode::Create.into()).await
        };
        match self.driver.run(put)? {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
            Err(error) => Err(io_error(self.display(path), &error)),
        }
    }

    /// An object that is not there is no error.
    pub(super) fn delete(&self, path: &str) -> Result<()> {
        let object = self.object(path);
        let answer = self.driver.run(move |store| async move { store.delete(&object).await })?;
        match answer {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(io_error(self.display(path), &error)),
        }
    }

    /// Every object below a directory, or below the prefix where that is empty, as a path from there.
    pub(super) fn list(&self, dir: &str) -> Result<Vec<String>> {
        let below = self.object(dir);
        let listed = {
            let below = below.clone();
            let list = move |store: Arc<dyn ObjectStore>| async move {
                store.list(Some(&below)).map_ok(|meta| meta.location).try_collect::<Vec<Path>>().await
            };
            self.driver.run(list)?.map_err(|error| io_error(self.display(dir), &error))?
        };
        let relative = listed.iter().filter_map(|path| path.as_ref().strip_prefix(below.as_ref()));
        Ok(relative.map(|path| path.trim_start_matches('/').to_owned()).collect())
    }
}

/// The store and the runtime that drives it.
pub(super) struct Driver {
    store: Arc<dyn ObjectStore>,
    runtime: Option<Runtime>,
}

impl Driver {
    /// Runs a request to its end; the caller's thread blocks.
    pub(super) fn run<T, F>(&self, request: impl FnOnce(Arc<dyn ObjectStore>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let runtime = self.runtime.as_ref().ok_or(Error::Closed)?;
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let request = request(self.store.clone());
        runtime.spawn(async move {
            // The receiver waits until it has the answer.
            let _ = sender.send(request.await);
        });
        receiver.recv().map_err(|_| Error::Internal("an object store request panicked".to_owned()))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // The last owner may stand on a thread of another runtime, where waiting is not allowed.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("store", &self.store).finish_non_exhaustive()
    }
}
