//! 400 and 401: which queues a consumer reads, and whether it pops or pulls.

use std::sync::Arc;

use millstream_engine::MessageClientRole;

use super::request::same_namespace;
use crate::rocketmq::answer::{Answer, Answered, Refusal};
use crate::rocketmq::client::Client;
use crate::rocketmq::fields::Fields;
use crate::rocketmq::names::{BROKER, RETRY, ScopedName};
use crate::rocketmq::readable::Readable;
use crate::rocketmq::wire::bodies::{self, QueueName};
use crate::rocketmq::wire::codes;
use crate::rocketmq::wire::command::Command;
use crate::rocketmq::wire::popped::{Assigned, AssignmentQuery, Assignments, RequestMode};
use crate::work::Waits;

const POP: &str = "POP";
const PULL: &str = "PULL";
const BROADCASTING: &str = "BROADCASTING";
/// All queues of the broker.
const ALL_QUEUES: i32 = -1;

/// 400. A group that pops is given all queues, as one; of another each consumer is given its share of them.
pub(in crate::rocketmq) async fn assignment(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let query: AssignmentQuery = bodies::read("a query for queues", &command.body)?;
    let group = ScopedName::read(&query.consumer_group, fields);
    let topic = ScopedName::read(&query.topic, fields);
    same_namespace(&group, &topic)?;
    let queue = |queue_id: i32| QueueName { broker_name: BROKER.to_owned(), queue_id, topic: query.topic.clone() };
    let all = |queues: Vec<i32>, mode| {
        let assigned = queues.into_iter().map(|id| Assigned { message_queue: queue(id), mode });
        Ok(Answer::body(bodies::write(&Assignments { message_queue_assignments: assigned.collect() })?))
    };
    // An error would have the client share queues out by itself, for good.
    let Some(readable) = client.tables.readable(&topic)? else { return all(Vec::new(), PULL) };
    let tables = &client.tables;
    if query.message_model.as_deref() == Some(BROADCASTING) {
        return all(queues(&readable), PULL);
    }
    let pops = |table| tables.engine.is_popping(&tables.who, &group.namespace, &group.name, table);
    if readable.is_message_table() && pops(readable.source.id)? {
        return all(vec![ALL_QUEUES], POP);
    }
    let consumers = tables.engine.message_clients(&tables.who, &group.namespace, &group.name)?;
    let consumers = consumers.into_iter().filter(|one| one.role == MessageClientRole::Consumer);
    let consumers: Vec<String> = consumers.map(|one| one.client_id).collect();
    let Some(place) = consumers.iter().position(|one| *one == query.client_id) else { return all(Vec::new(), PULL) };
    all(share(queues(&readable), consumers.len(), place), PULL)
}

fn queues(readable: &Readable) -> Vec<i32> {
    (0..readable.queues()).filter_map(|queue| i32::try_from(queue).ok()).collect()
}

/// Runs of queues, as even as can be, the longer ones first.
fn share(queues: Vec<i32>, consumers: usize, place: usize) -> Vec<i32> {
    let (each, longer) = (queues.len() / consumers, queues.len() % consumers);
    let first = place * each + place.min(longer);
    queues.into_iter().skip(first).take(each + usize::from(place < longer)).collect()
}

/// 401.
pub(in crate::rocketmq) async fn set_mode(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let asked: RequestMode = bodies::read("a request for a mode", &command.body)?;
    let group = ScopedName::read(&asked.consumer_group, fields);
    let topic = ScopedName::read(&asked.topic, fields);
    same_namespace(&group, &topic)?;
    if topic.name.starts_with(RETRY) {
        return Err(Refusal::new(codes::NO_PERMISSION, format!("messages of {:?} are always pulled", topic.wire())));
    }
    let pops = match asked.mode.as_str() {
        POP => true,
        PULL => false,
        other => return Err(Refusal::illegal(format!("consumers {POP} or {PULL}, and do not {other:.40}"))),
    };
    let table = client.tables.existing(&topic)?;
    let work = client.door.work.clone();
    let set = move || {
        let (tables, ScopedName { namespace, name }) = (&client.tables, &group);
        match pops {
            true => tables.engine.begin_pop(&tables.who, namespace, name, table.id),
            false => tables.engine.end_pop(&tables.who, namespace, name, table.id),
        }
    };
    work.run(Waits::ForLog, set).await??;
    Ok(Answer::ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_shared_out_evenly() {
        let shares = |queues: i32, consumers| -> Vec<Vec<i32>> {
            (0..consumers).map(|place| share((0..queues).collect(), consumers, place)).collect()
        };
        assert_eq!(shares(4, 3), [vec![0, 1], vec![2], vec![3]]);
        assert_eq!(shares(2, 3), [vec![0], vec![1], vec![]]);
        assert_eq!(shares(4, 1), [vec![0, 1, 2, 3]]);
    }
}
