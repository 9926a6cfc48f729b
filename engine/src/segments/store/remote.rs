//! Segment files in an object store. A private runtime drives the store; callers block on channels, so that they may
//! stand on any thread, one of another runtime included.

use std::fmt;
use std::future::Future;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use tokio::runtime::{Builder, Runtime};

use super::io_error;
use crate::{Error, Result};

/// Bytes of one part of a multipart upload; smaller files are put in one request.
const PART_BYTES: usize = 8 << 20;

/// An object with the identity of the data directory that owns the prefix.
const OWNER: &str = "millstream-owner";

#[derive(Debug)]
pub(crate) struct RemoteStore {
    driver: Arc<Driver>,
    prefix: String,
    url: String,
}

impl RemoteStore {
    /// Claims the prefix for the data directory. A prefix that another one has claimed is refused: each would take the
    /// other's segments for leftovers and delete them.
    pub(super) fn open(store: Arc<dyn ObjectStore>, prefix: &str, url: &str, dir: &FilePath) -> Result<RemoteStore> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("segment-store")
            .enable_all()
            .build()
            .map_err(|error| Error::Internal(format!("can't start the object store's runtime: {error}")))?;
        let driver = Arc::new(Driver { store, runtime: Some(runtime) });
        let store = RemoteStore { driver, prefix: prefix.trim_matches('/').to_owned(), url: url.to_owned() };
        store.claim(&own_identity(dir)?)?;
        Ok(store)
    }

    pub(super) fn display(&self, path: &str) -> String {
        format!("{}/{path}", self.url.trim_end_matches('/'))
    }

    pub(super) fn create(&self, path: &str) -> RemoteUpload {
        RemoteUpload {
            driver: self.driver.clone(),
            path: self.object(path),
            display: self.display(path).into(),
            buffer: Vec::new(),
            multipart: None,
        }
    }

    pub(super) fn open_file(&self, path: &str) -> RemoteFile {
        RemoteFile { driver: self.driver.clone(), path: self.object(path), display: self.display(path).into() }
    }

    pub(super) fn delete(&self, path: &str) -> Result<()> {
        let object = self.object(path);
        let answer = self.driver.run(move |store| async move { store.delete(&object).await })?;
        match answer {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(io_error(self.display(path), &error)),
        }
    }

    pub(super) fn list(&self) -> Result<Vec<String>> {
        let prefix = (!self.prefix.is_empty()).then(|| self.object(""));
        let listed = self.driver.run(move |store| async move {
            store.list(prefix.as_ref()).map_ok(|meta| meta.location.to_string()).try_collect::<Vec<_>>().await
        })?;
        let listed = listed.map_err(|error| io_error(&self.url, &error))?;
        let below = listed.iter().filter_map(|path| path.strip_prefix(&self.prefix));
        Ok(below.map(|path| path.trim_start_matches('/').to_owned()).filter(|path| path != OWNER).collect())
    }

    fn object(&self, path: &str) -> Path {
        let joined = format!("{}/{path}", self.prefix);
        let trimmed = joined.trim_matches('/');
        // Our own paths are always valid; `from` only encodes what an operator's prefix may hold.
        Path::parse(trimmed).unwrap_or_else(|_| Path::from(trimmed))
    }

    fn claim(&self, identity: &str) -> Result<()> {
        let failed = |error: object_store::Error| io_error(self.display(OWNER), &error);
        if let Some(owner) = self.owner().map_err(failed)? {
            return self.check_owner(&owner, identity);
        }
        let (path, text) = (self.object(OWNER), identity.to_owned());
        let put = self.driver.run(move |store| async move {
            match store.put_opts(&path, text.clone().into(), PutMode::Create.into()).await {
                // Without conditional puts there is only the look before.
                Err(object_store::Error::NotImplemented { .. }) => store.put(&path, text.into()).await.map(|_| true),
                Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
                other => other.map(|_| true),
            }
        })?;
        if put.map_err(failed)? {
            return Ok(());
        }
        let owner = self.owner().map_err(failed)?.unwrap_or_default();
        self.check_owner(&owner, identity)
    }

    fn owner(&self) -> Result<Option<Bytes>, object_store::Error> {
        let path = self.object(OWNER);
        let found = self.driver.run(move |store| async move {
            match store.get(&path).await {
                Ok(object) => object.bytes().await.map(Some),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        });
        found.unwrap_or_else(|error| Err(object_store::Error::Generic { store: "segments", source: Box::new(error) }))
    }

    fn check_owner(&self, owner: &[u8], identity: &str) -> Result<()> {
        if owner == identity.as_bytes() {
            return Ok(());
        }
        Err(Error::FailedPrecondition(format!(
            "{} holds the segments of another data directory; choose a prefix of its own for each",
            self.url
        )))
    }
}

/// The data directory's identity, drawn once.
fn own_identity(dir: &FilePath) -> Result<String> {
    let path = dir.join("segment-store-identity");
    match std::fs::read_to_string(&path) {
        Ok(identity) if !identity.trim().is_empty() => return Ok(identity.trim().to_owned()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(path, &error)),
        _ => {}
    }
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|error| Error::Internal(format!("no randomness: {error}")))?;
    let identity = format!("{:032x}", u128::from_le_bytes(random));
    let write = || {
        let mut file = std::fs::File::create(&path)?;
        file.write_all(identity.as_bytes())?;
        file.sync_all()?;
        std::fs::File::open(dir)?.sync_all()
    };
    write().map_err(|error| io_error(&path, &error))?;
    Ok(identity)
}

/// The store and the runtime that drives it.
struct Driver {
    store: Arc<dyn ObjectStore>,
    runtime: Option<Runtime>,
}

impl Driver {
    /// Runs a request to its end; the caller's thread blocks.
    fn run<T, F>(&self, request: impl FnOnce(Arc<dyn ObjectStore>) -> F) -> Result<T>
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

pub(crate) struct RemoteUpload {
    driver: Arc<Driver>,
    path: Path,
    display: PathBuf,
    buffer: Vec<u8>,
    multipart: Option<Box<dyn MultipartUpload>>,
}

impl RemoteUpload {
    pub(super) fn finish(mut self) -> Result<()> {
        if self.multipart.is_none() {
            let (path, payload) = (self.path.clone(), PutPayload::from(std::mem::take(&mut self.buffer)));
            let put = self.driver.run(move |store| async move { store.put(&path, payload).await })?;
            return put.map(|_| ()).map_err(|error| io_error(&self.display, &error));
        }
        if !self.buffer.is_empty() {
            self.send_part()?;
        }
        let Some(mut multipart) = self.multipart.take() else { return Ok(()) };
        let answer = self.driver.run(move |_| async move {
            let answer = multipart.complete().await;
            if answer.is_err() {
                // The error that counts is the first.
                let _ = multipart.abort().await;
            }
            answer
        })?;
        answer.map(|_| ()).map_err(|error| io_error(&self.display, &error))
    }

    /// One part at a time: a segment's parts wait for its encoder anyway.
    fn send_part(&mut self) -> Result<()> {
        let payload = PutPayload::from(std::mem::take(&mut self.buffer));
        let (path, multipart) = (self.path.clone(), self.multipart.take());
        let answer = self.driver.run(move |store| async move {
            let mut multipart = match multipart {
                Some(multipart) => multipart,
                None => store.put_multipart(&path).await?,
            };
            match multipart.put_part(payload).await {
                Ok(()) => Ok(multipart),
                Err(error) => {
                    let _ = multipart.abort().await;
                    Err(error)
                }
            }
        })?;
        self.multipart = Some(answer.map_err(|error| io_error(&self.display, &error))?);
        Ok(())
    }
}

impl Write for RemoteUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let now = bytes.len().min(PART_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(bytes.get(..now).unwrap_or(bytes));
        if self.buffer.len() >= PART_BYTES {
            self.send_part().map_err(io::Error::other)?;
        }
        Ok(now)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for RemoteUpload {
    fn drop(&mut self) {
        if let Some(mut multipart) = self.multipart.take() {
            // Parts of an upload that can't be aborted are the store's to expire.
            let _ = self.driver.run(move |_| async move { multipart.abort().await });
        }
    }
}

#[derive(Debug)]
pub(crate) struct RemoteFile {
    driver: Arc<Driver>,
    path: Path,
    display: PathBuf,
}

impl RemoteFile {
    pub(super) fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (path, asked) = (self.path.clone(), ranges.to_vec());
        let answer = self.driver.run(move |store| async move { store.get_ranges(&path, &asked).await })?;
        let answer = answer.map_err(|error| io_error(&self.display, &error))?;
        for (range, bytes) in ranges.iter().zip(&answer) {
            if bytes.len() as u64 != range.end.saturating_sub(range.start) {
                return Err(Error::Corrupt {
                    path: self.display.clone(),
                    position: range.start,
                    message: format!("the object ends before byte {}", range.end),
                });
            }
        }
        Ok(answer)
    }
}
