//! The records of checkback handlers and of tables, as they cross the border.

use wasmtime::component::{ComponentType, Lift, Lower};

use super::wire::{WireCapability, WireParameter};

/// `checkback.description`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireCheckback {
    pub(super) name: String,
    pub(super) parameters: Vec<WireParameter>,
    pub(super) capabilities: Vec<WireCapability>,
}

/// `checkback.verdict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "values come from the guest, through the derived `Lift`")]
pub(crate) enum WireCheckVerdict {
    #[component(name = "commit")]
    Commit,
    #[component(name = "rollback")]
    Rollback,
    #[component(name = "unknown")]
    Unknown,
}

/// `tables.found`.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct WireFound {
    pub(crate) batch: Vec<u8>,
    pub(crate) rows: Vec<u32>,
}

/// `tables.error`.
#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum WireTableError {
    #[component(name = "denied")]
    Denied(String),
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "unavailable")]
    Unavailable(String),
}
