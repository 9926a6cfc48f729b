//! Plugins in use: their files, loaded versions, and the tables that they look rows up in.

mod modules;
pub(crate) mod suspensions;
mod tables;

pub use modules::MAX_MODULE_BYTES;
pub(crate) use modules::Modules;
pub(crate) use tables::{PluginTables, bind};
