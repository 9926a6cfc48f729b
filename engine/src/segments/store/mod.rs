//! Where segment files lie: a directory of this machine, or an object store.
//!
//! The local directory does not go through `object_store`, whose local backend syncs neither files nor directories: a
//! segment may be recorded, and the log behind it trimmed, only when its bytes and its name are durable.

mod local;
mod remote;

use std::io::{self, Write};
use std::ops::Range;

use bytes::Bytes;

use crate::{EngineOptions, Error, Result, SegmentStore};

use local::{LocalFile, LocalStore, LocalUpload};
use remote::{RemoteFile, RemoteStore, RemoteUpload};

/// A place for segment files. Paths are relative, with `/` between their parts.
#[derive(Debug)]
pub(super) enum Store {
    Local(LocalStore),
    Remote(RemoteStore),
}

impl Store {
    pub(super) fn open(options: &EngineOptions) -> Result<Store> {
        Ok(match &options.segment_store {
            SegmentStore::Local => Store::Local(LocalStore::open(options.dir.join("segments"))?),
            SegmentStore::Remote { store, prefix, url } => {
                Store::Remote(RemoteStore::open(store.clone(), prefix, url, &options.dir)?)
            }
        })
    }

    /// Begins a file, which is seen under its path when it is finished.
    pub(super) fn create(&self, path: &str) -> Result<Upload> {
        Ok(match self {
            Store::Local(store) => Upload::Local(store.create(path)?),
            Store::Remote(store) => Upload::Remote(store.create(path)),
        })
    }

    pub(super) fn open_file(&self, path: &str) -> Result<StoredFile> {
        Ok(match self {
            Store::Local(store) => StoredFile::Local(store.open_file(path)?),
            Store::Remote(store) => StoredFile::Remote(store.open_file(path)),
        })
    }

    /// A file that is not there is no error.
    pub(super) fn delete(&self, path: &str) -> Result<()> {
        match self {
            Store::Local(store) => store.delete(path),
            Store::Remote(store) => store.delete(path),
        }
    }

    /// Every file, unfinished ones included.
    pub(super) fn list(&self) -> Result<Vec<String>> {
        match self {
            Store::Local(store) => store.list(),
            Store::Remote(store) => store.list(),
        }
    }

    /// A path as messages show it.
    pub(super) fn display(&self, path: &str) -> std::path::PathBuf {
        match self {
            Store::Local(store) => store.full(path),
            Store::Remote(store) => store.display(path).into(),
        }
    }

    /// True where a read costs a round trip, so that fewer and larger ones are better.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self, Store::Remote(_))
    }
}

/// A file being written. Dropped unfinished, it leaves nothing behind but what the next opening removes.
pub(super) enum Upload {
    Local(LocalUpload),
    Remote(RemoteUpload),
}

impl Upload {
    /// Returns when the file is durable under its name.
    pub(super) fn finish(self) -> Result<()> {
        match self {
            Upload::Local(upload) => upload.finish(),
            Upload::Remote(upload) => upload.finish(),
        }
    }
}

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Upload::Local(upload) => upload.write(bytes),
            Upload::Remote(upload) => upload.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Upload::Local(upload) => upload.flush(),
            Upload::Remote(upload) => upload.flush(),
        }
    }
}

/// A finished file, open for reading.
#[derive(Debug)]
pub(super) enum StoredFile {
    Local(LocalFile),
    Remote(RemoteFile),
}

impl StoredFile {
    /// Bytes for each range; a file that ends earlier is an error.
    pub(super) fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        match self {
            StoredFile::Local(file) => file.read(ranges),
            StoredFile::Remote(file) => file.read(ranges),
        }
    }

    /// Ranges that are likely to be read next. Of an object store they would cost requests, so nothing is fetched.
    pub(super) fn will_read(&self, ranges: &[Range<u64>]) {
        match self {
            StoredFile::Local(file) => file.will_read(ranges),
            StoredFile::Remote(_) => {}
        }
    }
}

/// An I/O error with the path it concerns.
fn io_error(path: impl Into<std::path::PathBuf>, error: &dyn std::fmt::Display) -> Error {
    Error::Io { path: path.into(), message: error.to_string() }
}

/// Whether a listed path is of a form that only this module makes; other files are left alone.
pub(super) fn is_ours(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        [unfinished] => unfinished.starts_with(local::UNFINISHED),
        [_, _, partition, file] => {
            let numbers = file.strip_suffix(".parquet").and_then(|stem| stem.split_once('-'));
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            partition.strip_prefix('p').is_some_and(is_number)
                && numbers.is_some_and(|(offset, id)| offset.len() == 20 && is_number(offset) && is_number(id))
        }
        _ => false,
    }
}
