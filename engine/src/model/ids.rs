//! Ids are given by the log and never reused.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::{Error, Result};

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
id!(
    /// What decides on half messages of a table.
    CheckbackId
);

/// A transaction of one half message, as the log numbers it: the record that began it, and which of its messages it is. As text it is
/// `lsn`, or `lsn.index` where that is not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TransactionId {
    pub lsn: Lsn,
    pub index: u32,
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.index {
            0 => self.lsn.fmt(f),
            index => write!(f, "{}.{index}", self.lsn),
        }
    }
}

impl FromStr for TransactionId {
    type Err = Error;

    fn from_str(text: &str) -> Result<TransactionId> {
        let (lsn, index) = text.split_once('.').unwrap_or((text, "0"));
        let wrong = || Error::InvalidInput(format!("{text:?} is no transaction's id, such as 42 or 42.1"));
        let lsn = Lsn(lsn.parse().map_err(|_| wrong())?);
        Ok(TransactionId { lsn, index: index.parse().map_err(|_| wrong())? })
    }
}
