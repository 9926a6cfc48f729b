//! `millstream migrate rocketmq`.

use std::path::PathBuf;

use serde_json::json;

use crate::program::{Server, code, millstream, stderr, stdout};
use crate::remoting::{Remoting, message};

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

/// What is the same wherever a message lies.
const MESSAGES: &str = "SELECT message_id, tag, keys, property(properties, 'own') AS own, TRY_CAST(body AS VARCHAR) AS body, message_group, \
                        born_ts, born_host, flags, attempts, _partition, _offset FROM t ORDER BY _partition, _offset";

#[test]
fn a_cluster_that_is_alive_is_copied_with_its_messages_and_offsets() {
    let (old, new) = (Server::start(), Server::start());
    old.ok(&["sql", "-c", "CREATE TABLE t OF MESSAGES WITH (kind = 'ordered', partitions = 3)"]);
    old.ok(&["sql", "-c", "CREATE TABLE empty OF MESSAGES WITH (kind = 'transactional', partitions = 2)"]);
    let mut client = Remoting::connect(old.remoting);
    for number in 0..70 {
        let properties = format!(
            "UNIQ_KEY\u{1}id{number}\u{2}TAGS\u{1}a\u{2}KEYS\u{1}k l\u{2}own\u{1}{number}\u{2}__SHARDINGKEY\u{1}g{number}\u{2}"
        );
        let queue = i32::from(number < 65);
        assert_eq!(client.ask(310, &message("t", queue, &properties), format!("body {number}").as_bytes()).0, 0);
    }
    client.heartbeat("c1");
    for (queue, offset) in [(0, 2), (1, 40)] {
        let fields = json!({"consumerGroup": "g", "topic": "t", "queueId": queue, "commitOffset": offset});
        assert_eq!(client.ask(15, &fields, b"").0, 0);
    }
    let from = old.remoting.to_string();
    let migrate = ["migrate", "rocketmq", "--from", &from, "--messages", "--offsets", "--format", "csv"];
    let of = |server: &Server, statement: &str| server.ok(&["sql", "--format", "csv", "-c", statement]);
    let offsets = |server: &Server| {
        of(
            server,
            "SELECT partition, committed_offset AS committed FROM system.offsets WHERE group_id = 'g' AND topic = 't' ORDER BY partition",
        )
    };

    let dry = new.ok(&[&migrate[..], &["--dry-run"]].concat());
    assert!(dry.contains("messages,t,would be made,70 messages\n"), "{dry}");
    assert!(dry.contains("offsets,g,would be made,2 queues of 1 topics\n"), "{dry}");
    assert_eq!(of(&new, "SELECT count(*) AS n FROM system.tables"), "n\n0\n");
    let done = new.ok(&migrate);
    let lines = [
        "topic,empty,made,\"messages of all kinds are taken here, since those that were committed there are copied\"",
        "topic,t,made,\"\"",
        "group,g,made,\"\"",
        "messages,empty,made,0 messages",
        "messages,t,made,70 messages",
        "offsets,g,made,2 queues of 1 topics",
    ];
    for line in lines {
        assert!(done.lines().any(|found| found == line), "{line}\nis not in\n{done}");
    }
    assert_eq!(of(&new, MESSAGES), of(&old, MESSAGES));
    assert_eq!(of(&new, MESSAGES).lines().count(), 71);
    assert_eq!(offsets(&new), "partition,committed\n0,2\n1,40\n");
    assert_eq!(offsets(&new), offsets(&old));

    // Messages are copied once; what groups have done since is not undone.
    let again = new.ok(&migrate);
    assert!(again.contains("messages,t,is there,its table has messages; none are copied\n"), "{again}");
    assert!(again.contains("offsets,g,skipped,"), "{again}");
    assert_eq!(of(&new, MESSAGES).lines().count(), 71);
}

#[test]
fn offsets_alone_have_groups_begin_with_what_is_sent_here() {
    let (old, new) = (Server::start(), Server::start());
    old.ok(&["sql", "-c", "CREATE TABLE t OF MESSAGES WITH (partitions = 1)"]);
    let mut client = Remoting::connect(old.remoting);
    assert_eq!(client.ask(310, &message("t", 0, ""), b"body").0, 0);
    client.heartbeat("c1");
    let fields = json!({"consumerGroup": "g", "topic": "t", "queueId": 0, "commitOffset": 1});
    assert_eq!(client.ask(15, &fields, b"").0, 0);
    new.ok(&["migrate", "rocketmq", "--from", &old.remoting.to_string(), "--offsets"]);
    let committed = "SELECT committed_offset AS committed FROM system.offsets WHERE group_id = 'g'";
    assert_eq!(new.ok(&["sql", "--format", "csv", "-c", committed]), "committed\n0\n");
}

#[test]
fn clusters_that_are_none_are_told() {
    let server = Server::start();
    let output = millstream().args(["migrate", "rocketmq", "--from", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("127.0.0.1:1 of the RocketMQ cluster can't be reached"), "{}", stderr(&output));
    // Another door of ours, which speaks otherwise.
    let output = millstream().args(["migrate", "rocketmq", "--from", &server.http.to_string()]).output().unwrap();
    assert!([1, 3].contains(&code(&output)), "{}", stderr(&output));
    for wrong in
        [&["file.json", "--from", "127.0.0.1:1"][..], &["file.json", "--messages"], &["file.json", "--offsets"]]
    {
        let output = millstream().args(["migrate", "rocketmq"]).args(wrong).output().unwrap();
        assert_eq!(code(&output), 2, "{}", stderr(&output));
    }
}
