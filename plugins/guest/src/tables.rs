//! Rows of tables by key, of [`crate::Consumer`]s and [`crate::CheckbackHandler`]s that ask for [`crate::Capability::Table`].

use std::fmt;

use crate::bindings::consumer::millstream::plugin::tables;
use crate::{Batch, Column, Error, Parameter, message};

/// A table that rows are looked up in. The operator says which one it is: `CREATE PLUGIN … WITH (table.NAME = '…')`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookup {
    pub name: &'static str,
    /// The columns that values are given for. Floating-point numbers can't be among them.
    pub key: &'static [Parameter],
    /// The columns that are wanted.
    pub columns: &'static [Parameter],
}

/// Why nothing was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookupError {
    /// The table was not declared, or not granted.
    Denied(String),
    /// The keys are not what was declared.
    Invalid(String),
    /// The table can't be read now; later it may be.
    Unavailable(String),
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LookupError::Denied(why) | LookupError::Invalid(why) | LookupError::Unavailable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for LookupError {}

impl From<LookupError> for String {
    fn from(error: LookupError) -> String {
        error.to_string()
    }
}

/// The rows that were found.
pub struct Found {
    message: Vec<u8>,
    columns: &'static [Parameter],
    /// For each row the key that it answers.
    keys: Vec<u32>,
}

impl Lookup {
    /// The newest row of each key: of the columns of [`Lookup::key`], in their order, with at most 65,536 rows. A key that
    /// holds a null, and one that the table does not have, has none.
    ///
    /// # Panics
    /// If the columns are of other types than the key is declared with, or of different lengths.
    pub fn find(&self, keys: &[Column]) -> Result<Found, LookupError> {
        let rows = keys.first().map_or(0, Column::rows);
        assert_eq!(keys.len(), self.key.len(), "the key of {:?} is declared with another number of columns", self.name);
        for (column, declared) in keys.iter().zip(self.key) {
            assert!(
                column.fits(declared.data_type) && column.rows() == rows,
                "key column {:?} has {} {}, and must have {rows} {}",
                declared.name,
                column.rows(),
                column.made_of(),
                declared.data_type
            );
        }
        let found = tables::lookup(self.name, &message::record_batch(keys, rows)).map_err(|error| match error {
            tables::Error::Denied(why) => LookupError::Denied(why),
            tables::Error::Invalid(why) => LookupError::Invalid(why),
            tables::Error::Unavailable(why) => LookupError::Unavailable(why),
        })?;
        Ok(Found { message: found.batch, columns: self.columns, keys: found.rows })
    }
}

impl Found {
    /// The columns of [`Lookup::columns`], a row for each key that was found.
    pub fn batch(&self) -> Result<Batch<'_>, Error> {
        Batch::read(&self.message, self.columns)
    }

    /// The row of [`Self::batch`] that answers a key, by the key's row.
    pub fn row_of(&self, key: usize) -> Option<usize> {
        self.keys.binary_search(&u32::try_from(key).ok()?).ok()
    }
}
