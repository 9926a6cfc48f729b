//! Tests of the real binary.

mod cli;
mod help;
mod http;
mod program;
mod serve;
