//! Core modules -> components.

use std::fs;
use std::path::Path;
use std::process;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::error::{Error, Result};
use crate::project::Kind;

/// The component of a core module built with `millstream-plugin`, or with any other generator of bindings that leaves
/// its WIT in the module. An error says why it can't become one.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, String> {
    if !module.starts_with(b"\0asm\x01\0\0\0") {
        return Err("it is not a core Wasm module".to_owned());
    }
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.encode())
        .map_err(|e| format!("it does not follow the contract it was built against: {e:#}"))
}

/// As [`componentize`], for a module that was written by hand against the world of `kind` in the WIT files of `wit`.
pub(crate) fn componentize_as(mut module: Vec<u8>, wit: &Path, kind: Kind) -> Result<Vec<u8>, String> {
    let mut embed = || {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(wit).map_err(|e| format!("{e:#}"))?;
        let world = resolve.select_world(&[package], Some(kind.world())).map_err(|e| format!("{e:#}"))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).map_err(|e| format!("{e:#}"))
    };
    embed().map_err(|why| format!("the contract in {} is not read: {why}", wit.display()))?;
    componentize(&module)
}

/// Writes a component; readers see the old file or the whole new one.
pub(crate) fn write(component: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = component.with_extension(format!("{}.tmp", process::id()));
    fs::write(&temporary, bytes).and_then(|()| fs::rename(&temporary, component)).map_err(Error::file(component))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_guest_is_refused_with_the_reason() {
        assert_eq!(componentize(b"#!/bin/sh"), Err("it is not a core Wasm module".to_owned()));
        let empty = componentize(b"\0asm\x01\0\0\0").expect("a module without a contract is an empty component");
        assert!(empty.starts_with(b"\0asm\x0d"));
    }
}
