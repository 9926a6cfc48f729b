//! Where segment files lie: a directory of this machine, or an object store.
//!
//! The local directory does not go through `object_store`, whose local backend syncs neither files nor directories: a
//! segment may be recorded, and the log behind it trimmed, only when its bytes and its name are durable.

mod bucket;
mod directory;
mod epochs;
mod errors;
mod local;
mod owner;
mod remote;

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::model::Result;
use crate::platform::Events;
use crate::platform::{EngineOptions, SegmentStore};

use local::{LocalFile, LocalStore, LocalUpload};
pub(super) use owner::Ownership;
use remote::{RemoteFile, RemoteStore, RemoteUpload};

/// A place for segment files. Paths are relative, with `/` between their parts.
#[derive(Debug)]
pub(super) enum SegmentFiles {
    Local(LocalStore),
    Remote(Box<RemoteStore>),
}

impl SegmentFiles {
    pub(super) fn open(options: &EngineOptions, events: Arc<Events>) -> Result<SegmentFiles> {
        Ok(match &options.segment_store {
            SegmentStore::Local => {
                SegmentFiles::Local(LocalStore::open(options.disk.clone(), options.dir.join("segments"))?)
            }
            SegmentStore::Remote { store, prefix, url } => {
                SegmentFiles::Remote(Box::new(RemoteStore::open(store.clone(), (prefix, url), options, events)?))
            }
        })
    }

    /// Begins a file, which is seen under its path when it is finished.
    pub(super) fn create(&self, path: &str) -> Result<Upload> {
        Ok(match self {
            SegmentFiles::Local(store) => Upload::Local(store.create(path)?),
            SegmentFiles::Remote(store) => Upload::Remote(store.create(path)),
        })
    }

    pub(super) fn open_file(&self, path: &str) -> Result<StoredFile> {
        Ok(match self {
            SegmentFiles::Local(store) => StoredFile::Local(store.open_file(path)?),
            SegmentFiles::Remote(store) => StoredFile::Remote(store.open_file(path)),
        })
    }

    /// A file that is not there is no error.
    pub(super) fn delete(&self, path: &str) -> Result<()> {
        match self {
            SegmentFiles::Local(store) => store.delete(path),
            SegmentFiles::Remote(store) => store.delete(path),
        }
    }

    /// The epoch of this opening, which names of objects carry; a directory of this machine has one owner and no epochs.
    pub(super) fn epoch(&self) -> Option<u64> {
        self.ownership().map(Ownership::epoch)
    }

    /// `None` for a directory of this machine: the lock of the data directory says who owns it.
    pub(super) fn ownership(&self) -> Option<&Ownership> {
        match self {
            SegmentFiles::Local(_) => None,
            SegmentFiles::Remote(store) => Some(&store.ownership),
        }
    }

    /// `Fenced` once another opening of the store has taken it over. To be asked before anything is recorded.
    pub(super) fn check_owner(&self) -> Result<()> {
        self.ownership().map_or(Ok(()), Ownership::check)
    }

    /// A path as messages show it.
    pub(super) fn display(&self, path: &str) -> std::path::PathBuf {
        match self {
            SegmentFiles::Local(store) => store.full(path),
            SegmentFiles::Remote(store) => store.display(path).into(),
        }
    }

    /// True where a read costs a round trip, so that fewer and larger ones are better.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self, SegmentFiles::Remote(_))
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
