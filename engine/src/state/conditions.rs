//! The list of conditions. A new one is a struct in the file of the family that it asks, and a line here.

use super::catalog::{CheckbackStands, ConsumerRuns, EndOffset, SchemaVersion, SegmentsUnchanged};
use super::continuous::ContinuousStands;
use super::family::Condition;
use super::groups::CommittedOffset;
use super::pops::PopQueueStands;
#[cfg(test)]
use super::tests::tallies::CountedBelow;

macro_rules! conditions {
    ($($(#[$meta:meta])* $condition:ident,)*) => {
        /// A condition of a submission. Of all kinds of them one type, so that an append, which has one for its table, allocates no
        /// more than its list.
        #[derive(Debug, Clone)]
        pub(crate) enum Precondition {
            $($(#[$meta])* $condition($condition),)*
        }

        $($(#[$meta])* impl From<$condition> for Precondition {
            fn from(condition: $condition) -> Precondition {
                Precondition::$condition(condition)
            }
        })*

        impl Precondition {
            pub(super) fn condition(&self) -> &dyn Condition {
                match self {
                    $($(#[$meta])* Precondition::$condition(condition) => condition,)*
                }
            }
        }
    };
}

conditions! {
    CheckbackStands,
    CommittedOffset,
    ConsumerRuns,
    ContinuousStands,
    EndOffset,
    PopQueueStands,
    SchemaVersion,
    SegmentsUnchanged,
    #[cfg(test)]
    CountedBelow,
}
