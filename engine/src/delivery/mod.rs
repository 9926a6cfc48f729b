//! Consumer groups: membership, assignment, positions, commits.
//!
//! Membership and positions live in memory; committed offsets live in the log's state. A group is here while it has
//! members. Its generation is `(log epoch << 32) | counter`, so that a restart fences every member of before.
//!
//! Locks: a group's, then any of the coordinator's own or the state's; never a group's under one of those. None is held
//! while waiting for the log, but that of a group's beginning (`setup.rs`), which others who begin it have to wait for. Rows
//! that lie in memory are taken under a group's lock (`ready.rs`), and no others.

mod admin;
mod assign;
mod calls;
mod commit;
mod config;
mod coordinator;
mod core;
mod deadlines;
mod fetch;
mod group;
mod join;
mod keys;
mod listeners;
mod member;
mod named;
mod named_members;
mod poll;
mod positions;
mod ready;
mod rebalance;
mod replay;
mod setup;
mod setups;
mod subscription;
mod ticker;
mod ticking;
mod unowned;
mod untold;
mod wake;

pub(crate) use coordinator::Coordinator;
#[cfg(test)]
pub(crate) use group::LOCKED;
pub use member::Member;
pub use named::{NamedPoll, PollWait};
pub(crate) use positions::resolve;
pub(crate) use setup::{has_offsets, starts};
pub use subscription::{Handed, Subscription};
