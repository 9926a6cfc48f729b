//! What is to be known of message tables, and of the groups that consume them.

use std::collections::BTreeMap;

use millstream_engine::{Engine, MessageClientRole, Principal, Result, TableId, TableInfo};

use super::exposition::{escape, header_lines, line};

/// Tables, groups and topics of groups that are shown one by one, so that the number of series stays bounded.
const SHOWN: usize = 200;
/// How the tables of dead letters are called.
const DEAD_LETTERS: &str = "%DLQ%";

pub(super) fn messages(out: &mut String, engine: &Engine, who: &Principal) -> Result<()> {
    let mut tables = engine.tables(who)?;
    tables.retain(|table| table.options.messages.is_some());
    let (letters, tables): (Vec<_>, Vec<_>) =
        tables.into_iter().partition(|table| table.name.starts_with(DEAD_LETTERS));
    let ends = |id: TableId| {
        // Of a table that was dropped since it was listed there are none.
        let bounds = engine.table_offsets(who, id).unwrap_or_default();
        bounds.iter().map(|(_, end)| *end).sum::<u64>() as f64
    };

    header_lines(out, "messages_total", "counter", "messages that became visible in a table");
    for table in tables.iter().take(SHOWN) {
        line(out, "messages_total", &of_table(table), ends(table.id));
    }
    for (name, help, counts) in [
        ("messages_delayed", "messages of a table that wait for their time", engine.delayed_counts(who)?),
        ("transactions_open", "half messages of a table that nobody has ended yet", engine.half_counts(who)?),
    ] {
        let counts: BTreeMap<TableId, u64> = counts.into_iter().collect();
        header_lines(out, name, "gauge", help);
        for table in tables.iter().take(SHOWN) {
            line(out, name, &of_table(table), counts.get(&table.id).copied().unwrap_or(0) as f64);
        }
    }
    header_lines(out, "dead_letters_total", "counter", "messages that a group has given up");
    for table in letters.iter().take(SHOWN) {
        let group = table.name.strip_prefix(DEAD_LETTERS).unwrap_or_default();
        line(out, "dead_letters_total", &of_group(&table.namespace, group, ""), ends(table.id));
    }
    header_lines(out, "message_tables_without_series", "gauge", "message tables left out of these to bound their size");
    let left_out = |tables: &[_]| tables.len().saturating_sub(SHOWN);
    line(out, "message_tables_without_series", "", (left_out(&tables) + left_out(&letters)) as f64);

    consumed(out, engine, who)?;
    clients(out, engine, who)
}

/// How far groups are with each topic.
fn consumed(out: &mut String, engine: &Engine, who: &Principal) -> Result<()> {
    let mut shown = BTreeMap::new();
    let mut left_out = 0;
    for group in engine.groups(who)? {
        let Ok(offsets) = engine.group_offsets(who, &group.namespace, &group.group_id) else { continue };
        for at in offsets {
            let topic = (group.namespace.clone(), group.group_id.clone(), at.topic);
            if shown.len() >= SHOWN && !shown.contains_key(&topic) {
                left_out += 1;
                continue;
            }
            let (committed, lag) = shown.entry(topic).or_insert((0, 0));
            let next = at.committed.unwrap_or(at.start);
            *committed += next;
            *lag += at.end.saturating_sub(next);
        }
    }
    for (name, kind, help) in [
        (
            "group_topic_committed",
            "gauge",
            "sum of a group's committed offsets on a topic; it grows as the group consumes",
        ),
        (
            "group_topic_lag_rows",
            "gauge",
            "rows of a topic between the committed offsets of a group and the end offsets",
        ),
    ] {
        header_lines(out, name, kind, help);
        for ((namespace, group, topic), (committed, lag)) in &shown {
            let labels = of_group(namespace, group, &format!(",topic=\"{}\"", escape(topic)));
            line(out, name, &labels, if name.ends_with("rows") { *lag } else { *committed } as f64);
        }
    }
    header_lines(out, "group_topics_without_series", "gauge", "partitions of groups' topics left out of these");
    line(out, "group_topics_without_series", "", f64::from(left_out));
    Ok(())
}

/// RocketMQ's clients that are alive.
fn clients(out: &mut String, engine: &Engine, who: &Principal) -> Result<()> {
    let mut counts = BTreeMap::new();
    for (namespace, group, client) in engine.all_message_clients(who)? {
        let role = match client.role {
            MessageClientRole::Consumer => "consumer",
            MessageClientRole::Producer => "producer",
        };
        *counts.entry((namespace, group, role)).or_insert(0_u32) += 1;
    }
    header_lines(out, "message_clients", "gauge", "clients of message queues that are alive");
    for ((namespace, group, role), count) in counts.iter().take(SHOWN) {
        line(out, "message_clients", &of_group(namespace, group, &format!(",role=\"{role}\"")), f64::from(*count));
    }
    Ok(())
}

fn of_table(table: &TableInfo) -> String {
    format!("{{namespace=\"{}\",table=\"{}\"}}", escape(&table.namespace), escape(&table.name))
}

fn of_group(namespace: &str, group: &str, more: &str) -> String {
    format!("{{namespace=\"{}\",group=\"{}\"{more}}}", escape(namespace), escape(group))
}
