//! Lines for the operator, in the server's log under the plugin's name. A call may write 64 lines; more are dropped.

use crate::bindings::filter::millstream::plugin::logging::{Level, log};

/// Something is wrong. If the call then traps, its error carries the last such line.
pub fn error(line: &str) {
    log(Level::Error, line);
}

pub fn warning(line: &str) {
    log(Level::Warning, line);
}

pub fn info(line: &str) {
    log(Level::Info, line);
}

pub fn debug(line: &str) {
    log(Level::Debug, line);
}
