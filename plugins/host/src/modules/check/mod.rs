//! What is looked at before a module reaches the compiler. Cranelift's time and memory grow with the largest function,
//! and a compilation can't be interrupted, so sizes are bounded first.

use millstream_engine::{Error, Result};
use wasmparser::{Encoding, Parser, Payload};

use super::parts::{Counting, Parts};

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
mod tests;
