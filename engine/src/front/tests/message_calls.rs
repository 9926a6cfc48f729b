//! Calls about messages: their clients, what waits, and what is handed out.

use std::time::Duration;

use super::calls::{Call, PlainCall, at, call};
use super::host::JUDGES;
use super::store::{
    NAMESPACE as NS, Nothing, RECEIPT, Store, checkback_spec, identity, message, message_client, pop_request,
};
use crate::access::{Action, ObjectKind};
use crate::chunks::PlainColumns;
use crate::contract::{CheckVerdict, InputColumn};
use crate::model::{Principal, Result};
use Action::{Consume, Define, Follow, Operate, Produce, Read, See, Use};
use ObjectKind::{Checkback, Group, Plugin, Server, Table};

pub(super) fn message_clients() -> Vec<Call> {
    use crate::messages::MessageClientRole::Producer;
    vec![
        call("message_client_alive", Produce, Group, "g", |s, who| {
            s.engine.message_client_alive(who, NS, "g", message_client(Producer, Vec::new()))
        }),
        call("message_client_left", Produce, Group, "g", |s, who| {
            s.engine.message_client_left(who, NS, "g", Producer, "c")
        }),
        call("message_clients", See, Group, "g", |s, who| s.engine.message_clients(who, NS, "g")),
        call("message_subscription", Consume, Group, "g", |s, who| s.engine.message_subscription(who, NS, "g", "t", 1)),
        call("message_filter_failed", Consume, Group, "g", filter_failed),
        call("message_filter_failed", Consume, Table, "t", filter_failed),
        call("lock_queues", Consume, Group, "g", |s, who| s.engine.lock_queues(who, NS, "g", "c", &[(s.topic.id, 0)])),
        call("unlock_queues", Consume, Group, "g", |s, who| s.engine.unlock_queues(who, NS, "g", "c", &[])),
        call("commit_unowned", Consume, Group, "new", |s, who| s.engine.commit_unowned(who, NS, "new", "t", 0, 0)),
        call("commit_unowned", Consume, Table, "t", |s, who| s.engine.commit_unowned(who, NS, "new", "t", 0, 0)),
        call("committed_offset", See, Group, "g", |s, who| s.engine.committed_offset(who, NS, "g", "t", 0)),
        call("committed_offset", Follow, Table, "t", |s, who| s.engine.committed_offset(who, NS, "g", "t", 0)),
        call("take_offset_reset", Consume, Group, "g", |s, who| {
            s.engine.take_offset_reset(who, NS, "g", identity(s.table), 0)
        }),
    ]
}

/// What doors of message queues ask before they do something for a client.
pub(super) fn consumers() -> Vec<Call> {
    use crate::messages::MessageClientRole::Producer;
    vec![
        call("check_operate", Operate, Server, "", |s, who| s.engine.check_operate(who)),
        call("read_stretch", Follow, Table, "t", |s, who| {
            let table = s.engine.table_by_id(&Principal::anonymous(), s.table)?;
            let columns = PlainColumns::of(&table, vec![InputColumn::Field(0)])?;
            s.engine.read_stretch(who, at(identity(s.table)), &(0..1), &columns)
        }),
        call("take_offset_reset", Consume, Table, "t", |s, who| {
            s.engine.take_offset_reset(who, NS, "g", identity(s.table), 0)
        }),
        call("check_consumer_of", Consume, Group, "g", |s, who| {
            s.engine.check_consumer_of(who, NS, "g", identity(s.table))
        }),
        call("check_consumer_of", Consume, Table, "t", |s, who| {
            s.engine.check_consumer_of(who, NS, "g", identity(s.table))
        }),
        call("check_message_client", Produce, Group, "g", |s, who| {
            s.engine.check_message_client(who, Producer, NS, "g")
        }),
        call("transaction_producers", Operate, Server, "", |s, who| {
            s.engine.transaction_producers(who, NS, "g", s.messages)
        }),
    ]
}

pub(super) fn unseen_messages() -> Vec<Call> {
    vec![
        call("find_messages", Follow, Table, "m", |s, who| {
            s.engine.find_messages(who, s.messages, crate::model::MessageKey::Id("x"), 0..1, 1)
        }),
        call("delayed_messages", Read, Table, "m", |s, who| s.engine.delayed_messages(who, s.messages, |_| true)),
        call("recall_message", Produce, Table, "m", |s, who| s.engine.recall_message(who, NS, "m", "waits", None)),
        call("begin_transactions", Produce, Table, "m", |s, who| {
            s.engine.begin_transactions(who, &message(s.messages, None), "g", None)
        }),
        call("half_messages", Read, Table, "m", |s, who| s.engine.half_messages(who, s.messages, |_| true)),
        call("half_message", Produce, Table, "m", |s, who| s.engine.half_message(who, s.half)),
        call("half_message_row", Read, Table, "m", |s, who| s.engine.half_message_row(who, s.messages, s.half)),
        call("end_transaction", Produce, Table, "m", |s, who| {
            s.engine.end_transaction(who, s.messages, s.half, CheckVerdict::Unknown)
        }),
        call("create_checkback", Define, Checkback, "new", create_checkback),
        call("create_checkback", Produce, Table, "n", create_checkback),
        call("create_checkback", Use, Plugin, JUDGES, create_checkback),
        call("checkback", See, Checkback, "k", |s, who| s.engine.checkback(who, NS, "k")),
        call("drop_checkback", Define, Checkback, "k", |s, who| s.engine.drop_checkback(who, NS, "k")),
        call("transaction_checks", Operate, Server, "", |s, who| s.engine.transaction_checks(who)),
    ]
}

/// Each names the group and the table.
pub(super) fn pops() -> Vec<Call> {
    let all: [(&'static str, PlainCall); 9] = [
        ("begin_pop", |s, who| s.engine.begin_pop(who, NS, "g", s.messages)),
        ("end_pop", |s, who| s.engine.end_pop(who, NS, "g", s.messages)),
        ("is_popping", |s, who| s.engine.is_popping(who, NS, "g", s.messages).map(drop)),
        ("pop", |s, who| s.engine.pop(who, &pop_request("g", s.messages), &mut Nothing).map(drop)),
        ("watch_pop", |s, who| s.engine.watch_pop(who, NS, "g", s.messages, false).map(drop)),
        ("may_pop", |s, who| s.engine.may_pop(who, NS, "g", s.messages, None).map(drop)),
        ("acknowledge_popped", |s, who| s.engine.acknowledge_popped(who, NS, "g", s.messages, &[]).map(drop)),
        ("change_invisible", |s, who| {
            s.engine.change_invisible(who, NS, "g", s.messages, (&RECEIPT, Duration::ZERO)).map(drop)
        }),
        ("give_up_popped", |s, who| s.engine.give_up_popped(who, NS, "g", s.messages, &RECEIPT).map(drop)),
    ];
    let mut calls = vec![call("in_flight", See, Table, "m", |s, who| s.engine.in_flight(who, s.messages, |_| true))];
    for (name, made) in all {
        calls.push(call(name, Consume, Group, "g", made));
        calls.push(call(name, Consume, Table, "m", made));
    }
    calls
}

fn filter_failed(store: &Store, who: &Principal) -> Result<()> {
    store.engine.message_filter_failed(who, NS, "g", (at(identity(store.table)), 0), "it does")
}

fn create_checkback(store: &Store, who: &Principal) -> Result<()> {
    store.engine.create_checkback(who, checkback_spec("new", "n")).map(drop)
}
