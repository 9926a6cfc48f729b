//! Tests of the log over the simulated disk.

mod ahead;
mod crash;
mod damage;
mod epochs;
mod files;
mod formats;
mod fuzz;
mod journals;
mod lanes;
mod messages;
mod support;
mod writing;
