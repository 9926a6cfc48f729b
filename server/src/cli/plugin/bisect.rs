//! Finds the rows that a call fails on.

use std::ops::Range;

/// Rows that fail together though no part of them fails alone, or one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault<E> {
    pub(super) rows: Range<usize>,
    pub(super) error: E,
}

/// Halves `rows`, of which a call has failed with `error`, down to the rows at fault: at most `limit` of them, in order.
/// `call` is also told of the parts that succeed, which are then done with.
pub(super) fn faults<E>(
    rows: Range<usize>,
    error: E,
    limit: usize,
    call: &mut impl FnMut(Range<usize>) -> Result<(), E>,
) -> Vec<Fault<E>> {
    if rows.len() <= 1 || limit == 0 {
        return vec![Fault { rows, error }];
    }
    let middle = rows.start + rows.len() / 2;
    let mut found = Vec::new();
    for half in [rows.start..middle, middle..rows.end] {
        if found.len() >= limit {
            return found;
        }
        if let Err(error) = call(half.clone()) {
            found.extend(faults(half, error, limit - found.len(), call));
        }
    }
    match found.is_empty() {
        true => vec![Fault { rows, error }],
        false => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rows: Range<usize>, limit: usize, fails: impl Fn(&Range<usize>) -> bool, expected: &[(usize, usize)]) {
        let mut call = |part: Range<usize>| if fails(&part) { Err(()) } else { Ok(()) };
        let found: Vec<_> =
            faults(rows, (), limit, &mut call).into_iter().map(|fault| (fault.rows.start, fault.rows.end)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_row_at_fault_is_found() {
        check(0..100, 10, |part| part.contains(&17), &[(17, 18)]);
        check(8..9, 10, |_| true, &[(8, 9)]);
        check(0..64, 10, |part| [0, 31, 63].iter().any(|row| part.contains(row)), &[(0, 1), (31, 32), (63, 64)]);
    }

    #[test]
    fn no_more_are_looked_for_than_asked() {
        check(0..1_000, 3, |_| true, &[(0, 1), (1, 2), (2, 3)]);
    }

    #[test]
    fn rows_that_fail_only_together_are_named_together() {
        check(0..100, 10, |part| part.len() > 50, &[(0, 100)]);
        check(0..100, 10, |part| part.contains(&40) && part.contains(&41), &[(40, 43)]);
    }
}
