//! Hostile components written by hand, for what no compiler would give.

mod answers;
mod capabilities;
mod checkbacks;
mod consumers;
mod excess;
mod filters;
mod http;
mod room;
mod shares;

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const SPIN: &str = "(loop $turn (br $turn)) unreachable";

/// A component of a world of the contract, from a core module in Wasm text. `wit` is a directory under `plugins/wit`.
fn component(wit: &str, world: &str, text: &str) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap_or_else(|e| panic!("{e}"));
    let mut resolve = Resolve::default();
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit").join(wit);
    let (package, _) = resolve.push_path(wit).unwrap_or_else(|e| panic!("{e:#}"));
    let world = resolve.select_world(&[package], Some(world)).unwrap_or_else(|e| panic!("{e:#}"));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap_or_else(|e| panic!("{e:#}"));
    let mut encoder = ComponentEncoder::default();
    let encoded = encoder.module(&module).and_then(|encoder| encoder.encode());
    encoded.unwrap_or_else(|e| panic!("{e:#}"))
}

/// Bytes as a string of Wasm text.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}
