//! Turns the core Wasm module that a compiler gives for a guest into a component, which is what a plugin is.
//!
//! `scripts/build-guests` runs the binary of this package; it stands apart from the plugin host, which never makes
//! components.

use std::error::Error;
use std::fmt;

use wit_component::ComponentEncoder;

/// Why a module can't become a component.
#[derive(Debug)]
pub struct NotAGuest(String);

impl fmt::Display for NotAGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NotAGuest {}

/// The component of a core module built with `millstream-plugin`, or with any other generator of bindings that leaves
/// its WIT in the module.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, NotAGuest> {
    if !module.starts_with(b"\0asm\x01\0\0\0") {
        return Err(NotAGuest("it is not a core Wasm module".to_owned()));
    }
    ComponentEncoder::default()
        .validate(true)
        .module(module)
        .and_then(|encoder| encoder.encode())
        .map_err(|e| NotAGuest(format!("it does not follow the contract it was built against: {e:#}")))
}
