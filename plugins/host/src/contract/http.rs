//! The records of requests, as they cross the border.

use wasmtime::component::{ComponentType, Lift, Lower};

/// `http.header`.
#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct WireHeader {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// `http.request`.
#[derive(Debug, ComponentType, Lift)]
#[component(record)]
pub(crate) struct WireRequest {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<WireHeader>,
    pub(crate) body: Vec<u8>,
    #[component(name = "timeout-ms")]
    pub(crate) timeout_ms: u32,
}

/// `http.response`.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
pub(crate) struct WireResponse {
    pub(crate) status: u16,
    pub(crate) headers: Vec<WireHeader>,
    pub(crate) body: Vec<u8>,
}

/// `http.error`.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lower)]
#[component(variant)]
pub(crate) enum WireHttpError {
    #[component(name = "denied")]
    Denied(String),
    #[component(name = "invalid")]
    Invalid(String),
    #[component(name = "unreachable")]
    Unreachable(String),
    #[component(name = "timed-out")]
    TimedOut,
    #[component(name = "too-large")]
    TooLarge,
}
