//! Plugins in use: their files, loaded versions, and the tables that they look rows up in.

mod loaded;
mod modules;
pub(crate) mod suspensions;
mod tables;

pub(crate) use loaded::Plugins;
pub use modules::MAX_MODULE_BYTES;
pub(crate) use modules::Modules;
pub(crate) use tables::bind;
