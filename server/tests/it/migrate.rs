//! `millstream migrate rocketmq`.

use std::path::PathBuf;

use crate::program::{Server, code, millstream, stderr, stdout};

/// As mqadmin's exportMetadata writes it.
const METADATA: &str = r#"{"exportTime":1764489600000,
  "topicConfigTable":{
    "orders":{"attributes":{"message.type":"FIFO"},"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG",
      "topicName":"orders","topicSysFlag":0,"writeQueueNums":4},
    "shop%paid":{"attributes":{},"order":false,"perm":6,"readQueueNums":2,"topicName":"shop%paid","writeQueueNums":2},
    "taken":{"attributes":{},"order":false,"perm":6,"readQueueNums":2,"topicName":"taken","writeQueueNums":2},
    "TBW102":{"attributes":{},"order":false,"perm":7,"readQueueNums":8,"topicName":"TBW102","writeQueueNums":8}},
  "subscriptionGroupTable":{
    "workers":{"brokerId":0,"consumeEnable":true,"groupName":"workers","retryMaxTimes":3,"retryQueueNums":1}}}"#;

fn file(dir: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("metadata.json");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn topics_and_groups_are_made_once_and_what_fails_is_told() {
    let (server, dir) = (Server::start(), tempfile::tempdir().unwrap());
    server.ok(&["sql", "-c", "CREATE TABLE taken (id BIGINT)"]);
    let path = file(&dir, METADATA);
    let migrate = ["migrate", "rocketmq", path.to_str().unwrap(), "--format", "csv"];
    let tables =
        "SELECT namespace, name, partitions, messages FROM system.tables WHERE messages IS NOT NULL ORDER BY 1, 2";
    let tables = || server.ok(&["sql", "--format", "csv", "-c", tables]);
    let head = "item,name,outcome,remark\n";
    let taken = "it is a table without messages, which RocketMQ's clients can't send to";
    let list = |made: &str, remark: &str| {
        format!(
            "{head}topic,TBW102,skipped,a topic of RocketMQ's own\ntopic,orders,{made},{remark}\n\
             topic,shop%paid,{made},{remark}\ntopic,taken,failed,\"{taken}\"\ngroup,workers,{made},\n"
        )
        .replace(",\n", ",\"\"\n")
    };

    let dry = server.run(&[&migrate[..], &["--dry-run"]].concat());
    assert_eq!((code(&dry), stdout(&dry)), (1, list("would be made", "").as_str()));
    assert_eq!(tables(), "namespace,name,partitions,messages\n");
    let done = server.run(&migrate);
    assert_eq!((code(&done), stdout(&done)), (1, list("made", "").as_str()));
    assert!(stderr(&done).contains("1 of 5 items could not be migrated"), "{}", stderr(&done));
    let made =
        "namespace,name,partitions,messages\npublic,%RETRY%workers,1,any\npublic,orders,4,ordered\nshop,paid,2,any\n";
    assert_eq!(tables(), made);
    let attempts = "SELECT max_attempts FROM system.consumer_groups WHERE group_id = 'workers'";
    assert_eq!(server.ok(&["sql", "--format", "csv", "-c", attempts]), "max_attempts\n4\n");
    // Once more changes nothing.
    let again = server.run(&migrate);
    assert_eq!((code(&again), stdout(&again)), (1, list("is there", "").as_str()));
    assert_eq!(tables(), made);
}

#[test]
fn files_that_are_none_are_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(&dir, r#"{"offsetTable":{}}"#);
    let output = millstream().args(["migrate", "rocketmq", path.to_str().unwrap()]).output().unwrap();
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("neither a topicConfigTable nor a subscriptionGroupTable"), "{}", stderr(&output));
    let output = millstream().args(["migrate", "rocketmq"]).output().unwrap();
    assert_eq!(code(&output), 2);
}
