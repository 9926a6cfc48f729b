//! One visit to the engine: what a stream takes of its topic at a time.

use std::time::Duration;

use millstream_engine::{Assignment, Delivery, Error, Offset, PartitionId, PartitionOffsets, SeekTo, TopicId};

use super::batches::{BatchEncoder, Outgoing};
use crate::flight::error::{DoorError, Result};
use crate::flight::members::LiveMember;

/// Deliveries that one visit takes at most. Rowless ones are cheap, so their number needs its own bound.
const DELIVERIES: usize = 32;

/// What a visit gave.
pub(super) struct Fetched {
    pub(super) encoder: BatchEncoder,
    /// In order; an error ends the stream after them.
    pub(super) steps: Vec<Step>,
    pub(super) error: Option<DoorError>,
    /// Nothing more was ready.
    pub(super) idle: bool,
    /// How long until something is that was there and not due.
    pub(super) due_in: Option<Duration>,
}

pub(super) enum Step {
    Rows(Vec<Outgoing>),
    /// The assignment is another one from here on. The partition of the delivery that showed it stands at that offset.
    Assigned(u64, Vec<PartitionOffsets>, Option<(PartitionId, Offset)>),
    /// A partition can't be read on, and is paused.
    Failed {
        partition: PartitionId,
        offset: Offset,
        error: DoorError,
    },
    /// The topic's schema is another one from here on.
    OtherSchema,
}

/// Takes deliveries until the budget of bytes is used or nothing is ready. `known` is the generation that the client has been
/// told. Blocks.
pub(super) fn visit(live: &LiveMember, topic: TopicId, known: u64, budget: usize, encoder: BatchEncoder) -> Fetched {
    let mut fetched = Fetched { encoder, steps: Vec::new(), error: None, idle: false, due_in: None };
    fetched.error = take(live, topic, known, budget, &mut fetched).err();
    fetched
}

fn take(live: &LiveMember, topic: TopicId, mut known: u64, mut left: usize, fetched: &mut Fetched) -> Result<()> {
    if live.member.topic_changed(topic)? {
        fetched.steps.push(Step::OtherSchema);
        return Ok(());
    }
    for _ in 0..DELIVERIES {
        let found = if left > 0 { live.member.fetch(topic, left) } else { Ok(None) };
        // The assignment is taken up after the fetch: rows of a partition must not come before it.
        let generation = live.member.acknowledge();
        if generation != known {
            let moved = found.as_ref().ok().and_then(|found| found.as_ref());
            let moved = moved.map(|delivery| (delivery.partition, delivery.first_offset));
            fetched.steps.push(Step::Assigned(generation, live.member.offsets()?, moved));
            known = generation;
        }
        let delivery = match found {
            Ok(Some(delivery)) => delivery,
            Ok(None) => {
                fetched.idle = left > 0;
                fetched.due_in = live.member.due_in();
                return Ok(());
            }
            Err(error) => {
                fetched.steps.push(failed(live, topic, error)?);
                continue;
            }
        };
        if !fetched.encoder.fits(&delivery) {
            put_back(live, topic, &delivery)?;
            fetched.steps.push(Step::OtherSchema);
            return Ok(());
        }
        let messages = fetched.encoder.encode(&delivery, generation)?;
        let bytes: u64 = messages.iter().map(|message| message.bytes).sum();
        left = left.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
        fetched.steps.push(Step::Rows(messages));
    }
    Ok(())
}

/// An error that is one partition's stops that partition; any other one is the stream's.
fn failed(live: &LiveMember, topic: TopicId, error: Error) -> Result<Step> {
    let (Error::Evaluation { partition, offset, .. } | Error::OffsetOutOfRange { partition, offset, .. }) = error
    else {
        return Err(error.into());
    };
    // A partition that was taken away meanwhile needs no pause; if the member has gone, the next call says so.
    let _ = live.member.pause(&[Assignment { topic, partition }]);
    Ok(Step::Failed { partition, offset, error: error.into() })
}

/// Moves the position back, for the stream that will take this one's place.
fn put_back(live: &LiveMember, topic: TopicId, delivery: &Delivery) -> Result<()> {
    let at = Assignment { topic, partition: delivery.partition };
    live.member.seek(at, SeekTo::Offset(delivery.first_offset))?;
    Ok(())
}
