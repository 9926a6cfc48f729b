//! The closed list of types that tables hold, and how everything else becomes one of them. `docs/types.md` is the list.

mod conform;
mod convert;
mod schema;
mod size;
mod stored;
#[cfg(test)]
mod tests;

pub(crate) use conform::conform;
pub use convert::{Misfit, convert};
pub(crate) use schema::{MAX_COLUMNS, normalize_columns, normalize_schema};
pub(crate) use size::stored_bytes;
pub(crate) use stored::is_stored;
pub use stored::stored_type;
