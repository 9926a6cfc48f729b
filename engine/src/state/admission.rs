//! Whether a submission may enter the log. Every family brings what it has to say to that.

use super::State;
use super::earlier::Earlier;
use crate::model::{Appended, Result};
use crate::state::Submission;

/// The answer to a submission whose turn has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admission {
    New,
    /// Its stamp was taken before: this is the first answer. The first submission may still be under way, so the repeat is
    /// answered no earlier than a commit that is written after it.
    Duplicate(Vec<Appended>),
}

impl State {
    /// Checks stamp, preconditions and records against this state, which includes every submission ahead.
    pub(crate) fn admit(&self, submission: &Submission) -> Result<Admission> {
        if let Some(stamp) = &submission.stamp
            && let Some(answer) = stamp.answered(self)?
        {
            return Ok(Admission::Duplicate(answer));
        }
        for precondition in &submission.preconditions {
            precondition.condition().check(self)?;
        }
        let mut earlier = Earlier::default();
        for record in &submission.records {
            record.kind()?.admit(self, &mut earlier)?;
        }
        for part in &submission.rows {
            self.catalog.known_partition(part.table, part.partition)?;
        }
        Ok(Admission::New)
    }
}
