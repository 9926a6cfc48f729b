//! One visit to the engine: what a stream takes of its topic at a time.

use std::time::Duration;

use millstream_engine::{Handed, Offset, PartitionId, PartitionOffsets, Subscription};

use super::batches::{BatchEncoder, Outgoing};
use crate::flight::error::{DoorError, Result};

/// What is taken at most in one visit. Rowless deliveries are cheap, so their number needs its own bound.
const STEPS: usize = 32;

/// A topic, and the form in which its rows go to the client.
pub(super) struct Reading {
    pub(super) subscription: Subscription,
    pub(super) encoder: BatchEncoder,
}

/// What a visit gave.
pub(super) struct Visited {
    pub(super) reading: Reading,
    /// In order; an error ends the stream after them.
    pub(super) steps: Vec<Step>,
    pub(super) error: Option<DoorError>,
    /// Nothing more was ready.
    pub(super) idle: bool,
    /// How long until something is that was there and not due.
    pub(super) due_in: Option<Duration>,
}

pub(super) enum Step {
    /// With how many rows they are.
    Rows(Vec<Outgoing>, usize),
    Assigned(u64, Vec<PartitionOffsets>),
    /// A partition can't be read on, and is paused.
    Failed {
        partition: PartitionId,
        offset: Offset,
        error: DoorError,
    },
    /// The topic's schema is another one from here on.
    OtherSchema,
}

/// Takes what there is until the budget of bytes is used or nothing is ready. Blocks.
pub(super) fn visit(reading: Reading, budget: usize) -> Visited {
    let mut visited = Visited { reading, steps: Vec::new(), error: None, idle: false, due_in: None };
    visited.error = take(budget, &mut visited).err();
    visited
}

fn take(mut left: usize, visited: &mut Visited) -> Result<()> {
    let Reading { subscription, encoder } = &mut visited.reading;
    for _ in 0..STEPS {
        let step = match subscription.next(left)? {
            Handed::Assigned { generation, partitions } => Step::Assigned(generation, partitions),
            Handed::Rows { generation, delivery } => {
                let messages = encoder.encode(&delivery, generation)?;
                let bytes: u64 = messages.iter().map(|message| message.bytes).sum();
                left = left.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
                Step::Rows(messages, delivery.batch.num_rows())
            }
            Handed::Failed { partition, offset, error } => Step::Failed { partition, offset, error: error.into() },
            Handed::OtherColumns => Step::OtherSchema,
            Handed::Idle { due_in } => {
                (visited.idle, visited.due_in) = (left > 0, due_in);
                return Ok(());
            }
        };
        let ends = matches!(step, Step::OtherSchema);
        visited.steps.push(step);
        if ends {
            return Ok(());
        }
    }
    Ok(())
}
