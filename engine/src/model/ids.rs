//! Ids are given by the log and never reused.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The ordinal of a row in its partition, dense from 0.
pub type Offset = u64;

/// A partition of a table, `0..N`. RocketMQ's queueId.
pub type PartitionId = u32;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// Log sequence number. It counts rows: a frame of `n` rows takes `n` numbers, every other record takes one.
    Lsn
);
id!(
    /// A table, for as long as the log remembers it.
    TableId
);
id!(
    /// A topic. Identity topics share the number of their table.
    TopicId
);
id!(
    /// One version of a plugin.
    PluginId
);
id!(
    /// A name for a plugin's function, with a signature.
    FunctionId
);
id!(
    /// A consumer that is a plugin.
    ConsumerId
);
