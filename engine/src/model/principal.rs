//! Who calls.

use std::sync::Arc;

/// Who makes a call. Every engine call takes one; `access::check` is the one place that decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    name: Arc<str>,
}

impl Principal {
    /// Whoever connects without credentials.
    pub fn anonymous() -> Principal {
        Principal { name: Arc::from("anonymous") }
    }

    /// The name shown in logs and `system.members`.
    pub fn name(&self) -> &str {
        &self.name
    }
}
