//! The engine through its public face, as a door or an embedding program uses it.

mod appends;
mod crash;
mod definitions;
mod lifecycle;
mod producers;
mod read_model;
mod segments;
mod support;
mod table;
