//! From a row to its LSN and back, for every retained row: the log knows those that it still has, segments the others.

use super::tables::Tables;
use super::{ATTEMPTS, RowsIn, locate};
use crate::log::LsnPlace;
use crate::model::{Error, Lsn, Offset, PartitionId, Result, RowPlace, TableId};

/// The LSN of a retained row.
pub(crate) fn lsn_of(tables: &Tables, table: TableId, partition: PartitionId, offset: Offset) -> Result<Lsn> {
    for _ in 0..ATTEMPTS {
        let (info, place) = locate(tables, table, partition, offset)?;
        let segment = match place {
            RowsIn::End => {
                let state = tables.ledger.state.read();
                let found = state.partition(table, partition).ok_or_else(|| super::no_partition(&info, partition))?;
                return Err(Error::OffsetOutOfRange { partition, offset, start: found.start, end: found.end });
            }
            RowsIn::Segment(segment) => Some(segment),
            RowsIn::Log => None,
        };
        if let Some(segment) = &segment
            && let Some(lsn) = tables.segments.lsn_of(segment, offset)?
        {
            return Ok(lsn);
        }
        if let Some(entry) = tables.ledger.log.entry_at(table, partition, offset)? {
            return Ok(Lsn(entry.lsn.0 + (offset - entry.base_offset)));
        }
        if segment.is_some() {
            return Err(Error::FailedPrecondition(format!(
                "the LSN of offset {offset} of table {:?} partition {partition} is not known: its segment was written by a \
                 release that did not keep LSNs",
                info.name
            )));
        }
        // The log was trimmed after the look at the state: by now a segment holds the row, or retention has moved the start.
    }
    Err(Error::Internal(format!(
        "offset {offset} of table {table} partition {partition} lies neither in log nor segments"
    )))
}

/// The retained row that has an LSN. `NotFound` where there is none: the LSN is not given yet, is that of another record, or
/// its row is no longer retained.
pub(crate) fn row_at(tables: &Tables, lsn: Lsn) -> Result<RowPlace> {
    let none = || Error::NotFound { what: "row with LSN", name: lsn.to_string() };
    if lsn == Lsn(0) || lsn > tables.ledger.state.read().applied() {
        return Err(none());
    }
    let place = match tables.ledger.log.row_at(lsn)? {
        LsnPlace::Row { table, partition, offset } => RowPlace { table, partition, offset },
        LsnPlace::NoRow => return Err(none()),
        LsnPlace::Older => in_segments(tables, lsn)?.ok_or_else(none)?,
    };
    let state = tables.ledger.state.read();
    let retained = state.partition(place.table, place.partition).is_some_and(|found| place.offset >= found.start);
    if retained { Ok(place) } else { Err(none()) }
}

fn in_segments(tables: &Tables, lsn: Lsn) -> Result<Option<RowPlace>> {
    let (mut candidates, mut silent) = (Vec::new(), false);
    {
        let state = tables.ledger.state.read();
        for info in state.catalog().tables() {
            for (partition, found) in (0..).zip(state.catalog().partitions(info.id).unwrap_or_default()) {
                match found.segment_at_lsn(lsn) {
                    Some(meta) if meta.has_lsns() => {
                        candidates.push((info.id, partition, tables.segments.lease(meta)));
                    }
                    Some(_) => silent = true,
                    None => {}
                }
            }
        }
    }
    for (table, partition, segment) in candidates {
        if let Some(offset) = tables.segments.offset_of(&segment, lsn)? {
            return Ok(Some(RowPlace { table, partition, offset }));
        }
    }
    if silent {
        return Err(Error::FailedPrecondition(format!(
            "whether a row has LSN {lsn} is not known: segments of that time were written by a release that did not keep LSNs"
        )));
    }
    Ok(None)
}
