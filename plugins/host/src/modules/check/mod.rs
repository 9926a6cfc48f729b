//! What is looked at before a module reaches the compiler. Cranelift's time and memory grow with the largest function,
//! and a compilation can't be interrupted, so sizes are bounded first.

use std::fmt::Write as _;

use millstream_engine::{Error, PluginInfo, Result};
use sha2::{Digest as _, Sha256};
use wasmparser::{Encoding, Parser, Payload};

use crate::parts::{Counting, Parts};

/// Larger modules are refused.
pub use millstream_engine::MAX_MODULE_BYTES;

/// A function's body, in Wasm bytes.
const MAX_FUNCTION_BYTES: usize = 1 << 20;

/// Locals of one function, parameters not counted.
const MAX_LOCALS: u64 = 10_000;

/// Functions with a body, in all core modules together.
const MAX_FUNCTIONS: u32 = 200_000;

/// Core modules and components inside a component.
const MAX_NESTED: u32 = 64;

/// SHA-256 of a module.
pub(crate) type Digest = [u8; 32];

pub(crate) fn digest(module: &[u8]) -> Digest {
    Sha256::digest(module).into()
}

/// Lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Checks that `module` is what the catalog recorded.
pub(crate) fn check_digest(module: &[u8], plugin: &PluginInfo) -> Result<()> {
    let found = hex(&digest(module));
    if found == plugin.sha256 {
        return Ok(());
    }
    Err(Error::InvalidInput(format!(
        "the module of plugin {:?} version {} has SHA-256 {found}, and the catalog says {}",
        plugin.name, plugin.version, plugin.sha256
    )))
}

/// Refuses what is too large to be looked at.
pub(crate) fn check_size(module: &[u8]) -> Result<()> {
    if module.len() <= MAX_MODULE_BYTES {
        return Ok(());
    }
    Err(Error::TooLarge {
        what: "module",
        size: module.len() as u64,
        limit: MAX_MODULE_BYTES as u64,
        hint: "build it with optimisation and without debug information",
    })
}

/// Refuses what is not a component, and what would cost the compiler too much.
pub(crate) fn check(module: &[u8]) -> Result<Parts> {
    check_size(module)?;
    if !module.starts_with(b"\0asm") {
        return Err(Error::InvalidInput("the module is not Wasm: it does not begin with \"\\0asm\"".to_owned()));
    }
    if Parser::is_core_wasm(module) {
        return Err(Error::InvalidInput(
            "the module is a core Wasm module, and a plugin is a component; make one with `millstream plugin build`, or with \
             `wasm-tools component new MODULE.wasm -o PLUGIN.wasm`"
                .to_owned(),
        ));
    }
    if !Parser::is_component(module) {
        return Err(Error::InvalidInput(
            "the module is neither a core Wasm module nor a component of a known version".to_owned(),
        ));
    }
    check_sizes(module)
}

fn check_sizes(module: &[u8]) -> Result<Parts> {
    let refuse = |message: String| Err(Error::InvalidInput(format!("the module is refused: {message}")));
    let malformed = |e: wasmparser::BinaryReaderError| Error::InvalidInput(format!("the module is malformed: {e}"));
    let (mut functions, mut nested) = (0_u32, 0_u32);
    let mut parts = Counting::default();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(malformed)?;
        parts.see(&payload).map_err(malformed)?;
        match payload {
            Payload::Version { encoding: Encoding::Module | Encoding::Component, .. } => {
                nested += 1;
                if nested > MAX_NESTED {
                    return refuse(format!("it holds more than {MAX_NESTED} modules"));
                }
            }
            Payload::CodeSectionEntry(body) => {
                functions += 1;
                if functions > MAX_FUNCTIONS {
                    return refuse(format!("it has more than {MAX_FUNCTIONS} functions"));
                }
                let bytes = body.range().len();
                if bytes > MAX_FUNCTION_BYTES {
                    return refuse(format!("a function has {bytes} bytes, more than {MAX_FUNCTION_BYTES}"));
                }
                let mut locals = 0_u64;
                for group in body.get_locals_reader().map_err(malformed)? {
                    locals += u64::from(group.map_err(malformed)?.0);
                }
                if locals > MAX_LOCALS {
                    return refuse(format!("a function has {locals} locals, more than {MAX_LOCALS}"));
                }
            }
            _ => {}
        }
    }
    Ok(parts.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(module: &[u8]) -> String {
        check(module).err().map(|e| e.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_is_not_a_component_is_refused_with_the_reason() {
        assert!(refusal(b"").contains("not Wasm"));
        assert!(refusal(b"#!/bin/sh").contains("not Wasm"));
        assert!(refusal(b"\0asm\x01\0\0\0").contains("wasm-tools component new"));
        assert!(refusal(b"\0asm\x63\0\0\0").contains("neither"));
        assert!(refusal(b"\0asm\x0d\0\x01\0\xff").contains("malformed"));
        assert!(refusal(&vec![0; MAX_MODULE_BYTES + 1]).contains("more than the limit"));
    }

    #[test]
    fn a_digest_is_lower_case_hex() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hex(&digest(b"")), empty);
    }

    #[test]
    fn mutated_modules_are_looked_through_or_refused() {
        let text = r#"(component
            (core module $m (func (export "f") (param i32) (local i64 i64) local.get 0 drop) (memory 1) (table 2 funcref))
            (core instance $i (instantiate $m))
            (component $inside (core module (func)))
            (type (func (param "a" string) (result u32))))"#;
        let component = wat::parse_str(text).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(check(&component).ok(), Some(Parts { core_instances: Some(1) }));
        crate::fuzz::fuzz(&[component], |module, changed| match check(module) {
            Err(e) if !changed => Err(e.to_string()),
            _ => Ok(()),
        });
    }
}
