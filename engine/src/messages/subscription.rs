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

/// A subscription of a consumer that is alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSubscription {
    pub namespace: String,
    pub group: String,
    pub client_id: String,
    pub address: String,
    pub subscription: MessageSubscription,
    /// Another consumer of the group asks for other messages of the topic, or for none: what this one leaves out is left out.
    pub differs: bool,
}

impl LiveSubscription {
    pub(super) fn key(&self) -> (&str, &str, &str, &str) {
        (&self.namespace, &self.group, &self.client_id, &self.subscription.topic)
    }
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
