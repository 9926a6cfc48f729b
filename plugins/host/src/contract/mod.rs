//! The contract of `plugins/wit` as the host sees it: which versions and kinds it offers, and under which names.

mod checkback;
mod consumer;
mod describe;
mod http;
mod sites;
mod types;
mod wire;

use millstream_engine::{Capability, PluginKind};

pub(crate) use checkback::{WireCheckVerdict, WireCheckback, WireFound, WireTableError};
pub(crate) use consumer::{WireAnswer, WireConsumer, WireEntry, WirePosition, WireStateError, WireVerdict};
pub(crate) use describe::Description;
pub(crate) use http::{WireHeader, WireHttpError, WireRequest, WireResponse};
pub(crate) use sites::{Site, allowed_sites, check_asked_sites, check_site_grants, host_of};
pub(crate) use types::{batch_schema, is_flat, is_name};
pub(crate) use wire::{Level, Wire, WireFilter, WireFilterV1, WireFunction, WireOutput, WireTransform};

/// The versions of the WIT package that this host offers at once.
pub const CONTRACTS: [&str; 2] = ["millstream:plugin@0.1.0", "millstream:plugin@0.2.0"];

/// What every name of the package begins with.
pub(crate) const PACKAGE: &str = "millstream:plugin/";

/// One kind in one version: the interface that a plugin exports, and the function in it that does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(crate) kind: PluginKind,
    pub(crate) contract: &'static str,
    pub(crate) interface: &'static str,
    pub(crate) work: &'static str,
}

/// All that is offered.
pub(crate) const OFFERS: [Offer; 6] = [
    Offer {
        kind: PluginKind::Filter,
        contract: CONTRACTS[0],
        interface: "millstream:plugin/batch-filter@0.1.0",
        work: "filter",
    },
    Offer {
        kind: PluginKind::Filter,
        contract: CONTRACTS[1],
        interface: "millstream:plugin/batch-filter@0.2.0",
        work: "filter",
    },
    Offer {
        kind: PluginKind::Function,
        contract: CONTRACTS[1],
        interface: "millstream:plugin/scalar-function@0.2.0",
        work: "call",
    },
    Offer {
        kind: PluginKind::Transform,
        contract: CONTRACTS[1],
        interface: "millstream:plugin/batch-transform@0.2.0",
        work: "transform",
    },
    Offer {
        kind: PluginKind::Consumer,
        contract: CONTRACTS[1],
        interface: "millstream:plugin/batch-consumer@0.2.0",
        work: "consume",
    },
    Offer {
        kind: PluginKind::Checkback,
        contract: CONTRACTS[1],
        interface: "millstream:plugin/checkback@0.2.0",
        work: "check",
    },
];

pub(crate) const LOGGING: [&str; 2] = ["millstream:plugin/logging@0.1.0", "millstream:plugin/logging@0.2.0"];
pub(crate) const CLOCK: &str = "millstream:plugin/clock@0.2.0";
pub(crate) const RANDOM: &str = "millstream:plugin/random@0.2.0";
pub(crate) const STATE: &str = "millstream:plugin/state@0.2.0";
pub(crate) const TABLES: &str = "millstream:plugin/tables@0.2.0";
pub(crate) const HTTP: &str = "millstream:plugin/http@0.2.0";
const TYPES: [&str; 2] = ["millstream:plugin/types@0.1.0", "millstream:plugin/types@0.2.0"];

/// What importing an interface takes: nothing, or a capability. `None` for interfaces that are not offered.
pub(crate) fn needs(import: &str) -> Option<Option<Capability>> {
    match import {
        CLOCK => Some(Some(Capability::Clock)),
        RANDOM => Some(Some(Capability::Random)),
        STATE => Some(Some(Capability::State)),
        TABLES => Some(Some(Capability::Table)),
        HTTP => Some(Some(Capability::Http)),
        _ if TYPES.contains(&import) || LOGGING.contains(&import) => Some(None),
        _ => None,
    }
}
