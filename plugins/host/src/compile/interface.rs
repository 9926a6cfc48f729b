//! What a component imports and exports, held to the contract.

use std::collections::BTreeSet;

use millstream_engine::{Capability, Error, Result};
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentExportIndex};

use crate::contract::{self, CONTRACTS, LOGGING, OFFERS, Offer, PACKAGE};

/// Where the functions of its kind's interface are.
#[derive(Clone)]
pub(crate) struct Exports {
    pub(crate) describe: ComponentExportIndex,
    pub(crate) open: ComponentExportIndex,
    pub(crate) work: ComponentExportIndex,
}

/// Refuses a component that wants anything but what the contract offers; gives what must be granted for the rest.
pub(super) fn check_imports(component: &Component) -> Result<BTreeSet<Capability>> {
    let engine = component.engine();
    let mut capabilities = BTreeSet::new();
    for (name, import) in component.component_type().imports(engine) {
        match (contract::needs(name), &import.ty) {
            (Some(needed), _) => capabilities.extend(needed),
            // An instance of types alone gives a guest nothing.
            (None, ComponentItem::ComponentInstance(instance))
                if instance.exports(engine).all(|(_, export)| matches!(export.ty, ComponentItem::Type(_))) => {}
            _ => {
                return Err(Error::InvalidInput(format!(
                    "the module imports {name:?}, which is not offered; a plugin may import {:?}, and what it declares \
                     and is granted of that contract (for Rust, build for wasm32-unknown-unknown and not for a WASI \
                     target)",
                    LOGGING[1]
                )));
            }
        }
    }
    Ok(capabilities)
}

/// Finds which kind in which version it is, and that kind's functions.
pub(super) fn find_kind(component: &Component) -> Result<(&'static Offer, Exports)> {
    let exports = component.component_type();
    let names: BTreeSet<&str> = exports.exports(component.engine()).map(|(name, _)| name).collect();
    let offered: Vec<&'static Offer> = OFFERS.iter().filter(|offer| names.contains(offer.interface)).collect();
    let offer = match offered[..] {
        [offer] => offer,
        [] => return Err(not_offered(&names)),
        [first, second, ..] => {
            return Err(Error::InvalidInput(format!(
                "the module exports both {:?} and {:?}; a plugin is of one kind",
                first.interface, second.interface
            )));
        }
    };
    let instance = component.get_export_index(None, offer.interface);
    let find = |name: &str| {
        component
            .get_export_index(instance.as_ref(), name)
            .ok_or_else(|| Error::InvalidInput(format!("the module exports {:?} without {name:?}", offer.interface)))
    };
    Ok((offer, Exports { describe: find("describe")?, open: find("open")?, work: find(offer.work)? }))
}

fn not_offered(names: &BTreeSet<&str>) -> Error {
    let ours: Vec<&str> = names.iter().copied().filter(|name| name.starts_with(PACKAGE)).collect();
    let found = if ours.is_empty() { "nothing of a Millstream plugin".to_owned() } else { ours.join(", ") };
    let offered: Vec<&str> = OFFERS.iter().map(|offer| offer.interface).collect();
    Error::InvalidInput(format!(
        "the module exports {found}; this server runs {} of the contracts {}",
        offered.join(", "),
        CONTRACTS.join(" and ")
    ))
}
