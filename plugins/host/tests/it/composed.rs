//! Components made of components, as the tools for JavaScript and Python give them.

use millstream_engine::{PluginHost as _, PluginLimits};

use crate::harness::TestHost;

/// Two components with a memory each, one of which hands the other a text. wasmtime writes an adapter module for the
/// border between them, which is one of two memories.
const HANDS_A_TEXT_OVER: &str = r#"
(component
  (component $takes
    (core module $module
      (memory (export "memory") 1)
      (func (export "take") (param i32 i32))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0))
    (core instance $i (instantiate $module))
    (func (export "take") (param "text" string)
      (canon lift (core func $i "take") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))
  (component $gives
    (import "take" (func $take (param "text" string)))
    (core module $memory (memory (export "memory") 1))
    (core instance $m (instantiate $memory))
    (core func $lowered (canon lower (func $take) (memory (core memory $m "memory"))))
    (core module $module
      (import "" "take" (func $take (param i32 i32)))
      (func (export "give") (call $take (i32.const 0) (i32.const 0))))
    (core instance $i (instantiate $module (with "" (instance (export "take" (func $lowered))))))
    (func (export "give") (canon lift (core func $i "give"))))
  (instance $t (instantiate $takes))
  (instance $g (instantiate $gives (with "take" (func $t "take"))))
  (export "give" (func $g "give")))
"#;

#[test]
fn a_component_of_components_compiles() {
    let module = wat::parse_str(HANDS_A_TEXT_OVER).unwrap_or_else(|e| panic!("{e}"));
    let error = TestHost::new().host.inspect(&module, &PluginLimits::default()).expect_err("it is no plugin");
    assert!(error.to_string().contains("exports nothing of a Millstream plugin"), "{error}");
}
