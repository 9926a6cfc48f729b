//! BACKUP TO 'directory'.

use super::reach::Place;
use super::{Scene, done};
use crate::{Outcome, Result};

/// Copies the whole store into a directory that is made, below one of those that statements may use.
pub(super) fn backup(scene: &Scene, path: &str) -> Result<Outcome> {
    scene.engine().check_files(scene.who())?;
    let place = Place::of_new(&scene.reader.options, path)?;
    let info = scene.engine().backup(scene.who(), place.path())?;
    let (path, files, bytes, lsn) = (place.path().display(), info.files, info.bytes, info.lsn);
    let elsewhere = info.segments.map_or_else(String::new, |url| format!("; its segments stay in {url}"));
    done(format!("{files} files with {bytes} bytes are backed up to {path}, up to LSN {lsn}{elsewhere}"))
}
