//! What a RocketMQ cluster has, as its tools and its store write it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::cli::exit::Failure;

/// The topics and groups of all files, by the names that the cluster gives them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Exported {
    pub(super) topics: BTreeMap<String, Topic>,
    pub(super) groups: BTreeMap<String, Group>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Topic {
    #[serde(default = "eight")]
    pub(super) read_queue_nums: u32,
    #[serde(default = "eight")]
    pub(super) write_queue_nums: u32,
    /// 4 to be read, 2 to be written.
    #[serde(default = "six")]
    pub(super) perm: u32,
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Group {
    #[serde(default = "yes")]
    pub(super) consume_enable: bool,
    #[serde(default = "sixteen")]
    pub(super) retry_max_times: i32,
}

fn six() -> u32 {
    6
}

fn eight() -> u32 {
    8
}

fn sixteen() -> i32 {
    16
}

fn yes() -> bool {
    true
}

/// One file: the tables that it has. What else stands there is of no concern.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    topic_config_table: Option<BTreeMap<String, Topic>>,
    subscription_group_table: Option<BTreeMap<String, Group>>,
}

/// Reads all files before anything is made.
pub(super) fn read(files: &[PathBuf]) -> Result<Exported, Failure> {
    let mut exported = Exported::default();
    for path in files {
        let wrong = |why: String| Failure::failed(format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        exported.add(&text).map_err(wrong)?;
    }
    Ok(exported)
}

impl Exported {
    pub(super) fn add(&mut self, text: &str) -> Result<(), String> {
        let file: File =
            serde_json::from_str(text).map_err(|error| format!("it is not what RocketMQ's tools write: {error}"))?;
        if file.topic_config_table.is_none() && file.subscription_group_table.is_none() {
            return Err("it has neither a topicConfigTable nor a subscriptionGroupTable".to_owned());
        }
        for (name, topic) in file.topic_config_table.into_iter().flatten() {
            // A topic is on each broker of a cluster; the most queues count.
            let known = self.topics.entry(name).or_insert_with(|| topic.clone());
            known.read_queue_nums = known.read_queue_nums.max(topic.read_queue_nums);
            known.write_queue_nums = known.write_queue_nums.max(topic.write_queue_nums);
        }
        self.groups.extend(file.subscription_group_table.into_iter().flatten());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_tools_and_stores_are_read_together() {
        let mut exported = Exported::default();
        exported
            .add(
                r#"{"dataVersion":{"counter":1},"topicConfigTable":{"t":{"attributes":{},"order":false,"perm":6,
            "readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"t","topicSysFlag":0,"writeQueueNums":4}}}"#,
            )
            .unwrap();
        exported
            .add(
                r#"{"topicConfigTable":{"t":{"readQueueNums":8,"writeQueueNums":4}},"subscriptionGroupTable":{"g":
            {"consumeEnable":false,"groupName":"g","retryMaxTimes":3}}}"#,
            )
            .unwrap();
        let topic = &exported.topics["t"];
        assert_eq!((topic.read_queue_nums, topic.write_queue_nums, topic.perm), (8, 4, 6));
        assert_eq!(exported.groups["g"], Group { consume_enable: false, retry_max_times: 3 });
        for wrong in ["", "{}", "[]", r#"{"topicConfigTable":{"t":{"readQueueNums":-1}}}"#, "{\"offsetTable\":{}}"] {
            assert!(exported.add(wrong).is_err(), "{wrong}");
        }
    }
}
