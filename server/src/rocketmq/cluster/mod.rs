//! A RocketMQ cluster that is somewhere else, asked as its own tools ask it: what it has, where its groups are, and messages of
//! its queues. Nothing of it is changed.

mod broker;
mod connection;
mod rows;

pub(crate) use broker::{Broker, QueueBounds};
pub(crate) use connection::ClusterError;
pub(crate) use rows::rows;

pub(crate) use super::wire::found::FoundMessage;

use std::collections::BTreeMap;

use serde::Deserialize;

use self::connection::Connection;
use super::signature::AccessKey;
use super::wire::bodies;
use super::wire::codes;
use super::wire::loose;

/// The master's number among a broker's addresses.
const MASTER: &str = "0";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClusterInfo {
    broker_addr_table: BTreeMap<String, BrokerAddresses>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BrokerAddresses {
    broker_addrs: BTreeMap<String, String>,
}

/// Opens a connection to each broker's master, in the order of their names, as a name server knows them.
pub(crate) async fn brokers(name_server: &str, key: Option<&AccessKey>) -> Result<Vec<Broker>, ClusterError> {
    let mut connection = Connection::new(name_server, key);
    let answer = connection.ask(codes::GET_CLUSTER_INFO, &[]).await?;
    let text = loose::quoted_names(&String::from_utf8_lossy(&answer.body));
    let info: ClusterInfo =
        bodies::read("the list of brokers", text.as_bytes()).map_err(|why| connection.wrong(why))?;
    let masters = info.broker_addr_table.into_iter().filter_map(|(name, mut addresses)| {
        let address = addresses.broker_addrs.remove(MASTER)?;
        Some(Broker::at(name, &address, key))
    });
    let masters: Vec<Broker> = masters.collect();
    match masters.is_empty() {
        true => {
            Err(ClusterError::Unreachable { address: name_server.to_owned(), why: "it knows no broker".to_owned() })
        }
        false => Ok(masters),
    }
}
