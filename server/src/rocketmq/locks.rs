//! 41 and 42: queues that a consumer has to itself, so that their messages are consumed in order.

use std::sync::Arc;

use millstream_engine::{PartitionId, TopicId};

use super::answer::{Answer, Answered, Refusal};
use super::client::Client;
use super::fields::Fields;
use super::names::ScopedName;
use super::wire::bodies::{self, LockedQueues, QueueLocks, QueueName};
use super::wire::codes;
use super::wire::command::Command;

pub(super) async fn answer(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let asked: QueueLocks = bodies::read("a request for locks", &command.body)?;
    let group = ScopedName::read(&asked.consumer_group, fields);
    let (named, queues) = queues(&client, fields, asked.mq_set)?;
    let (tables, ScopedName { namespace, name }) = (&client.tables, &group);
    if command.code == codes::UNLOCK_QUEUES {
        tables.engine.unlock_queues(&tables.who, namespace, name, &asked.client_id, &queues)?;
        return Ok(Answer::ok());
    }
    let locked = tables.engine.lock_queues(&tables.who, namespace, name, &asked.client_id, &queues)?;
    let is_locked = |queue: &(TopicId, PartitionId)| locked.contains(queue);
    let locked = named.into_iter().zip(&queues).filter(|(_, queue)| is_locked(queue)).map(|(name, _)| name).collect();
    Ok(Answer::body(bodies::write(&LockedQueues { locked })?))
}

type Queues = (Vec<QueueName>, Vec<(TopicId, PartitionId)>);

/// Those of the named queues that are there.
fn queues(client: &Client, fields: Fields<'_>, named: Vec<QueueName>) -> Result<Queues, Refusal> {
    let (mut names, mut queues) = (Vec::new(), Vec::new());
    for name in named {
        let Some(readable) = client.tables.readable(&ScopedName::read(&name.topic, fields))? else { continue };
        let queue = u32::try_from(name.queue_id).ok().filter(|queue| *queue < readable.queues());
        if let Some(queue) = queue {
            names.push(name);
            queues.push((readable.topic.id, queue));
        }
    }
    Ok((names, queues))
}
