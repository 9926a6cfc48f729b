//! 222: a group goes on elsewhere. Its clients are told with their next pull.

use millstream_engine::{ErrorKind, Offset, OffsetReset, SeekTo};
use serde_json::json;

use super::super::answer::{Answer, Answered, Refusal};
use super::super::client::Client;
use super::super::fields::Fields;
use super::super::names::ScopedName;
use super::super::readable::{Bounds, Readable};
use super::super::wire::command::Command;
use super::bodies::{self, QueueKey};
use super::progress;

/// Where the group is to go on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reset {
    group: ScopedName,
    topic: ScopedName,
    wire_topic: String,
    /// All where it is `None`.
    queue: Option<u32>,
    to: To,
    /// Also where that is behind where the group is now.
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum To {
    Offset(Offset),
    End,
    /// µs.
    Time(i64),
}

impl Reset {
    pub(super) fn read(command: &Command) -> Result<Reset, Refusal> {
        let fields = Fields::of(command);
        let wire_topic = fields.text("topic")?.to_owned();
        let queue = match fields.or("queueId", -1_i64)? {
            -1 => None,
            queue => Some(u32::try_from(queue).map_err(|_| Refusal::illegal(format!("queue {queue}")))?),
        };
        let (offset, time): (Option<i64>, i64) = (fields.optional("offset")?, fields.or("timestamp", -1)?);
        let to = match (offset.filter(|offset| *offset >= 0), time) {
            (Some(offset), _) => To::Offset(u64::try_from(offset).unwrap_or(0)),
            (None, time) if time < 0 => To::End,
            (None, time) => To::Time(time.saturating_mul(1_000)),
        };
        if matches!(to, To::Offset(_)) && queue.is_none() {
            return Err(Refusal::illegal("an offset for all queues; say which queue, or a time"));
        }
        Ok(Reset {
            group: ScopedName::read(fields.text("group")?, fields),
            topic: ScopedName::read(&wire_topic, fields),
            wire_topic,
            queue,
            to,
            force: fields.is_set("isForce")?,
        })
    }

    fn target(&self, client: &Client, of: &Readable, queue: u32, bounds: Bounds) -> Result<Offset, Refusal> {
        let tables = &client.tables;
        Ok(match self.to {
            To::Offset(offset) if offset < bounds.0 || offset > bounds.1 => {
                let (start, end) = bounds;
                let message = format!("offset {offset} of queue {queue}: the queue has {start} to {end}");
                return Err(Refusal::illegal(message));
            }
            To::Offset(offset) => offset,
            To::End => bounds.1,
            To::Time(time_us) => tables.engine.offset_at(&tables.who, of.topic.id, queue, time_us)?,
        })
    }
}

pub(super) fn answer(client: &Client, command: &Command) -> Answered {
    let reset = Reset::read(command)?;
    let of = client.tables.existing_readable(&reset.topic)?;
    if let Some(queue) = reset.queue {
        of.check_queue(queue)?;
    }
    let mut entries = Vec::new();
    for (queue, bounds) in progress::bounds(client, &of)? {
        if reset.queue.is_some_and(|wanted| wanted != queue) {
            continue;
        }
        let target = reset.target(client, &of, queue, bounds)?;
        let committed = progress::committed(client, &reset.group, &reset.topic, queue)?;
        let to = match committed {
            Some(committed) if !reset.force && committed < target => committed,
            // Set also where it is committed: consumers that are online may be further.
            _ => {
                set(client, &reset, queue, target)?;
                target
            }
        };
        entries.push((QueueKey { topic: &reset.wire_topic, queue }, json!(to)));
    }
    Ok(Answer::body(bodies::by_queue("offsetTable", &entries, &[])))
}

fn set(client: &Client, reset: &Reset, queue: u32, to: Offset) -> Result<(), Refusal> {
    let tables = &client.tables;
    let ScopedName { namespace, name } = &reset.group;
    let moved = OffsetReset { to: SeekTo::Offset(to), topic: Some(reset.topic.name.clone()), partition: Some(queue) };
    match tables.engine.reset_offsets(&tables.who, namespace, name, moved) {
        // A group that has consumed nothing yet begins there.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let topic = &reset.topic.name;
            let ticket = tables.engine.commit_unowned(&tables.who, namespace, name, topic, queue, to)?;
            ticket.wait()?.wait()?;
            Ok(())
        }
        done => Ok(done?),
    }
}
