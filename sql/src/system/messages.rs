//! Messages that are not visible yet or that are in flight, and who asks for which messages.

use super::data::Kind::{Flag, Number, Text, Time};
use super::data::{Columns, Rows, flag, number, text, text_or_null, time, time_or_null};
use millstream_engine::{LiveSubscription, MessageClient, MessageClientRole};

use crate::Result;
use crate::query::{Reader, permitted};

/// Messages of one table that are shown, those that come first: there may be millions.
const SHOWN: usize = 10_000;

pub(super) const DELAYED_MESSAGES: Columns = &[
    ("namespace", Text),
    ("table_name", Text),
    ("partition", Number),
    ("message_id", Text),
    ("tag", Text),
    ("deliver_ts", Time),
    ("born_ts", Time),
    ("body_bytes", Number),
];

pub(super) fn delayed_messages(reader: &Reader) -> Result<Rows> {
    let (engine, who) = (&reader.engine, &reader.who);
    let mut rows = Rows::new();
    for (table, _) in engine.delayed_counts(who)? {
        let table = engine.table_by_id(who, table)?;
        let mut left = SHOWN;
        permitted(engine.delayed_messages(who, table.id, |message| {
            rows.push(vec![
                text(&table.namespace),
                text(&table.name),
                number(message.partition),
                text(message.message_id),
                text_or_null(message.tag),
                time(message.deliver_us),
                time(message.born_us),
                number(message.body_bytes),
            ]);
            left -= 1;
            left > 0
        }))?;
    }
    Ok(rows)
}

pub(super) const TRANSACTIONS: Columns = &[
    ("namespace", Text),
    ("table_name", Text),
    ("transaction_id", Text),
    ("producer_group", Text),
    ("partition", Number),
    ("message_id", Text),
    ("tag", Text),
    ("begun_ts", Time),
    ("checks", Number),
    ("next_check_ts", Time),
];

pub(super) fn transactions(reader: &Reader) -> Result<Rows> {
    let (engine, who) = (&reader.engine, &reader.who);
    let mut rows = Rows::new();
    for (table, _) in engine.half_counts(who)? {
        let table = engine.table_by_id(who, table)?;
        let mut left = SHOWN;
        permitted(engine.half_messages(who, table.id, |half| {
            rows.push(vec![
                text(&table.namespace),
                text(&table.name),
                text(half.id.to_string()),
                text(half.group),
                number(half.partition),
                text(half.message_id),
                text_or_null(half.tag),
                time(half.begun_us),
                number(half.checks),
                time_or_null(half.check_us),
            ]);
            left -= 1;
            left > 0
        }))?;
    }
    Ok(rows)
}

pub(super) const DELIVERIES: Columns = &[
    ("namespace", Text),
    ("group_id", Text),
    ("table_name", Text),
    ("partition", Number),
    ("first_offset", Number),
    ("messages", Number),
    ("attempts", Number),
    ("in_order", Flag),
    ("first_handed_ts", Time),
    ("handed_ts", Time),
    ("visible_ts", Time),
];

pub(super) fn deliveries(reader: &Reader) -> Result<Rows> {
    let (engine, who) = (&reader.engine, &reader.who);
    let mut rows = Rows::new();
    for table in engine.tables(who)?.into_iter().filter(|table| table.options.messages.is_some()) {
        let mut left = SHOWN;
        engine.in_flight(who, table.id, |one| {
            rows.push(vec![
                text(one.namespace),
                text(one.group),
                text(&table.name),
                number(one.partition),
                number(one.first_offset),
                number(one.messages),
                number(one.attempts),
                flag(one.in_order),
                time(one.begun_us),
                time(one.handed_us),
                time(one.visible_us),
            ]);
            left -= 1;
            left > 0
        })?;
    }
    Ok(rows)
}

pub(super) const CLIENTS: Columns = &[
    ("namespace", Text),
    ("group_id", Text),
    ("role", Text),
    ("client_id", Text),
    ("client_address", Text),
    ("subscriptions", Number),
];

pub(super) fn clients(reader: &Reader) -> Result<Rows> {
    let all = reader.engine.all_message_clients(&reader.who)?.into_iter();
    let row = |(namespace, group, one): (String, String, MessageClient)| {
        vec![
            text(namespace),
            text(group),
            text(match one.role {
                MessageClientRole::Consumer => "consumer",
                MessageClientRole::Producer => "producer",
            }),
            text(one.client_id),
            text(one.address),
            number(one.subscriptions.len()),
        ]
    };
    Ok(all.map(row).collect())
}

pub(super) const SUBSCRIPTIONS: Columns = &[
    ("namespace", Text),
    ("group_id", Text),
    ("client_id", Text),
    ("client_address", Text),
    ("topic", Text),
    ("kind", Text),
    ("expression", Text),
    ("version", Number),
    ("differs", Flag),
];

pub(super) fn subscriptions(reader: &Reader) -> Result<Rows> {
    let all = reader.engine.message_subscriptions(&reader.who)?.into_iter();
    let row = |one: LiveSubscription| {
        let asked = one.subscription;
        vec![
            text(one.namespace),
            text(one.group),
            text(one.client_id),
            text(one.address),
            text(asked.topic),
            text(asked.kind),
            text(asked.expression),
            number(asked.version),
            flag(one.differs),
        ]
    };
    Ok(all.map(row).collect())
}
