//! Checkbacks: half messages whose time has come are given to a plugin, many at once, and what it says of them is one submission.
//!
//! The thread of the due times passes by the half messages of tables that have a checkback and notes the table on the [`Board`].
//! Threads of this room take turns there, by namespace. A turn is one batch of one table: it is read, the plugin is asked, and
//! only then are the due times claimed, so that whoever ends a transaction meanwhile does not wait for a plugin. A half message
//! that was ended or asked about by then is left as it is.

mod board;
mod handle;
mod leaving;
mod standing;
mod stoppable;
mod turn;
mod worker;

pub(crate) use board::Board;
pub(crate) use handle::Checkbacks;
pub(crate) use leaving::LeavingChecks;
