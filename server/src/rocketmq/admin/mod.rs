//! What administrators ask for, by mqadmin and the dashboard: definitions, offsets and who is connected, as the engine has them.

mod bodies;
mod broker;
mod connections;
mod groups;
mod progress;
mod relays;
mod reset;
mod topics;

use std::sync::Arc;

use super::answer::{Answer, Answered};
use super::client::Client;
use super::wire::codes;
use super::wire::command::Command;
use crate::work::Waits;

/// Whether what a request asks for can be read.
#[cfg(test)]
pub(super) fn is_taken(command: &Command) -> bool {
    use super::fields::Fields;
    let fields = Fields::of(command);
    match command.code {
        codes::UPDATE_AND_CREATE_TOPIC => topics::Wanted::of_fields(fields).is_ok(),
        codes::UPDATE_AND_CREATE_TOPIC_LIST => topics::wanted(command).is_ok(),
        codes::RESET_OFFSETS => reset::Reset::read(command).is_ok(),
        _ => false,
    }
}

type Handler = fn(&Client, &Command) -> Answered;

/// `None` where the code is none of these.
pub(super) async fn answer(client: &Arc<Client>, command: &Command) -> Option<Answered> {
    match command.code {
        codes::GET_CONSUMER_RUNNING_INFO => return Some(relays::running_info(client, command).await),
        codes::CONSUME_MESSAGE_DIRECTLY => return Some(relays::consume_directly(client, command).await),
        _ => {}
    }
    let (waits, handler) = handler(command.code)?;
    let (asked, command) = (Arc::clone(client), command.clone());
    let call = move || handler(&asked, &command);
    let done = match waits {
        Waits::ForRows => client.reading(call).await,
        waits => client.door.work.run(waits, call).await,
    };
    Some(done.unwrap_or_else(|error| Err(error.into())))
}

fn handler(code: i32) -> Option<(Waits, Handler)> {
    use Waits::{ForLog, ForRows, ForState};
    let found: (Waits, Handler) = match code {
        codes::UPDATE_AND_CREATE_TOPIC => (ForLog, topics::create),
        codes::UPDATE_AND_CREATE_TOPIC_LIST => (ForLog, topics::create_all),
        codes::DELETE_TOPIC_IN_BROKER => (ForLog, topics::delete),
        // The name server is the broker, which has deleted the topic, and keeps no values of others.
        codes::DELETE_TOPIC_IN_NAMESRV | codes::DELETE_KV_CONFIG => (ForState, nothing_to_do),
        codes::GET_ALL_TOPIC_CONFIG => (ForState, topics::all_configs),
        codes::GET_TOPIC_CONFIG => (ForState, topics::config),
        codes::GET_ALL_TOPIC_LIST | codes::GET_TOPICS_BY_CLUSTER => (ForState, topics::list),
        codes::GET_SYSTEM_TOPICS_FROM_NS | codes::GET_SYSTEM_TOPICS_FROM_BROKER => (ForState, topics::system_list),
        codes::GET_TOPIC_STATS => (ForRows, progress::topic_stats),
        codes::UPDATE_AND_CREATE_GROUP => (ForLog, groups::create),
        codes::DELETE_GROUP => (ForLog, groups::delete),
        codes::GET_ALL_GROUP_CONFIGS => (ForState, groups::all_configs),
        codes::GET_GROUP_CONFIG => (ForState, groups::config),
        codes::GET_CONSUME_STATS => (ForRows, progress::consume_stats),
        codes::QUERY_CONSUME_TIME_SPAN => (ForRows, progress::time_spans),
        codes::GET_CONSUMER_CONNECTIONS => (ForState, connections::consumers),
        codes::GET_PRODUCER_CONNECTIONS => (ForState, connections::producers),
        codes::GET_ALL_PRODUCERS => (ForState, connections::all_producers),
        codes::QUERY_TOPIC_CONSUMERS => (ForState, groups::of_topic),
        codes::QUERY_TOPICS_OF_CONSUMER => (ForState, groups::topics),
        codes::QUERY_SUBSCRIPTION => (ForState, groups::subscription),
        codes::RESET_OFFSETS => (ForLog, reset::answer),
        codes::GET_CLUSTER_INFO => (ForState, broker::cluster),
        codes::GET_BROKER_RUNTIME_INFO => (ForState, broker::runtime),
        codes::GET_BROKER_CONFIG | codes::GET_NAMESRV_CONFIG => (ForState, broker::config),
        codes::UPDATE_BROKER_CONFIG | codes::UPDATE_NAMESRV_CONFIG => (ForState, broker::update_config),
        codes::GET_KV_CONFIG => (ForState, broker::no_value),
        codes::VIEW_BROKER_STATS => (ForState, broker::no_stats),
        _ => return None,
    };
    Some(found)
}

/// Of what is not kept here nothing is left.
fn nothing_to_do(_: &Client, _: &Command) -> Answered {
    Ok(Answer::ok())
}
