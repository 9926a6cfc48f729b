//! Who calls.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Who makes a call, and who owns what was created. Every engine call takes one; `access::check` is the one place that
/// decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Principal {
    name: Arc<str>,
}

impl Principal {
    /// Whoever connects without credentials. Definitions that were recorded without an owner are his.
    pub fn anonymous() -> Principal {
        Principal::named("anonymous")
    }

    /// Whoever has been found to be this one.
    pub fn named(name: &str) -> Principal {
        Principal { name: Arc::from(name) }
    }

    /// The name shown in logs and system tables.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl From<String> for Principal {
    fn from(name: String) -> Principal {
        Principal { name: name.into() }
    }
}

impl From<Principal> for String {
    fn from(principal: Principal) -> String {
        principal.name.as_ref().to_owned()
    }
}
