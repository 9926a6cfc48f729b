//! What the offsets of groups are kept under.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A group's name within its namespace; for broadcast groups `client` keeps the clients' offsets apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct GroupKey {
    pub namespace: Arc<str>,
    pub group: Arc<str>,
    pub client: Option<Arc<str>>,
}
