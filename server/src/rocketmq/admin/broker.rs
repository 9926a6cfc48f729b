//! The broker itself: 25, 26, 28, 101, 106, 315, 318, 319.

use serde_json::{Map, Value, json};

use super::super::answer::{Answer, Answered, Refusal};
use super::super::client::Client;
use super::super::fields::Fields;
use super::super::names::{BROKER, CLUSTER};
use super::super::wire::codes;
use super::super::wire::command::Command;
use super::bodies;

/// 106.
pub(super) fn cluster(client: &Client, _: &Command) -> Answered {
    let broker = json!({
        "brokerAddrs": { "0": client.store_host.to_string() }, "brokerName": BROKER, "cluster": CLUSTER,
        "enableActingMaster": false,
    });
    bodies::answer(&json!({ "brokerAddrTable": { BROKER: broker }, "clusterAddrTable": { CLUSTER: [BROKER] } }))
}

/// 28: figures as texts. Rates are not kept here, and are those of a metrics scraper.
pub(super) fn runtime(client: &Client, _: &Command) -> Answered {
    let tables = &client.tables;
    let stats = tables.engine.stats(&tables.who)?;
    let bytes = stats.log_bytes.saturating_add(stats.segment_bytes);
    let capacity = bytes.saturating_add(stats.free_disk_bytes).max(1);
    let ratio = bytes as f64 / capacity as f64;
    let rates = "0.0 0.0 0.0";
    let figures: [(&str, String); 22] = [
        ("bootTimestamp", "0".to_owned()),
        ("brokerActive", "true".to_owned()),
        ("brokerRole", "SYNC_MASTER".to_owned()),
        ("brokerVersion", super::super::wire::command::VERSION.to_string()),
        ("brokerVersionDesc", concat!("millstream ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("commitLogDiskRatio", ratio.to_string()),
        ("commitLogMaxOffset", stats.durable_lsn.0.to_string()),
        ("commitLogMinOffset", "0".to_owned()),
        ("consumeQueueDiskRatio", ratio.to_string()),
        ("EndTransactionQueueSize", "0".to_owned()),
        ("EndTransactionThreadPoolQueueCapacity", "0".to_owned()),
        ("getTransferredTps", rates.to_owned()),
        ("msgGetTotalTodayNow", "0".to_owned()),
        ("msgPutTotalTodayNow", stats.rows_appended.to_string()),
        ("pageCacheLockTimeMills", "0".to_owned()),
        ("pullThreadPoolQueueHeadWaitTimeMills", "0".to_owned()),
        ("pullThreadPoolQueueSize", "0".to_owned()),
        ("putTps", rates.to_owned()),
        ("sendThreadPoolQueueHeadWaitTimeMills", "0".to_owned()),
        ("sendThreadPoolQueueSize", stats.queue_waiting.to_string()),
        ("timerReadBehind", "0".to_owned()),
        ("timerOffsetBehind", "0".to_owned()),
    ];
    let table: Map<String, Value> = figures.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    bodies::answer(&json!({ "table": table }))
}

/// 26 and 319: what clients look at of the settings, one a line.
pub(super) fn config(client: &Client, _: &Command) -> Answered {
    client.tables.engine.check_operate(&client.tables.who)?;
    let (settings, address) = (&client.tables.settings, client.store_host);
    let lines = [
        ("brokerName", BROKER.to_owned()),
        ("brokerClusterName", CLUSTER.to_owned()),
        ("brokerId", "0".to_owned()),
        ("brokerIP1", address.ip().to_string()),
        ("listenPort", address.port().to_string()),
        ("namesrvAddr", address.to_string()),
        ("autoCreateTopicEnable", settings.create_topics.to_string()),
        ("autoCreateSubscriptionGroup", settings.create_topics.to_string()),
        ("defaultTopicQueueNums", settings.partitions.to_string()),
        ("brokerPermission", "6".to_owned()),
        ("enablePropertyFilter", "true".to_owned()),
    ];
    let text: String = lines.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    Ok(Answer::body(text.into_bytes()))
}

/// 25 and 318.
pub(super) fn update_config(_: &Client, _: &Command) -> Answered {
    let message = "settings are those of the server's flags, environment and file, and are not changed from here";
    Err(Refusal::new(codes::NO_PERMISSION, message))
}

/// 101: the name server keeps no values of others.
pub(super) fn no_value(_: &Client, command: &Command) -> Answered {
    let key = Fields::of(command).get("key").unwrap_or_default();
    Err(Refusal::new(codes::QUERY_NOT_FOUND, format!("No config item, key: {key:.100}")))
}

/// 315: figures over minutes, hours and days, which are not kept here.
pub(super) fn no_stats(_: &Client, command: &Command) -> Answered {
    let fields = Fields::of(command);
    let (name, key) = (fields.get("statsName").unwrap_or_default(), fields.get("statsKey").unwrap_or_default());
    Err(Refusal::new(codes::SYSTEM_ERROR, format!("The stats <{name:.100}> <{key:.100}> not exist")))
}
