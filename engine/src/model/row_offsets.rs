//! Where the rows of a topic come from.

use std::ops::Range;
use std::sync::Arc;

use crate::model::Offset;

/// The source offset of each row of a batch, never decreasing: one source row may give several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowOffsets {
    /// One after the other, as where no row was left out.
    Dense(Range<Offset>),
    Listed(Arc<[Offset]>),
}

impl RowOffsets {
    pub(crate) fn none() -> RowOffsets {
        RowOffsets::Dense(0..0)
    }

    /// Of how many rows.
    pub fn len(&self) -> usize {
        match self {
            RowOffsets::Dense(offsets) => {
                usize::try_from(offsets.end.saturating_sub(offsets.start)).unwrap_or(usize::MAX)
            }
            RowOffsets::Listed(offsets) => offsets.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// That of one row.
    pub fn get(&self, row: usize) -> Option<Offset> {
        match self {
            RowOffsets::Dense(offsets) => (row < self.len()).then(|| offsets.start + row as u64),
            RowOffsets::Listed(offsets) => offsets.get(row).copied(),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Offset> + '_ {
        (0..self.len()).filter_map(|row| self.get(row))
    }

    /// Those of some of the rows; what lies past the last one is left out.
    pub fn slice(&self, rows: Range<usize>) -> RowOffsets {
        let (start, end) = (rows.start.min(self.len()), rows.end.min(self.len()));
        match self {
            RowOffsets::Dense(offsets) => {
                RowOffsets::Dense(offsets.start + start as u64..offsets.start + end.max(start) as u64)
            }
            RowOffsets::Listed(offsets) => RowOffsets::Listed(offsets.get(start..end).unwrap_or_default().into()),
        }
    }

    /// The first row whose offset is not below this one; the number of rows if there is none.
    pub(crate) fn first_from(&self, from: Offset) -> usize {
        match self {
            RowOffsets::Dense(offsets) => {
                let below = from.saturating_sub(offsets.start);
                usize::try_from(below).unwrap_or(usize::MAX).min(self.len())
            }
            RowOffsets::Listed(offsets) => offsets.partition_point(|offset| *offset < from),
        }
    }

    /// Memory beside the value itself.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            RowOffsets::Dense(_) => 0,
            RowOffsets::Listed(offsets) => size_of_val(&**offsets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_answer_alike() {
        let dense = RowOffsets::Dense(7..12);
        let listed = RowOffsets::Listed((7..12).collect());
        for offsets in [dense, listed] {
            assert_eq!(offsets.iter().collect::<Vec<_>>(), [7, 8, 9, 10, 11]);
            assert_eq!((offsets.get(0), offsets.get(4), offsets.get(5)), (Some(7), Some(11), None));
            let found: Vec<usize> = [0, 7, 8, 11, 12, 99].map(|from| offsets.first_from(from)).into();
            assert_eq!(found, [0, 0, 1, 4, 5, 5]);
            assert_eq!(offsets.slice(1..3).iter().collect::<Vec<_>>(), [8, 9]);
            assert_eq!(offsets.slice(4..9).iter().collect::<Vec<_>>(), [11]);
            assert!(offsets.slice(5..9).is_empty() && offsets.slice(2..2).is_empty());
        }
        assert!(RowOffsets::none().is_empty());
    }
}
