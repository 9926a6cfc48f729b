//! What a client of a group asks for.

/// A client's subscription to one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSubscription {
    pub topic: String,
    /// How the expression is meant: `TAG` or `SQL92`.
    pub kind: String,
    pub expression: String,
    /// Given by the client; it grows when the subscription is changed.
    pub version: i64,
}

impl MessageSubscription {
    pub(super) fn bytes(&self) -> usize {
        size_of::<MessageSubscription>() + self.topic.len() + self.kind.len() + self.expression.len()
    }

    /// Whether both let the same messages pass, as far as their texts tell.
    pub(super) fn is_as(&self, other: &MessageSubscription) -> bool {
        self.kind == other.kind && self.expression == other.expression
    }
}
