//! How steps and watermarks get into the log.

use std::sync::Arc;

use super::super::codec;
use super::super::earlier::Earlier;
use super::super::family::{Ahead, RecordKind};
use crate::model::{Error, Result};
use crate::state::ContinuousRecord;

/// What a partition, a piece and a step take at most, beside bytes.
const PARTITION_BYTES: usize = 32;
const PIECE_BYTES: usize = 32;
const STEP_BYTES: usize = 256;

impl RecordKind for ContinuousRecord {
    fn encode(&self) -> Result<Vec<u8>> {
        codec::record_postcard(self)
    }

    fn decode(payload: &[u8]) -> Result<Self, String> {
        codec::record_from_postcard(payload)
    }

    fn payload_bytes(&self) -> Result<usize> {
        let ContinuousRecord::Stepped(step) = self else { return Ok(STEP_BYTES) };
        let partitions: usize = step.header.sources.iter().map(|source| (source.len() + 1) * PARTITION_BYTES).sum();
        let piece = |piece: &Option<Arc<[u8]>>| piece.as_ref().map_or(0, |piece| piece.len()) + PIECE_BYTES;
        let saved: usize = step.saved.iter().map(|(_, saved)| piece(saved)).sum();
        let cursor = step.header.cursor.as_ref().map_or(0, |cursor| cursor.len());
        Ok(STEP_BYTES + partitions + saved + cursor + step.dropped.len() * PIECE_BYTES)
    }

    fn admit<'a>(&'a self, ahead: &dyn Ahead, _earlier: &mut Earlier<'a>) -> Result<()> {
        match self {
            ContinuousRecord::Stepped(step) => match ahead.catalog().continuous(step.topic) {
                Some(_) => Ok(()),
                None => Err(Error::gone("continuous topic")),
            },
            ContinuousRecord::Advanced(advance) => ahead.catalog().known_table(advance.table).map(drop),
        }
    }

    fn is_bulk(&self) -> bool {
        matches!(self, ContinuousRecord::Stepped(_))
    }
}
