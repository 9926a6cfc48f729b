//! Batches that are too large for one commit, in parts that are not.

use arrow::array::RecordBatch;

use super::size::unpacked_bytes;
use super::unpack::unpacked;
use crate::error::{Error, Result};

/// What a table takes at once. No row may be larger.
const COMMIT_BYTES: u64 = 8 << 20;
/// A batch up to this goes whole, and so atomically: what it takes besides its rows still fits into a commit.
const WHOLE_BYTES: u64 = 7 << 20;
/// The parts of a larger one.
const PART_BYTES: u64 = 4 << 20;

/// The batch in stored encodings, in as many parts as it takes; rows keep their order. At least one part, of no rows where
/// there are none.
pub(crate) fn parts(batch: &RecordBatch) -> Result<Vec<RecordBatch>> {
    let rows = batch.num_rows();
    if unpacked_bytes(batch) <= WHOLE_BYTES {
        return Ok(vec![unpacked(batch)?]);
    }
    let (mut parts, mut first) = (Vec::new(), 0);
    while first < rows {
        let part = batch.slice(first, part_rows(batch, first));
        let bytes = unpacked_bytes(&part);
        if bytes > COMMIT_BYTES {
            return Err(Error::InvalidInput(format!(
                "row {first} of the batch has {bytes} bytes; a row may have {COMMIT_BYTES}"
            )));
        }
        parts.push(unpacked(&part)?);
        first += part.num_rows();
    }
    Ok(parts)
}

/// How many rows from `first` on make a part: all that fit, and at least one.
fn part_rows(batch: &RecordBatch, first: usize) -> usize {
    let (mut fit, mut too_many) = (1, batch.num_rows() - first + 1);
    while too_many - fit > 1 {
        let rows = fit + (too_many - fit) / 2;
        match unpacked_bytes(&batch.slice(first, rows)) <= PART_BYTES {
            true => fit = rows,
            false => too_many = rows,
        }
    }
    fit
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, AsArray, BinaryArray, DictionaryArray, Int32Array, ListArray, StringArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::{Int32Type, UInt8Type};

    use super::*;

    fn batch(column: impl arrow::array::Array + 'static) -> RecordBatch {
        RecordBatch::try_from_iter([("column", Arc::new(column) as ArrayRef)]).unwrap()
    }

    fn check(whole: &RecordBatch, at_least: usize) {
        let parts = parts(whole).unwrap();
        assert!(parts.len() >= at_least, "{} parts", parts.len());
        assert!(parts.iter().all(|part| unpacked_bytes(part) <= PART_BYTES));
        assert!(parts.len() <= at_least + 1, "{} parts", parts.len());
        assert_eq!(concat_batches(parts[0].schema_ref(), &parts).unwrap(), unpacked(whole).unwrap());
    }

    #[test]
    fn small_batches_go_whole() {
        let whole = batch(Int32Array::from_iter_values(0..1_000_000));
        assert_eq!(parts(&whole).unwrap(), [whole]);
        let none = batch(Int32Array::from_iter_values(0..0));
        assert_eq!(parts(&none).unwrap(), [none]);
    }

    #[test]
    fn large_ones_are_cut_whatever_their_type() {
        check(&batch(Int32Array::from_iter_values(0..3_000_000)), 3);
        check(
            &batch(ListArray::from_iter_primitive::<Int32Type, _, _>((0..300_000).map(|i| Some(vec![Some(i); 10])))),
            4,
        );
        let mut lengths = vec![10; 100_000];
        lengths[77] = 3 << 20;
        lengths[78] = 3 << 20;
        lengths[99_999] = 3 << 20;
        check(&batch(BinaryArray::from_iter_values(lengths.into_iter().map(|length| vec![1; length]))), 3);
        // A slice of a large array is measured by what it shows of it.
        let part =
            batch(ListArray::from_iter_primitive::<Int32Type, _, _>((0..300_000).map(|i| Some(vec![Some(i); 10]))));
        assert_eq!(parts(&part.slice(5, 1000)).unwrap().len(), 1);
    }

    #[test]
    fn dictionaries_are_measured_before_they_are_unpacked() {
        let values: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(1 << 20), "y".to_owned()]));
        let keys = arrow::array::UInt8Array::from_iter_values((0..64).map(|row| u8::from(row % 2 == 0)));
        let whole = batch(DictionaryArray::<UInt8Type>::try_new(keys, values).unwrap());
        let parts = parts(&whole).unwrap();
        assert!(parts.len() >= 8, "{}", parts.len());
        assert_eq!(parts.iter().map(RecordBatch::num_rows).sum::<usize>(), 64);
        assert_eq!(parts[0].column(0).as_string::<i32>().value(1).len(), 1 << 20);
    }

    #[test]
    fn a_row_that_fits_nowhere_is_refused_by_its_number() {
        let whole = batch(BinaryArray::from_iter_values([vec![1; 10], vec![1; 9 << 20]]));
        assert!(parts(&whole).unwrap_err().to_string().contains("row 1"));
    }
}
