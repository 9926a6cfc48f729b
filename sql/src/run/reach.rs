//! Which files statements reach: those under the directories that the setting `file_roots` names, links resolved, and none of
//! the server's own. Whoever may send statements may not be allowed to touch what the server's user may.
//!
//! A path is judged in its resolved form, and that form is then walked from its root without following links: what another
//! process puts in the place of a directory meanwhile is an error, and never the way out.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::files::failed;
use crate::{Error, Result, SqlOptions};

/// A name in a directory that statements may use.
pub(super) struct Place {
    pub(super) directory: OwnedFd,
    pub(super) name: OsString,
    path: PathBuf,
}

impl Place {
    /// Of a file that is there; where a link leads to is what counts.
    pub(super) fn of_existing(options: &SqlOptions, path: &str) -> Result<Place> {
        let resolved = resolve(options, Path::new(path), Path::new(path))?;
        Place::within(options, resolved)
    }

    /// Of a file that is to be made; its directory must exist.
    pub(super) fn of_new(options: &SqlOptions, path: &str) -> Result<Place> {
        let named = Path::new(path);
        let Some(name) = named.file_name() else {
            permitted(options, named)?;
            return Err(Error::File { path: named.to_owned(), message: "is not the name of a file".to_owned() });
        };
        let directory = named.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let resolved = resolve(options, directory, named)?.join(name);
        Place::within(options, resolved)
    }

    /// Where it lies, without links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file to read. Pipes and devices, which would make whoever opens them wait, are no files here.
    pub(super) fn open(&self) -> Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.directory, &self.name, flags, Mode::empty());
        let file = File::from(opened.map_err(|error| failed(&self.path, &error))?);
        let metadata = file.metadata().map_err(|error| failed(&self.path, &error))?;
        if !metadata.is_file() {
            return Err(self.no_file());
        }
        Ok(file)
    }

    /// What has this name: nothing, a regular file, or something that is neither, which is an error.
    pub(super) fn is_taken(&self) -> Result<bool> {
        match rustix::fs::statat(&self.directory, &self.name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => Ok(true),
            Ok(_) => Err(self.no_file()),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(failed(&self.path, &error)),
        }
    }

    fn no_file(&self) -> Error {
        Error::File { path: self.path.clone(), message: "is not a regular file".to_owned() }
    }

    /// Finds the root that a resolved path lies under, and goes down from there.
    fn within(options: &SqlOptions, resolved: PathBuf) -> Result<Place> {
        let root = roots(options).find(|root| resolved.starts_with(root));
        let root = root.ok_or_else(|| not_allowed(options, &resolved))?;
        if own_directories(options).iter().any(|own| resolved.starts_with(own)) {
            return Err(Error::FileOfServer { path: resolved });
        }
        let (Some(parent), Some(name)) =
            (resolved.parent().filter(|parent| parent.starts_with(&root)), resolved.file_name())
        else {
            return Err(Error::File { path: resolved, message: "is a directory".to_owned() });
        };
        let below = parent.strip_prefix(&root).unwrap_or(Path::new(""));
        let directory = walk(&root, below).map_err(|error| failed(&resolved, &error))?;
        Ok(Place { directory, name: name.to_owned(), path: resolved })
    }
}

/// Opens a directory step by step.
fn walk(root: &Path, below: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut directory = rustix::fs::open(root, flags, Mode::empty())?;
    for step in below.components().map(Component::as_os_str) {
        directory = rustix::fs::openat(&directory, step, flags, Mode::empty())?;
    }
    Ok(directory)
}

/// A path without links. Outside the roots nobody learns what is there and what is not.
fn resolve(options: &SqlOptions, path: &Path, named: &Path) -> Result<PathBuf> {
    permitted(options, named)?;
    path.canonicalize().map_err(|error| {
        let stated = std::path::absolute(path).unwrap_or_default();
        let there = stated.ancestors().skip(1).find_map(|above| above.canonicalize().ok());
        match there.is_some_and(|there| roots(options).any(|root| there.starts_with(root))) {
            true => failed(named, &error),
            false => not_allowed(options, named),
        }
    })
}

/// Nothing is looked at where nothing may be used.
fn permitted(options: &SqlOptions, path: &Path) -> Result<()> {
    match options.file_roots.is_empty() {
        true => Err(not_allowed(options, path)),
        false => Ok(()),
    }
}

fn not_allowed(options: &SqlOptions, path: &Path) -> Error {
    Error::FileNotAllowed { path: path.to_owned(), roots: options.file_roots.clone() }
}

fn roots(options: &SqlOptions) -> impl Iterator<Item = PathBuf> {
    options.file_roots.iter().filter_map(|root| root.canonicalize().ok())
}

/// The server's own directories, and where links in them lead to: parts of a data directory may lie on other disks.
fn own_directories(options: &SqlOptions) -> Vec<PathBuf> {
    let mut own = Vec::new();
    for directory in &options.own_dirs {
        own.extend(directory.canonicalize().ok());
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
        own.extend(links.filter_map(|entry| entry.path().canonicalize().ok()));
    }
    own
}
