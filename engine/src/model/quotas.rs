//! Limits of rates and counts, as they stand.

use super::NamespaceLimit;

/// Whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaOwner {
    Namespace,
    User,
}

impl QuotaOwner {
    /// As listings name it.
    pub fn name(self) -> &'static str {
        match self {
            QuotaOwner::Namespace => "namespace",
            QuotaOwner::User => "user",
        }
    }
}

/// One limit that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaInfo {
    pub owner: QuotaOwner,
    pub name: String,
    pub limit: NamespaceLimit,
    pub value: u64,
    /// Of a rate, what the last full second had; of a count, how many there are. `None` of what holds for each thing by itself.
    pub used: Option<u64>,
    /// Times that it was in the way since it was set or the engine was opened: somebody was refused, or told to wait for a second at
    /// most.
    pub throttled: u64,
}
