//! Who owns what.

use super::Catalog;

impl Catalog {
    /// Something that somebody of this name owns: what it is, its namespace and its name.
    pub(crate) fn owned_by(&self, name: &str) -> Option<(&'static str, &str, &str)> {
        macro_rules! first_of {
            ($what:literal, $all:expr) => {
                if let Some(owned) = $all.find(|of| of.owner.name() == name) {
                    return Some(($what, owned.namespace.as_str(), owned.name.as_str()));
                }
            };
        }
        first_of!("table", self.tables());
        first_of!("topic", self.topics());
        first_of!("plugin", self.plugins());
        first_of!("function", self.functions());
        first_of!("consumer", self.consumers());
        first_of!("checkback", self.checkbacks());
        None
    }
}
