//! Cutting batches.

use arrow_array::RecordBatch;

use crate::log::sliced_bytes;

/// The batch in slices of at most `rows` rows and about `bytes` bytes, but at least one row each; nothing is copied.
pub(crate) fn pieces(batch: &RecordBatch, rows: usize, bytes: usize) -> Vec<RecordBatch> {
    let mut cut = Vec::new();
    push(batch, rows.max(1), bytes.max(1), &mut cut);
    cut
}

fn push(batch: &RecordBatch, rows: usize, bytes: usize, cut: &mut Vec<RecordBatch>) {
    let all = batch.num_rows();
    let parts = all.div_ceil(rows).max(sliced_bytes(batch).div_ceil(bytes)).min(all);
    if parts <= 1 {
        if all > 0 {
            cut.push(batch.clone());
        }
        return;
    }
    // Even shares first; where rows differ much in size, shares that are still too large are cut again.
    let share = all.div_ceil(parts);
    for start in (0..all).step_by(share) {
        push(&batch.slice(start, share.min(all - start)), rows, bytes, cut);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions};
    use arrow_schema::Schema;

    use super::pieces;
    use crate::log::sliced_bytes;

    fn batch(lengths: &[usize]) -> RecordBatch {
        let values: Vec<Vec<u8>> = lengths.iter().map(|length| vec![7; *length]).collect();
        let values: ArrayRef = Arc::new(values.iter().map(|value| Some(value.as_slice())).collect::<BinaryArray>());
        RecordBatch::try_from_iter([("body", values)]).unwrap()
    }

    #[test]
    fn pieces_hold_all_rows_in_order_within_bounds() {
        let lengths: Vec<usize> = (0..1_000).map(|row| if row % 100 == 7 { 9_000 } else { row % 50 }).collect();
        let whole = batch(&lengths);
        let cut = pieces(&whole, 300, 10_000);
        assert!(cut.iter().all(|piece| piece.num_rows() <= 300));
        assert!(cut.iter().all(|piece| piece.num_rows() == 1 || sliced_bytes(piece) <= 10_000));
        let joined = arrow_select::concat::concat_batches(whole.schema_ref(), &cut).unwrap();
        assert_eq!(joined, whole);
    }

    #[test]
    fn a_row_larger_than_the_bound_stands_alone() {
        let cut = pieces(&batch(&[1, 50_000, 1]), 100, 1_000);
        assert_eq!(cut.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn nothing_is_cut_of_nothing() {
        assert!(pieces(&batch(&[]), 10, 10).is_empty());
        let options = RecordBatchOptions::new().with_row_count(Some(25));
        let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
        assert_eq!(pieces(&rows, 10, 10).len(), 3);
    }
}
