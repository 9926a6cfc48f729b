//! The requests that are served, by their codes.

use std::sync::Arc;

use super::answer::{Given, Refusal};
use super::client::Client;
use super::wire::codes;
use super::wire::command::Command;
use super::{admin, clients, locks, offsets, pop, pull, query, recall, reply, route, send_back, transactions, view};
use crate::net::framed::Arrived;

/// Carries out a request that is no send. What has arrived holds the room of its message; a pull that waits needs neither.
pub(super) async fn answer(client: Arc<Client>, command: Command, arrived: Arrived) -> Result<Given, Refusal> {
    let answer = match command.code {
        codes::PULL_MESSAGE | codes::LITE_PULL_MESSAGE => return pull::answer(client, command, arrived).await,
        codes::QUERY_MESSAGE => return query::answer(client, command).await,
        codes::POP_MESSAGE => return pop::answer(client, command, arrived).await,
        codes::ACK_MESSAGE => pop::acknowledge(client, command).await,
        codes::BATCH_ACK_MESSAGE => pop::acknowledge_all(client, command).await,
        codes::CHANGE_INVISIBLE_TIME => pop::change(client, command).await,
        codes::NOTIFICATION => pop::notification(client, command).await,
        codes::QUERY_ASSIGNMENT => pop::assignment(client, command).await,
        codes::SET_REQUEST_MODE => pop::set_mode(client, command).await,
        codes::QUERY_CONSUMER_OFFSET => offsets::committed(client, command).await,
        codes::UPDATE_CONSUMER_OFFSET => offsets::commit(client, command).await,
        codes::SEARCH_OFFSET_BY_TIMESTAMP => offsets::at_time(client, command).await,
        codes::GET_MAX_OFFSET | codes::GET_MIN_OFFSET => offsets::bounds(client, command).await,
        codes::GET_EARLIEST_STORE_TIME => offsets::earliest_time(client, command).await,
        codes::VIEW_MESSAGE_BY_ID => view::answer(client, command).await,
        codes::HEART_BEAT => clients::heartbeat(client, command).await,
        codes::UNREGISTER_CLIENT => clients::unregister(client, command).await,
        codes::GET_CONSUMER_LIST => clients::list(client, command).await,
        codes::CHECK_CLIENT_CONFIG => clients::check(client, command).await,
        codes::CONSUMER_SEND_BACK => send_back::answer(client, command).await,
        codes::LOCK_QUEUES | codes::UNLOCK_QUEUES => locks::answer(client, command).await,
        codes::RECALL_MESSAGE => recall::answer(client, command).await,
        codes::END_TRANSACTION => transactions::end(client, command).await,
        codes::SEND_REPLY_MESSAGE | codes::SEND_REPLY_MESSAGE_V2 => reply::answer(client, command).await,
        codes::GET_ROUTE => route::answer(client, command).await,
        code => match admin::answer(&client, &command).await {
            Some(answer) => answer,
            None => {
                client.remoting.note_not_served(code);
                Err(Refusal::new(codes::NOT_SUPPORTED, format!("{} is not served", codes::name(code))))
            }
        },
    };
    drop(arrived);
    answer.map(Given::from)
}

/// Whether it is a send, whose rows are queued in the order in which requests come in.
pub(super) fn is_send(command: &Command) -> bool {
    matches!(command.code, codes::SEND_MESSAGE | codes::SEND_MESSAGE_V2 | codes::SEND_BATCH_MESSAGE)
}
