//! Watches the free space of the journal.

use std::time::Duration;

use super::shared::Sequencing;
use crate::model::{Error, Result};

const CHECK_EVERY: Duration = Duration::from_secs(1);
const CHECK_EVERY_BYTES: u64 = 64 << 20;

/// What was last seen. Bytes written since count against it.
#[derive(Debug, Default)]
pub(super) struct Space {
    checked: Option<Duration>,
    free: u64,
    written: u64,
}

impl Space {
    /// Refuses appends where the journal has less than the floor.
    pub(super) fn check(&mut self, sequencing: &Sequencing, now: Duration) -> Result<()> {
        let floor = sequencing.settings.free_space_floor_bytes;
        let due = self.checked.is_none_or(|checked| now.saturating_sub(checked) >= CHECK_EVERY);
        let near = self.free >= floor && self.free.saturating_sub(self.written) < floor;
        if due || near || self.written >= CHECK_EVERY_BYTES {
            // A journal that can't say is taken for one that has space: a write will show.
            self.free = sequencing.journal.free_bytes().unwrap_or(u64::MAX);
            (self.checked, self.written) = (Some(now), 0);
            sequencing.figures.free_disk_bytes.set(self.free);
        }
        if self.free < floor { Err(Error::DiskFull { free: self.free, floor }) } else { Ok(()) }
    }

    pub(super) fn wrote(&mut self, bytes: u64) {
        self.written = self.written.saturating_add(bytes);
    }
}
