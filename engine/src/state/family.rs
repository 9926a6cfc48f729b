//! What a family of entries is: one kind of thing that the log says, and what the state keeps of it.
//!
//! A family is a file beside this one: the records that are its own ([`RecordKind`]), how they are folded ([`Family`]), and what of
//! that is in the state store ([`Stored`]). `state/families.rs` lists them; nothing else names them all.

use std::any::{Any, TypeId, type_name};
use std::fmt;

use super::catalog::Catalog;
use super::earlier::Earlier;
use super::record::{Record, RecordContext};
use super::stored::Stored;
use crate::model::{Error, Lsn, Result};

/// A kind of record, beside rows. `Record` lists them with the bytes that name them in the log.
pub(crate) trait RecordKind: fmt::Debug {
    /// The record as it lies in its frame.
    fn encode(&self) -> Result<Vec<u8>>;

    /// What is wrong with the payload is said without its place.
    fn decode(payload: &[u8]) -> Result<Self, String>
    where
        Self: Sized;

    /// No more than this many bytes are needed for [`Self::encode`].
    fn payload_bytes(&self) -> Result<usize>;

    /// Whether the record may enter the log, by the state that includes every submission ahead; `earlier` has what the records
    /// before it in the same submission do, and takes note of what this one does.
    fn admit<'a>(&'a self, ahead: &dyn Ahead, earlier: &mut Earlier<'a>) -> Result<()>;

    /// Told once it is admitted, before it is applied: what it creates is named by its LSN.
    fn numbered(&mut self, _lsn: Lsn) {}

    /// Whether it grows with what was read or written: it then waits in the lane of rows.
    fn is_bulk(&self) -> bool {
        false
    }

    /// Whether it must lie behind the rows of all submissions before it.
    fn comes_after_rows(&self) -> bool {
        false
    }
}

/// What must hold when the turn of a submission comes. Whoever is asked brings it: it is a struct in the family's own file, and a line
/// in `conditions.rs`.
pub(crate) trait Condition: fmt::Debug {
    /// Refuses the submission if it does not hold in the state that includes every submission ahead.
    fn check(&self, ahead: &dyn Ahead) -> Result<()>;
}

/// The state that includes every submission ahead, as admission sees it.
pub(crate) trait Ahead {
    fn catalog(&self) -> &Catalog;

    /// The family of that type.
    fn family(&self, of: TypeId) -> Option<&dyn Any>;
}

impl dyn Ahead + '_ {
    /// The family of that type, which `state/families.rs` lists.
    pub(crate) fn get<F: Family + 'static>(&self) -> Result<&F> {
        let found = self.family(TypeId::of::<F>()).and_then(|family| family.downcast_ref());
        found.ok_or_else(|| Error::Internal(format!("{} is no family of the state", type_name::<F>())))
    }
}

/// What a family is told of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fold<'a> {
    pub context: RecordContext,
    /// What was defined before the record.
    pub catalog: &'a Catalog,
    /// The append time that the state had reached before the record.
    pub before_us: i64,
}

impl Fold<'_> {
    /// The append time that the state has now: the record's, unless an earlier one was later.
    pub(crate) fn append_us(&self) -> i64 {
        self.before_us.max(self.context.append_us)
    }
}

/// What the log folds into state. Folding is a pure function: no clock, no chance, and the same in every replay. What it is told has
/// been admitted, so it refuses nothing: it does what makes sense of the record. An error is a state store that can't be read.
pub(crate) trait Family: Stored {
    /// Takes a record up, its own or another's that concerns it.
    fn apply(&mut self, fold: &Fold<'_>, record: &Record) -> Result<()>;

    /// The writer's view: no checkpoint is taken of it.
    fn ahead(&self) -> Self
    where
        Self: Sized;

    /// The writer's view is told that a commit is complete, and how far readers' state has come: what is below is decided, and need
    /// not be kept twice.
    fn end_commit(&mut self, _last: Lsn, _applied: Lsn) {}
}
