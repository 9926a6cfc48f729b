//! Topics: 17, 18, 21, 206, 215, 224, 304, 305, 351.

use millstream_engine::{MessageKind, SYSTEM_NAMESPACE};
use serde_json::{Map, Value, json};

use super::super::answer::{Answer, Answered, Refusal};
use super::super::client::Client;
use super::super::fields::Fields;
use super::super::names::{CLUSTER, ScopedName};
use super::super::readable::Readable;
use super::super::tables::Tables;
use super::super::wire::bodies as wire;
use super::super::wire::codes;
use super::super::wire::command::Command;
use super::bodies;

/// To read and to write; only to read.
const READ_WRITE: i64 = 6;
const READ: i64 = 4;
/// The attribute that says which messages a topic takes.
const MESSAGE_TYPE: &str = "message.type";
/// Topics of one request.
const MOST_TOPICS: usize = 1_000;

/// A topic as an administrator wants it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wanted {
    topic: ScopedName,
    queues: u32,
    kind: Option<MessageKind>,
}

impl Wanted {
    /// Of a request's fields (17).
    pub(super) fn of_fields(fields: Fields<'_>) -> Result<Wanted, Refusal> {
        let attributes = fields.get("attributes").unwrap_or_default();
        let kind = attributes.split(',').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            (name.trim_start_matches('+') == MESSAGE_TYPE).then(|| value.to_owned())
        });
        Wanted::new(
            ScopedName::read(fields.text("topic")?, fields),
            (fields.or("readQueueNums", 8)?, fields.or("writeQueueNums", 8)?),
            fields.or("perm", READ_WRITE)?,
            kind.as_deref(),
        )
    }

    /// Of one of many (18).
    pub(super) fn of_json(config: &Value, fields: Fields<'_>) -> Result<Wanted, Refusal> {
        let number = |name: &str, default: i64| config.get(name).map_or(Some(default), Value::as_i64).unwrap_or(-1);
        let name = config.get("topicName").and_then(Value::as_str).unwrap_or_default();
        if name.is_empty() {
            return Err(Refusal::illegal("a topic's configuration without its name"));
        }
        let kind = config.get("attributes").and_then(|attributes| {
            attributes.get(format!("+{MESSAGE_TYPE}")).or_else(|| attributes.get(MESSAGE_TYPE))?.as_str()
        });
        let queues = (number("readQueueNums", 16), number("writeQueueNums", 16));
        Wanted::new(ScopedName::read(name, fields), queues, number("perm", READ_WRITE), kind)
    }

    /// What topics here can't be is refused: nothing that is asked for is left out in silence.
    fn new(topic: ScopedName, (read, write): (i64, i64), perm: i64, kind: Option<&str>) -> Result<Wanted, Refusal> {
        let refuse = |why: String| Err(Refusal::illegal(format!("topic {:?}: {why}", topic.wire())));
        if read != write {
            return refuse(format!("{read} queues to read and {write} to write: all queues here are read and written"));
        }
        if perm != READ_WRITE {
            return refuse(format!("permission {perm}: topics here are read and written ({READ_WRITE})"));
        }
        let Some(queues) = u32::try_from(write).ok().filter(|queues| *queues > 0) else {
            return refuse(format!("{write} queues"));
        };
        let kind = match kind {
            None => None,
            Some("UNSPECIFIED" | "MIXED") => Some(MessageKind::Any),
            Some("NORMAL") => Some(MessageKind::Normal),
            Some("FIFO") => Some(MessageKind::Ordered),
            Some("DELAY") => Some(MessageKind::Delayed),
            Some("TRANSACTION") => Some(MessageKind::Transactional),
            Some(other) => return refuse(format!("messages of type {other:.40} are not known")),
        };
        topic.check_topic()?;
        Ok(Wanted { topic, queues, kind })
    }

    /// Makes the topic, or gives it more queues.
    fn make(&self, client: &Client) -> Result<(), Refusal> {
        let (tables, topic) = (&client.tables, &self.topic);
        let table = match tables.find(topic)? {
            Some(table) => table,
            None => tables.create(topic, self.kind.unwrap_or(MessageKind::Any), self.queues)?,
        };
        let refuse = |why: String| Err(Refusal::illegal(format!("topic {:?} {why}", topic.wire())));
        let (has, kind) = (table.options.partitions, table.options.messages.unwrap_or_default());
        if let Some(wanted) = self.kind.filter(|wanted| *wanted != kind) {
            return refuse(format!("takes messages of kind {:?}, and can't take {:?} now", kind.name(), wanted.name()));
        }
        if self.queues < has {
            return refuse(format!("has {has} queues, and can't have {}: queues are not taken away", self.queues));
        }
        if self.queues > has {
            tables.engine.set_partitions(&tables.who, &topic.namespace, &topic.name, self.queues)?;
        }
        Ok(())
    }
}

pub(super) fn create(client: &Client, command: &Command) -> Answered {
    Wanted::of_fields(Fields::of(command))?.make(client)?;
    Ok(Answer::ok())
}

pub(super) fn create_all(client: &Client, command: &Command) -> Answered {
    // What is wrong is refused before anything is made.
    for wanted in wanted(command)? {
        wanted.make(client)?;
    }
    Ok(Answer::ok())
}

/// Of 18.
pub(super) fn wanted(command: &Command) -> Result<Vec<Wanted>, Refusal> {
    let body: Value = wire::read("a list of topics", &command.body)?;
    let all = body.get("topicConfigList").and_then(Value::as_array);
    let all = all.ok_or_else(|| Refusal::illegal("a list of topics without topicConfigList"))?;
    if all.len() > MOST_TOPICS {
        return Err(Refusal::illegal(format!("{} topics in one request; at most {MOST_TOPICS}", all.len())));
    }
    all.iter().map(|config| Wanted::of_json(config, Fields::of(command))).collect()
}

/// Refused while somebody consumes the topic, over whatever protocol. One that is not there is deleted: mqadmin deletes topics of a
/// group that were never made.
pub(super) fn delete(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let topic = ScopedName::read(fields.text("topic")?, fields);
    let tables = &client.tables;
    if tables.find(&topic)?.is_none() {
        return Ok(Answer::ok());
    }
    let subscribed = tables.engine.message_subscriptions(&tables.who)?;
    let of_topic = |namespace: &str, name: &str| namespace == topic.namespace && name == topic.name;
    if let Some(one) = subscribed.iter().find(|one| of_topic(&one.namespace, &one.subscription.topic)) {
        return Err(Refusal::new(
            codes::SYSTEM_ERROR,
            format!(
                "topic {:?} is consumed by {:?} of group {:?}; stop the group's consumers first",
                topic.wire(),
                one.client_id,
                one.group
            ),
        ));
    }
    tables.engine.drop_table(&tables.who, &topic.namespace, &topic.name, false)?;
    Ok(Answer::ok())
}

pub(super) fn all_configs(client: &Client, _: &Command) -> Answered {
    let all: Map<String, Value> = all(client)?.iter().map(|of| (of.name().wire(), shown(of))).collect();
    bodies::answer(&json!({ "dataVersion": data_version(client), "topicConfigTable": all }))
}

pub(super) fn config(client: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let of = client.tables.existing_readable(&ScopedName::read(fields.text("topic")?, fields))?;
    bodies::answer(&shown(&of))
}

pub(super) fn list(client: &Client, command: &Command) -> Answered {
    let cluster = Fields::of(command).get("cluster").filter(|cluster| !cluster.is_empty());
    let names: Vec<String> = match cluster.is_none_or(|cluster| cluster == CLUSTER) {
        true => all(client)?.iter().map(|of| of.name().wire()).collect(),
        false => Vec::new(),
    };
    bodies::answer(&json!({ "topicList": names }))
}

/// There are none that the server needs for itself.
pub(super) fn system_list(client: &Client, _: &Command) -> Answered {
    bodies::answer(&json!({ "brokerAddr": client.store_host.to_string(), "topicList": [CLUSTER] }))
}

/// All that can be consumed, by name, as far as the caller may know how it lies.
pub(super) fn all(client: &Client) -> Result<Vec<Readable>, Refusal> {
    let Tables { engine, who, .. } = &client.tables;
    let name = |namespace: &str, name: &str| ScopedName { namespace: namespace.to_owned(), name: name.to_owned() };
    let tables = engine.tables(who)?;
    // What the server itself writes is read by its name, and is nothing for clients to list, copy or watch.
    let others = tables.iter().filter(|table| table.namespace != SYSTEM_NAMESPACE);
    let mut names: Vec<_> = others.map(|table| name(&table.namespace, &table.name)).collect();
    names.extend(engine.topics(who)?.iter().map(|topic| name(&topic.namespace, &topic.name)));
    names.sort_by_cached_key(ScopedName::wire);
    let found = names.iter().map(|name| match client.tables.readable(name) {
        // A SQL topic whose rows he may not read.
        Err(refusal) if refusal.code == codes::NO_PERMISSION => Ok(None),
        found => found,
    });
    found.filter_map(Result::transpose).collect()
}

pub(super) fn data_version(client: &Client) -> Value {
    json!({ "counter": 0, "stateVersion": 0, "timestamp": client.now_ms() })
}

fn shown(of: &Readable) -> Value {
    let (table, perm) = match of.messages() {
        Ok(table) => (Some(table), READ_WRITE),
        Err(_) => (None, READ),
    };
    let kind = match table.and_then(|table| table.options.messages).unwrap_or_default() {
        MessageKind::Any => None,
        MessageKind::Normal => Some("NORMAL"),
        MessageKind::Ordered => Some("FIFO"),
        MessageKind::Delayed => Some("DELAY"),
        MessageKind::Transactional => Some("TRANSACTION"),
    };
    let attributes: Map<String, Value> = kind.map(|kind| (MESSAGE_TYPE.to_owned(), kind.into())).into_iter().collect();
    let queues = of.queues();
    json!({
        "attributes": attributes, "order": false, "perm": perm, "readQueueNums": queues, "topicFilterType": "SINGLE_TAG",
        "topicName": of.name().wire(), "topicSysFlag": 0, "writeQueueNums": queues,
    })
}
