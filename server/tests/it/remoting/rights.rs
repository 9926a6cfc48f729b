//! What users of one server may do to each other's topics and groups, and what they need for their own.

use millstream_engine::Right;
use serde_json::{Value, json};

use super::message;
use super::signed::{REFUSED, Signing, pull_of, remark};
use crate::tenants::{Tenants, group, table};

#[test]
fn nothing_crosses_from_one_tenant_to_another() {
    let tenants = Tenants::start();
    let (mut ann, mut bob) = (Signing::of(&tenants, "ann"), Signing::of(&tenants, "bob"));
    let (code, header, _) = ann.ask(310, &message("ann%t", 0, "UNIQ_KEY\u{1}id\u{2}KEYS\u{1}k\u{2}"), b"of ann");
    assert_eq!(code, 0, "made on first use: {header}");
    let physical = header["extFields"]["msgId"].as_str().unwrap()[16..].to_owned();
    let physical = u64::from_str_radix(&physical, 16).unwrap();
    assert_eq!(ann.heartbeat("a", "ann%g", "ann%t"), 0);
    let commit = |namespace: &str| json!({"consumerGroup": format!("{namespace}%g"), "topic": format!("{namespace}%t"), "queueId": 0, "commitOffset": 1});
    assert_eq!(ann.code(15, &commit("ann"), b""), 0);
    let locks = |namespace: &str, client: &str| {
        let queue = json!({"brokerName": "millstream", "queueId": 0, "topic": format!("{namespace}%t")});
        json!({"clientId": client, "consumerGroup": format!("{namespace}%g"), "mqSet": [queue]}).to_string()
    };
    assert!(String::from_utf8_lossy(&ann.ask(41, &json!({}), locks("ann", "a").as_bytes()).2).contains("ann%t"));

    // Bob has a topic and a group of the same names, and finds them empty.
    assert_eq!(bob.code(310, &message("bob%t", 0, ""), b"of bob"), 0);
    assert_eq!(bob.heartbeat("b", "bob%g", "bob%t"), 0);
    assert_eq!(bob.members("bob%g").1, r#"{"consumerIdList":["b"]}"#);
    let (_, header, _) = bob.ask(14, &json!({"consumerGroup": "bob%g", "topic": "bob%t", "queueId": 0}), b"");
    assert_eq!(header["extFields"]["offset"], "0");
    let (code, _, body) = bob.ask(11, &pull_of("bob%g", "bob%t", 0, 0), b"");
    let body = String::from_utf8_lossy(&body).into_owned();
    assert!(code == 0 && body.contains("of bob") && !body.contains("of ann"), "{body}");
    assert!(String::from_utf8_lossy(&bob.ask(41, &json!({}), locks("bob", "b").as_bytes()).2).contains("bob%t"));

    // What is Ann's is as if it were not there: the same answer as of what is not.
    let topics = ["ann%t", "ann%none", "none%none"];
    let same = |bob: &mut Signing, code: i32, fields: &dyn Fn(&str) -> Value, body: &[u8]| {
        let answers = topics.map(|topic| {
            let (code, header, body) = bob.ask(code, &fields(topic), body);
            let name = topic.rsplit('%').next().unwrap();
            let plain = remark(&header).replace(topic, "X").replace(&format!(".{name}"), ".X");
            (code, plain.replace(&format!("{name:?}"), "X"), body)
        });
        assert!(answers[0].0 != 0, "{code}: {answers:?}");
        assert_eq!(answers[0].0, answers[1].0, "{code}: {answers:?}");
        assert_eq!((&answers[0].1, &answers[0].2), (&answers[1].1, &answers[1].2), "{code}");
    };
    same(&mut bob, 105, &|topic| json!({"topic": topic}), b"");
    same(&mut bob, 30, &|topic| json!({"topic": topic, "queueId": 0}), b"");
    same(&mut bob, 29, &|topic| json!({"topic": topic, "queueId": 0, "timestamp": 0}), b"");
    same(&mut bob, 202, &|topic| json!({"topic": topic}), b"");
    same(&mut bob, 351, &|topic| json!({"topic": topic}), b"");
    same(&mut bob, 12, &|topic| json!({"topic": topic, "key": "k", "maxNum": 8}), b"");
    same(&mut bob, 11, &|topic| pull_of("bob%g", topic, 0, 0), b"");
    same(&mut bob, 310, &|topic| message(topic, 0, ""), b"x");
    same(
        &mut bob,
        200_050,
        &|topic| json!({"consumerGroup": "ann%g", "topic": topic, "queueId": -1, "maxMsgNums": 1, "invisibleTime": 60_000}),
        b"",
    );
    let view = |physical: u64| json!({"offset": physical});
    let (code, header, _) = bob.ask(33, &view(physical), b"");
    let (other, unknown, _) = bob.ask(33, &view(physical + 1_000_000), b"");
    let plain = |header: &Value| remark(header).chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>();
    assert_eq!((code, plain(&header)), (other, plain(&unknown)));
    assert_eq!(ann.code(33, &view(physical), b""), 0);
    assert_eq!(bob.code(36, &json!({"offset": physical, "group": "bob%g", "originTopic": "ann%t"}), b""), code);

    // His group is not hers, whatever he calls it.
    for (code, fields) in [
        (38, json!({"consumerGroup": "ann%g"})),
        (14, json!({"consumerGroup": "ann%g", "topic": "bob%t", "queueId": 0})),
        (203, json!({"consumerGroup": "ann%g"})),
        (207, json!({"groupName": "ann%g"})),
        (307, json!({"consumerGroup": "ann%g", "clientId": "a"})),
        (35, json!({"clientID": "a", "consumerGroup": "ann%g"})),
        (36, json!({"offset": physical, "group": "ann%g"})),
    ] {
        assert_eq!(bob.code(code, &fields, b""), REFUSED, "{code}");
    }
    assert_eq!(bob.code(41, &json!({}), locks("ann", "b").as_bytes()), REFUSED);
    assert_eq!(bob.heartbeat("b", "ann%g", "ann%t"), REFUSED);
    assert_eq!(ann.members("ann%g").1, r#"{"consumerIdList":["a"]}"#);
    for (code, names) in [(206, "topicList"), (21, "topicConfigTable"), (201, "subscriptionGroupTable"), (328, "data")]
    {
        let (answered, _, body) = bob.ask(code, &json!({}), b"");
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(answered == 0 && body.contains(names) && !body.contains("ann"), "{code}: {body}");
    }
    for code in [26, 28, 319] {
        assert_eq!(bob.code(code, &json!({}), b""), REFUSED, "{code} is for who operates the server");
    }
}

#[test]
fn producers_and_consumers_need_their_rights_and_no_others() {
    let tenants = Tenants::start();
    tenants.topic("ann", "t");
    tenants.user("paul", &[(table("ann", "t"), &[Right::Produce])]);
    tenants.user("carl", &[(table("ann", "t"), &[Right::Consume]), (group("ann", "g"), &[Right::Consume])]);
    let (mut paul, mut carl) = (Signing::of(&tenants, "paul"), Signing::of(&tenants, "carl"));
    assert_eq!(paul.code(105, &json!({"topic": "ann%t"}), b""), 0);
    let (code, header, _) = paul.ask(310, &message("ann%t", 0, "TAGS\u{1}a\u{2}"), b"one");
    assert_eq!(code, 0, "{header}");
    let physical = u64::from_str_radix(&header["extFields"]["msgId"].as_str().unwrap()[16..], 16).unwrap();
    assert_eq!(paul.code(11, &pull_of("ann%g", "ann%t", 0, 0), b""), REFUSED);
    assert_eq!(paul.heartbeat("p", "ann%g", "ann%t"), REFUSED);
    let (code, header, _) = paul.ask(310, &message("ann%new", 0, ""), b"one");
    assert!(code == REFUSED && remark(&header).contains("DEFINE"), "{header}");

    // A consumer's own topics are made for him, and he gives messages back.
    assert_eq!(carl.heartbeat("c", "ann%g", "ann%t"), 0);
    assert_eq!(carl.code(105, &json!({"topic": "%RETRY%ann%g"}), b""), 0);
    assert_eq!(carl.code(11, &pull_of("ann%g", "ann%t", 0, 0), b""), 0);
    assert_eq!(carl.code(33, &json!({"offset": physical}), b""), 0);
    let back = |level: i32| json!({"offset": physical, "group": "ann%g", "delayLevel": level, "originTopic": "ann%t"});
    assert_eq!((carl.code(36, &back(1), b""), carl.code(36, &back(-1), b"")), (0, 0));
    assert_eq!(carl.code(11, &pull_of("ann%g", "%DLQ%ann%g", 0, 0), b""), 0);
    assert_eq!(carl.code(310, &message("ann%t", 0, ""), b"one"), REFUSED);
    let (code, header, _) = carl.ask(11, &pull_of("ann%h", "ann%t", 0, 0), b"");
    assert!(code == REFUSED && remark(&header).contains("GROUP ann.h"), "{header}");
    assert_eq!(carl.heartbeat("c", "ann%h", "ann%t"), REFUSED);
    assert_eq!(carl.code(222, &json!({"topic": "ann%t", "group": "ann%g", "timestamp": -1, "isForce": true}), b""), 0);
    assert_eq!(paul.code(215, &json!({"topic": "ann%t"}), b""), REFUSED);
    assert_eq!(
        carl.code(17, &json!({"topic": "ann%u", "readQueueNums": 1, "writeQueueNums": 1, "perm": 6}), b""),
        REFUSED
    );
}

#[test]
fn only_producers_who_may_send_to_a_topic_are_asked_about_its_messages() {
    let tenants = Tenants::start();
    tenants.topic("ann", "t");
    tenants.user("paul", &[(table("ann", "t"), &[Right::Produce])]);
    tenants.user("olga", &[(table("ann", "other"), &[Right::Produce])]);
    let producers = |client: &str| json!({"clientID": client, "producerDataSet": [{"groupName": "ann%p"}]}).to_string();
    // Both say that they are producers of the group, and the other one comes first by name.
    let (mut olga, mut paul) = (Signing::of(&tenants, "olga"), Signing::of(&tenants, "paul"));
    assert_eq!(olga.code(34, &json!({}), producers("a").as_bytes()), 0);
    assert_eq!(paul.code(34, &json!({}), producers("b").as_bytes()), 0);
    let mut half =
        message("ann%t", 0, "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}ann%p\u{2}CHECK_IMMUNITY_TIME_IN_SECONDS\u{1}1\u{2}");
    half["a"] = json!("ann%p");
    half["f"] = json!(4);
    assert_eq!(paul.code(310, &half, b"half"), 0);
    let (header, body) = paul.notice();
    assert!(header["code"] == 39 && String::from_utf8_lossy(&body).contains("half"), "{header}");
    let offset = header["extFields"]["commitLogOffset"].clone();
    let end = json!({"producerGroup": "ann%p", "commitLogOffset": offset, "commitOrRollback": 8});
    let (code, header, _) = olga.ask(37, &end, b"");
    let (unknown, other, _) =
        olga.ask(37, &json!({"producerGroup": "ann%p", "commitLogOffset": 999_999, "commitOrRollback": 8}), b"");
    let plain = |header: &Value| remark(header).chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>();
    assert_eq!((code, plain(&header)), (unknown, plain(&other)), "as if there were none");
    assert_eq!(paul.code(37, &end, b""), 0);
}
