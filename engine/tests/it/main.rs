//! The engine through its public face.

mod read_model;
mod segments;
mod table;
