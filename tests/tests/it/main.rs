//! What crosses crates: the shape of the workspace, SQL over the whole engine, crashes.

mod arrows;
mod modules;
mod shape;
mod slt;
