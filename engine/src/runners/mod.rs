//! Running consumers that are plugins: each partition of a topic is read from the committed offset of the consumer's
//! group, given to the plugin, and what comes of it is committed with the next offset in one submission.
//!
//! One thread sees to it that what the catalog says is what runs. Each consumer has threads of its own, as many as its
//! plugin may have instances; a partition belongs to one of them, so that its rows stay in order. Nothing that lasts is
//! kept here: a runner that ends anywhere leaves the log as of its last commit, and a second one is refused by the offset
//! that it expects.

mod commit;
mod handle;
mod input;
mod judge;
mod lane;
mod manager;
mod read;
mod signal;
mod standing;
mod step;
mod trial;
mod worker;

pub(crate) use handle::Runners;
pub(crate) use input::bind;
pub use trial::{ConsumerTrial, TrialFault, TrialOutcome};
