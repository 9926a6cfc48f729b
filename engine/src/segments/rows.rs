//! Where the rows of segments are found by their LSNs, and whether a new file can be read.

use std::sync::Arc;

use super::handle::Segments;
use super::lsns::LsnRuns;
use super::open::{Footer, Segment};
use crate::model::{Lsn, Offset, Result};
use crate::state::SegmentMeta;

impl Segments {
    /// Whether a file that was just written can be found, and says what its entry will say.
    pub(super) fn check_written(&self, meta: &SegmentMeta) -> Result<()> {
        Footer::open(&self.store, meta).map(drop)
    }

    /// The LSNs of a segment's rows; `None` in files of releases that did not keep them.
    pub(super) fn lsns(&self, segment: &Segment) -> Result<Option<Arc<LsnRuns>>> {
        if !segment.meta.has_lsns() {
            return Ok(None);
        }
        Ok(segment.footer(&self.store)?.lsns.clone())
    }

    /// The LSN of the row at an offset that a segment holds; `None` if the file says nothing of LSNs.
    pub(crate) fn lsn_of(&self, segment: &Segment, offset: Offset) -> Result<Option<Lsn>> {
        let row = offset.saturating_sub(segment.meta.first_offset);
        Ok(self.lsns(segment)?.and_then(|lsns| lsns.lsn_of(row)))
    }

    /// The offset of the row that has an LSN; `None` if none of a segment has.
    pub(crate) fn offset_of(&self, segment: &Segment, lsn: Lsn) -> Result<Option<Offset>> {
        let row = self.lsns(segment)?.and_then(|lsns| lsns.row_of(lsn));
        Ok(row.map(|row| segment.meta.first_offset + row))
    }
}
