//! What a plugin's answer says of its rows.

use super::lane::Failure;
use super::read::Taken;
use crate::contract::{Consumed, Verdict};
use crate::model::FailureKind;
use crate::model::{OnError, PartitionId};

/// Whether an answer can be committed, and the rows that it gives up, which [`OnError::Stop`] does not pass.
pub(super) fn judge(
    consumed: Consumed,
    taken: &Taken,
    on_error: OnError,
) -> Result<(Consumed, Vec<(usize, String)>), Failure> {
    let rows = taken.offsets.len();
    let failed = |why: String, row: Option<usize>, passing: bool, kind| Failure { why, row, passing, kind };
    let named = |row: u32| usize::try_from(row).unwrap_or(usize::MAX);
    let rising = consumed.exceptions.windows(2).all(|pair| matches!(pair, [a, b] if a.0 < b.0));
    if !rising || consumed.exceptions.last().is_some_and(|(row, _)| named(*row) >= rows) {
        let why = format!("exceptions are out of order or beyond the {rows} rows given");
        return Err(failed(why, None, true, FailureKind::BadOutput));
    }
    let mut given_up: Vec<(usize, String)> = Vec::new();
    let mut exceptions = consumed.exceptions.iter().peekable();
    for row in 0..rows {
        let own = exceptions.next_if(|(other, _)| named(*other) == row).map(|(_, verdict)| verdict);
        match own.unwrap_or(&consumed.verdict) {
            Verdict::Done => {}
            Verdict::Retry(why) => {
                let why = format!("the plugin asks for another try: {why}");
                return Err(failed(why, own.map(|_| row), true, FailureKind::Data));
            }
            Verdict::DeadLetter(why) => given_up.push((row, why.clone())),
        }
    }
    match (given_up.first(), on_error) {
        (Some((row, why)), OnError::Stop) => {
            let why = format!("the plugin gives the row up: {why}; on_error is 'stop'");
            Err(failed(why, Some(*row), false, FailureKind::Data))
        }
        _ => Ok((consumed, given_up)),
    }
}

/// Where and why.
pub(super) fn described(partition: PartitionId, taken: &Taken, failure: &Failure) -> String {
    let offset = failure.row.and_then(|row| taken.offsets.get(row)).or(taken.offsets.first()).copied();
    format!("partition {partition} offset {}: {}", offset.unwrap_or(taken.first), failure.why)
}
