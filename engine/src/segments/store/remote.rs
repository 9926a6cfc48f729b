//! Segment files in an object store.

use std::io::{self, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload};

use super::bucket::{Bucket, Driver};
use super::errors::io_error;
use super::owner::Ownership;
use crate::model::{Error, Result};
use crate::platform::EngineOptions;
use crate::platform::Events;

/// Bytes of one part of a multipart upload; smaller files are put in one request.
const PART_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub(crate) struct RemoteStore {
    bucket: Bucket,
    pub(in crate::segments) ownership: Ownership,
}

impl RemoteStore {
    /// Takes the prefix over for the data directory.
    pub(super) fn open(
        store: Arc<dyn ObjectStore>,
        (prefix, url): (&str, &str),
        options: &EngineOptions,
        events: Arc<Events>,
    ) -> Result<RemoteStore> {
        let bucket = Bucket::new(store, prefix, url)?;
        let ownership = Ownership::take(bucket.clone(), options, events)?;
        Ok(RemoteStore { bucket, ownership })
    }

    pub(super) fn display(&self, path: &str) -> String {
        self.bucket.display(path)
    }

    pub(super) fn create(&self, path: &str) -> RemoteUpload {
        RemoteUpload {
            driver: self.bucket.driver().clone(),
            path: self.bucket.object(path),
            display: self.display(path).into(),
            buffer: Vec::new(),
            multipart: None,
            failed: false,
        }
    }

    pub(super) fn open_file(&self, path: &str) -> RemoteFile {
        let driver = self.bucket.driver().clone();
        RemoteFile { driver, path: self.bucket.object(path), display: self.display(path).into() }
    }

    /// The paths of all objects. For what is told to people: nothing is deleted on its strength.
    pub(in crate::segments) fn list(&self) -> Result<Vec<String>> {
        self.bucket.list("")
    }

    pub(super) fn delete(&self, path: &str) -> Result<()> {
        self.bucket.delete(path)
    }
}

pub(crate) struct RemoteUpload {
    driver: Arc<Driver>,
    path: Path,
    display: PathBuf,
    buffer: Vec<u8>,
    multipart: Option<Box<dyn MultipartUpload>>,
    /// A part is missing: what follows must not become an object of its own.
    failed: bool,
}

impl RemoteUpload {
    pub(super) fn finish(mut self) -> Result<()> {
        self.check()?;
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

    fn check(&self) -> Result<()> {
        if self.failed { Err(io_error(&self.display, &"an earlier part of the upload has failed")) } else { Ok(()) }
    }

    /// One part at a time: a segment's parts wait for its encoder anyway.
    fn send_part(&mut self) -> Result<()> {
        self.check()?;
        self.failed = true;
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
        self.failed = false;
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
