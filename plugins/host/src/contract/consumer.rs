//! The records of consumers and their state, as they cross the border.

use wasmtime::component::{ComponentType, Lift, Lower};

use super::wire::{WireCapability, WireParameter};

/// `batch-consumer.output`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireTable {
    pub(super) name: String,
    pub(super) columns: Vec<WireParameter>,
}

/// `batch-consumer.description`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireConsumer {
    pub(super) name: String,
    pub(super) parameters: Vec<WireParameter>,
    pub(super) outputs: Vec<WireTable>,
    pub(super) capabilities: Vec<WireCapability>,
}

/// `batch-consumer.position`.
#[derive(Debug, Clone, ComponentType, Lower)]
#[component(record)]
pub(crate) struct WirePosition {
    pub(crate) topic: String,
    pub(crate) partition: u32,
    #[component(name = "first-offset")]
    pub(crate) first_offset: u64,
    #[component(name = "next-offset")]
    pub(crate) next_offset: u64,
}

/// `batch-consumer.verdict`.
#[derive(Debug, ComponentType, Lift)]
#[component(variant)]
pub(crate) enum WireVerdict {
    #[component(name = "done")]
    Done,
    #[component(name = "retry")]
    Retry(String),
    #[component(name = "dead-letter")]
    DeadLetter(String),
}

/// `batch-consumer.row-verdict`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireRowVerdict {
    pub(crate) row: u32,
    pub(crate) verdict: WireVerdict,
}

/// `batch-consumer.rows`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireRows {
    pub(crate) output: u32,
    pub(crate) batch: Vec<u8>,
}

/// `batch-consumer.answer`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireAnswer {
    pub(crate) outputs: Vec<WireRows>,
    pub(crate) verdict: WireVerdict,
    pub(crate) exceptions: Vec<WireRowVerdict>,
}

/// `state.entry`.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct WireEntry {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// `state.error`.
#[derive(Debug, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum WireStateError {
    #[component(name = "too-large")]
    TooLarge(String),
    #[component(name = "unavailable")]
    #[expect(dead_code, reason = "state is in memory: it can always be read")]
    Unavailable(String),
}
