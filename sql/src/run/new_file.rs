//! A file that appears under its name whole, at once, or not at all.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::files::failed;
use super::reach::Place;
use crate::{Error, Result, SqlOptions};

/// A name that another run of the server has left behind is passed over; so many are never there.
const ATTEMPTS: usize = 100;

/// A file being written, under a name that shows that it is not done; removed unless it is published.
pub(super) struct NewFile {
    place: Place,
    overwrite: bool,
    temporary: OsString,
}

impl NewFile {
    /// Begins a file. Unless it may overwrite, nothing of its name may be there, neither now nor at the end.
    pub(super) fn create(options: &SqlOptions, path: &str, overwrite: bool) -> Result<(NewFile, File)> {
        let place = Place::of_new(options, path)?;
        if place.is_taken()? && !overwrite {
            return Err(Error::FileExists { path: place.path().to_owned() });
        }
        // Of this statement alone, so that two that write to one name each have a file of their own.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        // Neither a file nor a link of this name is taken for ours.
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for _ in 0..ATTEMPTS {
            let mut temporary = place.name.clone();
            temporary.push(format!(".{}-{}.unfinished", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
            match rustix::fs::openat(&place.directory, &temporary, flags, Mode::from_raw_mode(0o666)) {
                Ok(file) => return Ok((NewFile { place, overwrite, temporary }, File::from(file))),
                Err(Errno::EXIST) => {}
                Err(error) => return Err(failed(place.path(), &error)),
            }
        }
        Err(Error::File {
            path: place.path().to_owned(),
            message: "too many unfinished files lie beside it".to_owned(),
        })
    }

    /// Where it will lie.
    pub(super) fn path(&self) -> &Path {
        self.place.path()
    }

    /// Gives the written file its name, for good once this returns.
    pub(super) fn publish(self, file: &File) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| failed(self.path(), error);
        file.sync_all().map_err(|error| failed(&error))?;
        let directory = self.place.directory.as_fd();
        let taken = self.place.is_taken()?;
        if self.overwrite {
            rustix::fs::renameat(directory, &self.temporary, directory, &self.place.name)
                .map_err(|error| failed(&error))?;
        } else if taken {
            return Err(Error::FileExists { path: self.path().to_owned() });
        } else {
            // A second name, which fails where the name was taken meanwhile; the first goes with `self`.
            match rustix::fs::linkat(directory, &self.temporary, directory, &self.place.name, AtFlags::empty()) {
                Ok(()) => {}
                Err(Errno::EXIST) => return Err(Error::FileExists { path: self.path().to_owned() }),
                // File systems without second names.
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    rustix::fs::renameat(directory, &self.temporary, directory, &self.place.name)
                        .map_err(|error| failed(&error))?;
                }
                Err(error) => return Err(failed(&error)),
            }
        }
        rustix::fs::fsync(directory).map_err(|error| failed(&error))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // It is gone if it was published; what can't be removed stays under its telling name.
        let _ = rustix::fs::unlinkat(&self.place.directory, &self.temporary, AtFlags::empty());
    }
}
