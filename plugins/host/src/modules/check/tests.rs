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
