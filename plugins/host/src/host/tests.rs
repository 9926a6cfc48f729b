use millstream_engine::{Error, PluginHost as _, PluginLimits};

use super::{HostOptions, WasmHost};
use crate::fuzz::fuzz;

#[test]
fn mutated_modules_are_compiled_or_refused() {
    // Not of the contract: what the compiler takes of it is refused after it.
    let component = |text: &str| wat::parse_str(text).unwrap_or_else(|e| panic!("{e}"));
    let plain = component(
        r#"(component (core module $m (memory (export "memory") 1) (table 2 funcref) (global (mut i64) (i64.const 1))
            (func $f (export "f") (param i32) (result i32) (local i64 f64)
              (loop $more (br_if $more (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 9))))
              (i32.load offset=8 (local.get 0)))
            (func (export "g") (result i32) (call_indirect (param i32) (result i32) (i32.const 1) (i32.const 0)))
            (elem (i32.const 0) $f) (data (i32.const 16) "data"))
          (core instance $i (instantiate $m))
          (func $lifted (param "a" u32) (result u32) (canon lift (core func $i "f")))
          (export "f" (func $lifted)))"#,
    );
    let dir = tempfile::tempdir().unwrap_or_else(|e| panic!("{e}"));
    let host = WasmHost::new(HostOptions::new(dir.path().join("code"))).unwrap_or_else(|e| panic!("{e}"));
    fuzz(&[plain], |module, _| match host.inspect(module, &PluginLimits::default()) {
        Err(Error::InvalidInput(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert!(host.figures().compilations > 0, "the compiler has seen none");
}
