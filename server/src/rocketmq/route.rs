//! 105: where a topic's messages are. Here.

use std::sync::Arc;

use super::answer::{Answer, Answered};
use super::client::{Client, ClientConnection};
use super::fields::Fields;
use super::names::{BROKER, CLUSTER, DEFAULT_TOPIC, REPLY_TOPIC, ScopedName};
use super::wire::bodies;
use super::wire::command::Command;

/// To read and to write; and to make topics by.
const READ_WRITE: u8 = 6;
const READ_WRITE_INHERIT: u8 = 7;

pub(super) async fn answer(client: Arc<Client>, command: Command) -> Answered {
    let fields = Fields::of(&command);
    let topic = ScopedName::read(fields.text("topic")?, fields);
    let settings = &client.tables.settings;
    let (queues, perm) = if topic.name == DEFAULT_TOPIC && settings.create_topics {
        (settings.partitions, READ_WRITE_INHERIT)
    } else if topic.name == REPLY_TOPIC && client.tables.readable(&topic)?.is_none() {
        (1, READ_WRITE)
    } else {
        // Of what is only read as well: a producer that finds nothing to write to would not learn why, who sends is told.
        (client.tables.existing_readable(&topic)?.queues(), READ_WRITE)
    };
    Ok(here(&client, queues, perm))
}

/// To who is not let in, whichever the topic: where nothing is routed clients say that the topic has no route, and the reason stays in their
/// logs. By this one they send, pull or beat, and hear it. It tells nothing of what there is.
pub(super) fn for_who_is_not_let_in(client: &ClientConnection) -> Answer {
    here(client, client.remoting.settings.partitions, READ_WRITE)
}

fn here(client: &ClientConnection, queues: u32, perm: u8) -> Answer {
    Answer::body(bodies::route(BROKER, CLUSTER, &client.store_host.to_string(), queues, perm))
}
