//! How many core instances an instance of a component has.

use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind,
    ComponentTypeRef, Encoding, Instance, Payload,
};

/// What a component is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Core modules that an instance has instances of, those of the components in it counted as often as they are instantiated;
    /// `None` where that is not to be seen, because a component in it comes from outside.
    pub(crate) core_instances: Option<u32>,
}

/// Counts while the payloads of a component go by.
#[derive(Debug, Default)]
pub(crate) struct Counting {
    /// From the outermost to the one that is being read; `None` for a core module.
    open: Vec<Option<OpenComponent>>,
    outermost: Option<u32>,
}

/// One component that is being read.
#[derive(Debug)]
struct OpenComponent {
    core_instances: Option<u32>,
    /// What an instance of each component in its index space has.
    components: Vec<Option<u32>>,
}

impl OpenComponent {
    fn add(&mut self, more: Option<u32>) {
        self.core_instances = self.core_instances.zip(more).map(|(had, more)| had.saturating_add(more));
    }

    /// An index that names nothing is the compiler's to refuse.
    fn component(&self, index: u32) -> Option<u32> {
        self.components.get(usize::try_from(index).ok()?).copied().flatten()
    }
}

impl Counting {
    pub(crate) fn see(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::Version { encoding, .. } => {
                let level = OpenComponent { core_instances: Some(0), components: Vec::new() };
                self.open.push((*encoding == Encoding::Component).then_some(level));
            }
            Payload::End(_) => {
                let Some(Some(ended)) = self.open.pop() else { return Ok(()) };
                match self.open.last_mut() {
                    Some(Some(around)) => around.components.push(ended.core_instances),
                    _ => self.outermost = ended.core_instances,
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases.clone() {
                    self.alias(&alias?);
                }
            }
            _ => {
                if let Some(Some(level)) = self.open.last_mut() {
                    level.section(payload)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn end(self) -> Parts {
        Parts { core_instances: self.outermost }
    }

    fn alias(&mut self, alias: &ComponentAlias<'_>) {
        let component = match alias {
            ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => None,
            ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
                let outward = usize::try_from(*count).ok().and_then(|count| self.open.iter().rev().nth(count));
                outward.and_then(Option::as_ref).and_then(|level| level.component(*index))
            }
            _ => return,
        };
        if let Some(Some(level)) = self.open.last_mut() {
            level.components.push(component);
        }
    }
}

impl OpenComponent {
    fn section(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::InstanceSection(instances) => {
                for instance in instances.clone() {
                    if matches!(instance?, Instance::Instantiate { .. }) {
                        self.add(Some(1));
                    }
                }
            }
            Payload::ComponentInstanceSection(instances) => {
                for instance in instances.clone() {
                    if let ComponentInstance::Instantiate { component_index, .. } = instance? {
                        self.add(self.component(component_index));
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports.clone() {
                    if matches!(import?.ty, ComponentTypeRef::Component(_)) {
                        self.components.push(None);
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports.clone() {
                    let export = export?;
                    if export.kind == ComponentExternalKind::Component {
                        self.components.push(self.component(export.index));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::Parser;

    use super::*;

    fn core_instances(text: &str) -> Option<u32> {
        let component = wat::parse_str(text).unwrap_or_else(|e| panic!("{e}"));
        let mut counting = Counting::default();
        for payload in Parser::new(0).parse_all(&component) {
            payload.and_then(|payload| counting.see(&payload)).unwrap_or_else(|e| panic!("{e}"));
        }
        counting.end().core_instances
    }

    #[test]
    fn instances_are_counted_through_components() {
        let two = r#"(core module $m) (core instance (instantiate $m)) (core instance (instantiate $m))"#;
        assert_eq!(core_instances(&format!("(component {two})")), Some(2));
        // As wit-component makes them: a component that holds no module is instantiated for each interface that is exported.
        let shim = r#"(component $shim) (instance (instantiate $shim)) (instance (instantiate $shim))"#;
        assert_eq!(core_instances(&format!("(component {two} {shim})")), Some(2));
        let inside = format!("(component $two {two}) (instance (instantiate $two)) (instance (instantiate $two))");
        assert_eq!(core_instances(&format!("(component {inside} {two})")), Some(6));
        assert_eq!(
            core_instances(&format!("(component (component $four {inside}) (instance (instantiate $four)))")),
            Some(4)
        );
        let exported = r#"(export $again "two" (component $two)) (instance (instantiate $again))"#;
        assert_eq!(core_instances(&format!("(component (component $two {two}) {exported})")), Some(2));
        let alias = r#"(component $in (alias outer $out $two (component $same)) (instance (instantiate $same)))"#;
        let text = format!("(component $out (component $two {two}) {alias} (instance (instantiate $in)))");
        assert_eq!(core_instances(&text), Some(2));
    }

    #[test]
    fn many_of_many_end_at_the_largest_number() {
        let level = |inside: &str| {
            let instances = "(instance (instantiate $c))".repeat(1_000);
            format!("(component $c {inside}) {instances}")
        };
        let text = (0..4).fold("(core module $m) (core instance (instantiate $m))".to_owned(), |text, _| level(&text));
        assert_eq!(core_instances(&format!("(component {text})")), Some(u32::MAX));
    }

    #[test]
    fn what_comes_from_outside_is_not_counted() {
        let imported = r#"(import "c" (component $c)) (instance (instantiate $c))"#;
        assert_eq!(core_instances(&format!("(component {imported})")), None);
        let of_instance = r#"(import "i" (instance $i (export "c" (component)))) (alias export $i "c" (component $c))
            (instance (instantiate $c))"#;
        assert_eq!(core_instances(&format!("(component {of_instance})")), None);
    }
}
