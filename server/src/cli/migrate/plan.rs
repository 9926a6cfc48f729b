//! What becomes of each topic and group.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};

use super::export::{Exported, Group, Topic};
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::quote;

const RETRY: &str = "%RETRY%";
const DEAD_LETTERS: &str = "%DLQ%";
/// Brokers let other topics inherit from such ones; they make them for themselves.
const INHERITED: u32 = 1;
const READ_AND_WRITE: u32 = 6;
/// How often a group's messages come again unless it says otherwise.
const RETRIES: i32 = 16;

/// What is migrated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) what: &'static str,
    /// As the cluster calls it.
    pub(super) named: String,
    /// What is not as it was.
    pub(super) remark: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Made,
    WouldMake,
    /// Something of its name is there; how it differs.
    Exists(String),
    /// It is not migrated, and why.
    Skipped(&'static str),
    Failed(String),
}

/// One item, and the statements that make it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) item: Item,
    pub(super) outcome: Outcome,
    pub(super) statements: Vec<String>,
}

/// Tables of the server, by namespace and name: how many partitions they have, and which kind of messages.
pub(super) type There = HashMap<(String, String), (i64, Option<String>)>;

pub(super) async fn there(client: &Client) -> Result<There, Failure> {
    let mut there = There::new();
    for batch in client.run("SELECT namespace, name, partitions, messages FROM system.tables").await? {
        read_tables(&batch, &mut there)
            .ok_or_else(|| Failure::failed("system.tables has other columns than it had"))?;
    }
    Ok(there)
}

fn read_tables(batch: &RecordBatch, there: &mut There) -> Option<()> {
    let text = |at: usize| batch.column(at).as_string_opt::<i32>();
    let partitions = arrow::compute::cast(batch.column(2), &DataType::Int64).ok()?;
    let (namespaces, names, kinds) = (text(0)?, text(1)?, text(3)?);
    for row in 0..batch.num_rows() {
        let kind = kinds.is_valid(row).then(|| kinds.value(row).to_owned());
        let key = (namespaces.value(row).to_owned(), names.value(row).to_owned());
        there.insert(key, (partitions.as_primitive::<Int64Type>().value(row), kind));
    }
    Some(())
}

/// Whether messages that were consumed elsewhere are to be appended to the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kinds {
    AsTheyAre,
    /// A table for transactions takes half messages alone.
    TakeCopies,
}

/// Topics first, then groups, each by their names.
pub(super) fn plan(exported: &Exported, default_namespace: &str, there: &There, kinds: Kinds) -> Vec<Step> {
    let topics = exported.topics.iter().map(|(named, topic)| of_topic(named, topic, default_namespace, there, kinds));
    let groups = exported.groups.iter().map(|(named, group)| of_group(named, group, default_namespace, there));
    topics.chain(groups).collect()
}

fn of_topic(named: &str, topic: &Topic, default_namespace: &str, there: &There, kinds: Kinds) -> Step {
    let mut item = Item { what: "topic", named: named.to_owned(), remark: String::new() };
    if let Some(why) = own_topic(named, topic) {
        return Step { item, outcome: Outcome::Skipped(why), statements: Vec::new() };
    }
    let (namespace, table) = scoped(named, default_namespace);
    let queues = topic.read_queue_nums.max(topic.write_queue_nums).max(1);
    let mut remarks = Vec::new();
    if topic.read_queue_nums != topic.write_queue_nums {
        remarks.push(format!(
            "{} queues to read and {} to write become {queues} for both",
            topic.read_queue_nums, topic.write_queue_nums
        ));
    }
    if topic.perm != READ_AND_WRITE {
        remarks.push(format!("its permission was {}; here it is read and written", topic.perm));
    }
    let said = topic.attributes.get("message.type").or_else(|| topic.attributes.get("+message.type"));
    let kind = match said.map(String::as_str) {
        None | Some("UNSPECIFIED" | "MIXED") => "any",
        Some("NORMAL") => "normal",
        Some("FIFO") => "ordered",
        Some("DELAY") => "delayed",
        Some("TRANSACTION") if kinds == Kinds::TakeCopies => {
            remarks.push(
                "messages of all kinds are taken here, since those that were committed there are copied".to_owned(),
            );
            "any"
        }
        Some("TRANSACTION") => "transactional",
        Some(other) => {
            remarks.push(format!("messages of type {other} are of any kind here"));
            "any"
        }
    };
    item.remark = remarks.join("; ");
    of_table(item, (namespace, table), i64::from(queues), kind, there)
}

fn of_group(named: &str, group: &Group, default_namespace: &str, there: &There) -> Step {
    let mut item = Item { what: "group", named: named.to_owned(), remark: String::new() };
    if is_own_group(named) {
        let outcome = Outcome::Skipped("a group of RocketMQ's own");
        return Step { item, outcome, statements: Vec::new() };
    }
    let mut remarks = Vec::new();
    if !group.consume_enable {
        remarks.push("it could not consume there; here it can".to_owned());
    }
    let (namespace, name) = scoped(named, default_namespace);
    let quoted = format!("{}.{}", quote::name(&namespace), quote::name(&name));
    let set = match group.retry_max_times {
        RETRIES => None,
        // The first time counts here.
        times @ 0.. => Some(format!(
            "CREATE CONSUMER GROUP IF NOT EXISTS {quoted} WITH (max_attempts = {})",
            times.saturating_add(1)
        )),
        times => {
            remarks.push(format!("its retryMaxTimes was {times}; here it is as the server is set"));
            None
        }
    };
    item.remark = remarks.join("; ");
    let mut step = of_table(item, (namespace, format!("{RETRY}{name}")), 1, "any", there);
    if step.outcome == Outcome::Made
        && let Some(set) = set
    {
        // Before the table, by which a group is known to be there: what broke off in between is done when it is given again.
        step.statements.insert(1, set);
    }
    step
}

fn of_table(item: Item, place: (String, String), partitions: i64, kind: &str, there: &There) -> Step {
    if let Some((found, messages)) = there.get(&place) {
        let differs = match messages {
            None => "it is a table without messages, which RocketMQ's clients can't send to".to_owned(),
            Some(other) if other != kind => format!("its kind is {other}, not {kind}"),
            Some(_) if *found != partitions => format!("it has {found} partitions, not {partitions}"),
            Some(_) => String::new(),
        };
        let outcome = if messages.is_none() { Outcome::Failed(differs) } else { Outcome::Exists(differs) };
        return Step { item, outcome, statements: Vec::new() };
    }
    let (namespace, table) = place;
    let create = format!(
        "CREATE TABLE IF NOT EXISTS {}.{} OF MESSAGES WITH (kind = {}, partitions = {partitions})",
        quote::name(&namespace),
        quote::name(&table),
        quote::text(kind)
    );
    let statements = vec![format!("CREATE NAMESPACE IF NOT EXISTS {}", quote::name(&namespace)), create];
    Step { item, outcome: Outcome::Made, statements }
}

/// `ns%name` is in a namespace of its own.
pub(super) fn scoped(named: &str, default_namespace: &str) -> (String, String) {
    match named.split_once('%') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => (namespace.to_owned(), name.to_owned()),
        _ => (default_namespace.to_owned(), named.to_owned()),
    }
}

/// Why a topic is none of the cluster's users.
pub(super) fn own_topic(named: &str, topic: &Topic) -> Option<&'static str> {
    const OWN: [&str; 6] = [
        "TBW102",
        "SELF_TEST_TOPIC",
        "BenchmarkTest",
        "OFFSET_MOVED_EVENT",
        "SCHEDULE_TOPIC_XXXX",
        "TRANS_CHECK_MAX_TIME_TOPIC",
    ];
    if named.starts_with(RETRY) {
        return Some("messages of a group that come again; the group's migration makes it");
    }
    if named.starts_with(DEAD_LETTERS) {
        return Some("dead letters of a group; it is made when there are any");
    }
    let system = named.to_ascii_uppercase().starts_with("RMQ_SYS_") || named.ends_with("_REPLY_TOPIC");
    (system || OWN.contains(&named) || topic.perm & INHERITED != 0).then_some("a topic of RocketMQ's own")
}

pub(super) fn is_own_group(named: &str) -> bool {
    const OWN: [&str; 8] = [
        "DEFAULT_CONSUMER",
        "TOOLS_CONSUMER",
        "SCHEDULE_CONSUMER",
        "FILTERSRV_CONSUMER",
        "__MONITOR_CONSUMER",
        "SELF_TEST_C_GROUP",
        "CID_ONS-HTTP-PROXY",
        "CID_SYS_RMQ_TRANS",
    ];
    OWN.contains(&named) || named.starts_with("CID_ONSAPI_") || named.starts_with("CID_RMQ_SYS_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(read: u32, write: u32, perm: u32, kind: Option<&str>) -> Topic {
        let attributes = kind.map(|kind| ("message.type".to_owned(), kind.to_owned())).into_iter().collect();
        Topic { read_queue_nums: read, write_queue_nums: write, perm, attributes }
    }

    #[test]
    fn topics_and_groups_become_tables() {
        let mut exported = Exported::default();
        for (name, topic) in [
            ("orders", topic(8, 8, 6, Some("FIFO"))),
            ("shop%paid", topic(4, 8, 4, None)),
            ("there", topic(8, 8, 6, None)),
            ("fewer", topic(8, 8, 6, None)),
            ("rows", topic(8, 8, 6, None)),
            ("paying", topic(8, 8, 6, Some("TRANSACTION"))),
            ("DefaultCluster", topic(16, 16, 7, None)),
            ("%RETRY%g", topic(1, 1, 6, None)),
            ("rmq_sys_wheel_timer", topic(1, 1, 6, None)),
        ] {
            exported.topics.insert(name.to_owned(), topic);
        }
        exported.groups.insert("shop%g".to_owned(), Group { consume_enable: false, retry_max_times: 3 });
        exported.groups.insert("TOOLS_CONSUMER".to_owned(), Group { consume_enable: true, retry_max_times: 16 });
        let place = |name: &str| ("main".to_owned(), name.to_owned());
        let any = Some("any".to_owned());
        let there =
            There::from([(place("there"), (8, any.clone())), (place("fewer"), (2, any)), (place("rows"), (8, None))]);
        let steps = plan(&exported, "main", &there, Kinds::AsTheyAre);
        let of = |name: &str| steps.iter().find(|step| step.item.named == name).expect(name);
        assert_eq!(
            of("orders").statements,
            [
                "CREATE NAMESPACE IF NOT EXISTS \"main\"",
                "CREATE TABLE IF NOT EXISTS \"main\".\"orders\" OF MESSAGES WITH (kind = 'ordered', partitions = 8)"
            ]
        );
        let paid = of("shop%paid");
        assert!(paid.statements[1].contains("\"shop\".\"paid\" OF MESSAGES WITH (kind = 'any', partitions = 8)"));
        assert_eq!(
            paid.item.remark,
            "4 queues to read and 8 to write become 8 for both; its permission was 4; here it is read and written"
        );
        assert_eq!(of("there").outcome, Outcome::Exists(String::new()));
        assert_eq!(of("fewer").outcome, Outcome::Exists("it has 2 partitions, not 8".to_owned()));
        assert!(matches!(of("rows").outcome, Outcome::Failed(_)));
        let skipped = ["DefaultCluster", "%RETRY%g", "rmq_sys_wheel_timer", "TOOLS_CONSUMER"];
        assert!(skipped.iter().all(|name| matches!(of(name).outcome, Outcome::Skipped(_))));
        let group = of("shop%g");
        assert_eq!(group.statements[1], "CREATE CONSUMER GROUP IF NOT EXISTS \"shop\".\"g\" WITH (max_attempts = 4)");
        assert!(group.statements[2].contains("\"shop\".\"%RETRY%g\" OF MESSAGES WITH (kind = 'any', partitions = 1)"));
        assert_eq!(group.item.remark, "it could not consume there; here it can");
        assert_eq!(steps.len(), 11);
        assert!(of("paying").statements[1].contains("kind = 'transactional'"));
        let copied = plan(&exported, "main", &there, Kinds::TakeCopies);
        let paying = copied.iter().find(|step| step.item.named == "paying").unwrap();
        assert!(paying.statements[1].contains("kind = 'any'") && paying.item.remark.contains("of all kinds"));
    }
}
