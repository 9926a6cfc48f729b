//! The records and enumerations of the contract, as they cross the border.

use wasmtime::component::{ComponentType, Lift};

/// What a guest can hand over.
pub(crate) trait Wire: ComponentType + Lift + Send + Sync + 'static {}

impl<T: ComponentType + Lift + Send + Sync + 'static> Wire for T {}

/// `logging.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "values come from the guest, through the derived `Lift`")]
pub(crate) enum Level {
    #[component(name = "error")]
    Error,
    #[component(name = "warning")]
    Warning,
    #[component(name = "info")]
    Info,
    #[component(name = "debug")]
    Debug,
}

impl Level {
    /// As the log shows it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

/// `types.volatility`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum WireVolatility {
    #[component(name = "immutable")]
    Immutable,
    #[component(name = "volatile")]
    Volatile,
}

/// `types.parameter`.
#[derive(Debug, Clone, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireParameter {
    pub(super) name: String,
    #[component(name = "data-type")]
    pub(super) data_type: String,
}

/// `types.table-use`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireTableUse {
    pub(super) name: String,
    pub(super) key: Vec<WireParameter>,
    pub(super) columns: Vec<WireParameter>,
}

/// `types.capability`.
#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum WireCapability {
    #[component(name = "clock")]
    Clock,
    #[component(name = "random")]
    Random,
    #[component(name = "state")]
    State,
    #[component(name = "table")]
    Table(WireTableUse),
    #[component(name = "http")]
    Http(String),
}

/// `batch-filter.description` of 0.1.0.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireFilterV1 {
    pub(super) name: String,
    pub(super) parameters: Vec<WireParameter>,
    pub(super) volatility: WireVolatility,
}

/// `batch-filter.description`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireFilter {
    pub(super) name: String,
    pub(super) parameters: Vec<WireParameter>,
    pub(super) volatility: WireVolatility,
    pub(super) capabilities: Vec<WireCapability>,
}

/// `scalar-function.description`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireFunction {
    pub(super) name: String,
    pub(super) parameters: Vec<WireParameter>,
    pub(super) returns: String,
    pub(super) volatility: WireVolatility,
    pub(super) capabilities: Vec<WireCapability>,
}

/// `batch-transform.description`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireTransform {
    pub(super) name: String,
    pub(super) parameters: Vec<WireParameter>,
    pub(super) capabilities: Vec<WireCapability>,
}

/// `batch-transform.output`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireOutput {
    pub(crate) batch: Vec<u8>,
    pub(crate) rows: Vec<u32>,
}
