//! Where a topic's messages are: here, at the address that the client has connected to.

use millstream_engine::{MessageKind, TableInfo};

use super::caller::Caller;
use super::proto::{
    Address, AddressScheme, Assignment, Broker, Code, Endpoints, MessageQueue, MessageType, Permission,
    QueryAssignmentRequest, QueryRouteRequest, Resource,
};
use super::resources;
use super::status::{Done, Failed};
use crate::rocketmq::names::BROKER;
use crate::rocketmq::readable::Readable;
use crate::rocketmq::tables::missing;

/// Of all addresses that a client gives: each queue is told with them.
const MAX_ADDRESS_BYTES: usize = 1 << 10;
/// A route names no more queues; the server chooses among all of them.
const MAX_QUEUES: u32 = 1_024;
/// Stands for all queues.
const ALL_QUEUES: i32 = -1;

/// A topic that is not there yet has a route if it is made by the first message.
pub(super) fn route(caller: &Caller, request: &QueryRouteRequest) -> Done<Vec<MessageQueue>> {
    let topic = resources::topic(caller, request.topic.as_ref())?;
    let broker = broker(caller, request.endpoints.as_ref())?;
    let (queues, kind) = match caller.tables.readable(&topic)? {
        Some(readable) => (readable.queues(), kind_of(&readable)),
        None if caller.tables.settings.create_topics => {
            topic.check_topic().map_err(|refusal| Failed::new(Code::IllegalTopic, refusal.remark))?;
            (caller.tables.settings.partitions, MessageKind::Any)
        }
        None => return Err(missing(&topic).into()),
    };
    let named = request.topic.clone();
    let ids = (0..queues.min(MAX_QUEUES)).filter_map(|id| i32::try_from(id).ok());
    Ok(ids.map(|id| queue(named.clone(), id, broker.clone(), kind)).collect())
}

/// Each consumer takes what comes from any queue.
pub(super) fn assignment(caller: &Caller, request: &QueryAssignmentRequest) -> Done<Vec<Assignment>> {
    let (topic, _) = resources::consumed(caller, request.topic.as_ref(), request.group.as_ref())?;
    let broker = broker(caller, request.endpoints.as_ref())?;
    let kind = caller.tables.readable(&topic)?.map_or(MessageKind::Any, |readable| kind_of(&readable));
    let message_queue = Some(queue(request.topic.clone(), ALL_QUEUES, broker, kind));
    Ok(vec![Assignment { message_queue }])
}

pub(super) fn kind(table: &TableInfo) -> MessageKind {
    table.options.messages.unwrap_or_default()
}

/// Of what takes no messages it is any: whoever sends to it is told why not.
fn kind_of(readable: &Readable) -> MessageKind {
    readable.messages().map_or(MessageKind::Any, |table| kind(table))
}

fn queue(topic: Option<Resource>, id: i32, broker: Broker, kind: MessageKind) -> MessageQueue {
    let types: &[MessageType] = match kind {
        MessageKind::Any => &[MessageType::Normal, MessageType::Fifo, MessageType::Delay, MessageType::Transaction],
        MessageKind::Normal => &[MessageType::Normal],
        MessageKind::Ordered => &[MessageType::Fifo],
        MessageKind::Delayed => &[MessageType::Delay],
        MessageKind::Transactional => &[MessageType::Transaction],
    };
    MessageQueue {
        topic,
        id,
        permission: Permission::ReadWrite.into(),
        broker: Some(broker),
        accept_message_types: types.iter().map(|kind| (*kind).into()).collect(),
    }
}

/// This server, at the address that the client says it has connected to: whatever stands between knows that one.
fn broker(caller: &Caller, said: Option<&Endpoints>) -> Done<Broker> {
    let endpoints = match said.filter(|said| !said.addresses.is_empty()) {
        Some(said) => checked(said)?,
        None => caller.dialled.clone().ok_or_else(|| {
            Failed::new(
                Code::IllegalAccessPoint,
                "the request has no endpoints: it is not known where clients find this server",
            )
        })?,
    };
    Ok(Broker { name: BROKER.to_owned(), id: 0, endpoints: Some(endpoints) })
}

fn checked(said: &Endpoints) -> Done<Endpoints> {
    let wrong = |why: &str| Err(Failed::new(Code::IllegalAccessPoint, format!("the endpoints of the request {why}")));
    if !matches!(said.scheme(), AddressScheme::IPv4 | AddressScheme::IPv6 | AddressScheme::DomainName) {
        return wrong("have no scheme that is known");
    }
    let is_address = |said: &Address| !said.host.is_empty() && u16::try_from(said.port).is_ok_and(|port| port > 0);
    if !said.addresses.iter().all(is_address) {
        return wrong("have an address without a host or a port");
    }
    if said.addresses.iter().map(|address| address.host.len() + 8).sum::<usize>() > MAX_ADDRESS_BYTES {
        return wrong("are too many or too long");
    }
    Ok(said.clone())
}
