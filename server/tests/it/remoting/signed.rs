//! Requests with and without credentials, of users who may do this and that.

use std::io::Write as _;
use std::time::{Duration, Instant};

use millstream_engine::{Right, UserChanges};
use serde_json::{Value, json};

use super::{Message, Remoting, framed, message, pull};
use crate::tenants::{Tenants, group, secret, signature, table};

/// Where all codes stand that the door has a name for.
const CODES: &str = include_str!("../../../src/rocketmq/wire/codes.rs");
const REFUSED: i64 = 16;

/// All named codes, and one that has no name.
fn codes() -> Vec<i32> {
    let lines = CODES.lines().filter_map(|line| line.trim().strip_prefix('(')?.split_once(", \""));
    let mut codes: Vec<i32> = lines.map(|(code, _)| code.replace('_', "").parse().unwrap()).collect();
    assert!(codes.len() > 60 && codes.contains(&34) && codes.contains(&200_151), "{codes:?}");
    codes.push(99_999);
    codes
}

/// The fields with a user's key and signature.
pub(crate) fn signed(user: &str, fields: &Value, body: &[u8]) -> Value {
    signed_by(&format!("{user}-key"), &secret(user), fields, body)
}

fn signed_by(key: &str, secret: &str, fields: &Value, body: &[u8]) -> Value {
    let mut all = fields.as_object().unwrap().clone();
    all.insert("AccessKey".to_owned(), json!(key));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    // A map of serde_json is in the order of its names.
    let mut content: Vec<u8> = all.values().map(text).collect::<String>().into_bytes();
    content.extend_from_slice(body);
    all.insert("Signature".to_owned(), json!(signature(secret, &content)));
    Value::Object(all)
}

struct Signing {
    user: &'static str,
    client: Remoting,
}

impl Signing {
    fn of(tenants: &Tenants, user: &'static str) -> Signing {
        Signing { user, client: Remoting::connect(tenants.address("remoting")) }
    }

    fn ask(&mut self, code: i32, fields: &Value, body: &[u8]) -> (i64, Value, Vec<u8>) {
        self.client.ask(code, &signed(self.user, fields, body), body)
    }

    fn code(&mut self, code: i32, fields: &Value, body: &[u8]) -> i64 {
        self.ask(code, fields, body).0
    }

    fn send(&mut self, code: i32, fields: &Value) {
        self.client.send(code, &signed(self.user, fields, b""), b"");
    }

    fn heartbeat(&mut self, client: &str, group: &str, topic: &str) -> i64 {
        let consumer = json!({"groupName": group, "messageModel": "CLUSTERING", "subscriptionDataSet": [
            {"topic": topic, "subString": "*", "expressionType": "TAG", "subVersion": 5}]});
        let body = json!({"clientID": client, "consumerDataSet": [consumer], "producerDataSet": [{"groupName": "CLIENT_INNER_PRODUCER"}]});
        self.code(34, &json!({}), body.to_string().as_bytes())
    }

    fn members(&mut self, group: &str) -> (i64, String) {
        let (code, _, body) = self.ask(38, &json!({"consumerGroup": group}), b"");
        (code, String::from_utf8(body).unwrap())
    }

    /// What comes next that is no answer, if that is soon.
    fn notice(&mut self) -> Message {
        self.client.receive()
    }
}

fn remark(header: &Value) -> &str {
    header["remark"].as_str().unwrap_or_default()
}

/// A pull of the first queue, with its subscription in it.
fn pull_of(group: &str, topic: &str, offset: u64, flag: i32) -> Value {
    let mut fields = pull(0, offset, flag | 4);
    let all = fields.as_object_mut().unwrap();
    all.insert("consumerGroup".to_owned(), json!(group));
    all.insert("topic".to_owned(), json!(topic));
    all.insert("subscription".to_owned(), json!("*"));
    fields
}

#[test]
fn every_request_needs_credentials_while_there_are_users() {
    let tenants = Tenants::start();
    let mut nobody = Remoting::connect(tenants.address("remoting"));
    for code in codes() {
        let (answered, header, _) = nobody.ask(code, &json!({"topic": "t"}), b"x");
        assert!(answered == REFUSED && remark(&header).contains("AccessKey"), "{code}: {header}");
        let (answered, header, _) = nobody.ask(code, &json!({"topic": "t", "AccessKey": "ann-key"}), b"x");
        assert!(answered == REFUSED && remark(&header).contains("no field Signature"), "{code}: {header}");
        // As the clients in C++ sign that were given no key.
        let (answered, ..) = nobody.ask(code, &json!({"AccessKey": "", "Signature": "", "OnsChannel": ""}), b"x");
        assert_eq!(answered, REFUSED, "{code}");
        // Those that want no answer are given none.
        let header = json!({"code": code, "extFields": {}, "flag": 2, "opaque": 7, "version": 409});
        nobody.0.write_all(&framed(0, header.to_string().as_bytes(), b"")).unwrap();
    }
    assert_eq!(nobody.ask(105, &signed("ann", &json!({"topic": "TBW102"}), b""), b"").0, 0, "on the same connection");
}

#[test]
fn without_users_what_is_shown_does_not_count() {
    let server = crate::program::Server::start();
    let mut client = Remoting::connect(server.remoting);
    for shown in [
        json!({"topic": "TBW102"}),
        json!({"topic": "TBW102", "AccessKey": "", "Signature": ""}),
        json!({"topic": "TBW102", "AccessKey": "any", "Signature": "no base 64", "SecurityToken": "mst_x"}),
    ] {
        assert_eq!(client.ask(105, &shown, b"").0, 0, "{shown}");
    }
}

#[test]
fn signatures_are_of_one_request_by_one_key() {
    let tenants = Tenants::start();
    let mut client = Remoting::connect(tenants.address("remoting"));
    let send = message("ann%t", -1, "TAGS\u{1}a\u{2}");
    let right = signed("ann", &send, b"body");
    assert_eq!(client.ask(310, &right, b"body").0, 0);
    // What a connection was let do once counts for nothing: not with another body, another field, another key.
    let (code, header, _) = client.ask(310, &right, b"Body");
    assert!(code == REFUSED && remark(&header).contains("wrong"), "{header}");
    let mut moved = right.clone();
    moved["b"] = json!("ann%u");
    assert_eq!(client.ask(310, &moved, b"body").0, REFUSED);
    let mut added = right.clone();
    added["z"] = json!("more");
    assert_eq!(client.ask(310, &added, b"body").0, REFUSED);
    let mut other = Remoting::connect(tenants.address("remoting"));
    assert_eq!(other.ask(310, &signed_by("bob-key", "ann-secret", &send, b""), b"").0, REFUSED);
    assert_eq!(other.ask(310, &signed_by("nobody", "ann-secret", &send, b""), b"").0, REFUSED);
    // Only what Java's older clients add behind the signature may be new.
    let query = signed("ann", &json!({"topic": "ann%t", "key": "none", "maxNum": 1}), b"");
    let mut late = query.clone();
    late["_UNIQUE_KEY_QUERY"] = json!("true");
    let header = json!({"code": 12, "extFields": late, "flag": 0, "opaque": 12, "version": 399});
    other.0.write_all(&framed(0, header.to_string().as_bytes(), b"")).unwrap();
    assert_eq!(other.receive().0["code"], 22, "none is found");
    assert_eq!(other.ask(12, &late, b"").0, REFUSED, "newer ones sign it");
}

#[test]
fn tokens_stand_for_keys_and_beside_them() {
    let tenants = Tenants::start();
    let token = tenants.engine().create_token(tenants.admin(), "ann", "phone", None).unwrap();
    let mut client = Remoting::connect(tenants.address("remoting"));
    let send = message("ann%t", -1, "");
    // As TDMQ has it: the role's token for a key, the role's name for a secret.
    assert_eq!(client.ask(310, &signed_by(&token, "ann", &send, b"x"), b"x").0, 0);
    let mut session = signed_by("key", "secret", &send, b"x");
    session["SecurityToken"] = json!(token);
    assert_eq!(client.ask(310, &session, b"x").0, 0);
    let wrong = format!("{}x", &token[..token.len() - 1]);
    assert_eq!(client.ask(310, &signed_by(&wrong, "ann", &send, b"x"), b"x").0, REFUSED);
    tenants.engine().drop_token(tenants.admin(), "ann", "phone").unwrap();
    assert_eq!(client.ask(310, &signed_by(&token, "ann", &send, b"x"), b"x").0, REFUSED);
    let soon = tenants.engine().now_us() + 700_000;
    let short = tenants.engine().create_token(tenants.admin(), "ann", "short", Some(soon)).unwrap();
    assert_eq!(client.ask(310, &signed_by(&short, "ann", &send, b"x"), b"x").0, 0);
    std::thread::sleep(Duration::from_millis(800));
    assert_eq!(client.ask(310, &signed_by(&short, "ann", &send, b"x"), b"x").0, REFUSED, "expired");
}

/// What ends a login, or a right.
type Ending = (&'static str, fn(&Tenants));

#[test]
fn whose_login_ends_is_refused_within_a_second_and_leaves_his_groups() {
    let consumer = |tenants: &Tenants| {
        tenants.revoke("carl", &group("ann", "g"), &[Right::Consume]);
    };
    let endings: [Ending; 5] = [
        ("dropped", |tenants| tenants.engine().drop_user(tenants.admin(), "carl").unwrap()),
        ("disabled", |tenants| {
            let changes = UserChanges { disabled: Some(true), ..UserChanges::default() };
            tenants.engine().alter_user(tenants.admin(), "carl", changes).unwrap();
        }),
        ("key dropped", |tenants| tenants.engine().drop_access_key(tenants.admin(), "carl-key").unwrap()),
        ("group revoked", consumer),
        ("topic revoked", |tenants| tenants.revoke("carl", &table("ann", "t"), &[Right::Consume])),
    ];
    for (name, end) in endings {
        let tenants = Tenants::start();
        tenants.topic("ann", "t");
        tenants.user("carl", &[(group("ann", "g"), &[Right::Consume]), (table("ann", "t"), &[Right::Consume])]);
        let (mut ann, mut carl) = (Signing::of(&tenants, "ann"), Signing::of(&tenants, "carl"));
        assert_eq!((ann.heartbeat("a", "ann%g", "ann%t"), carl.heartbeat("c", "ann%g", "ann%t")), (0, 0), "{name}");
        assert_eq!(ann.members("ann%g"), (0, r#"{"consumerIdList":["a","c"]}"#.to_owned()), "{name}");
        let mut waiting = Signing::of(&tenants, "carl");
        waiting.send(11, &pull_of("ann%g", "ann%t", 0, 2));
        std::thread::sleep(Duration::from_millis(300));
        let ended = Instant::now();
        end(&tenants);
        let (header, _) = waiting.notice();
        assert!(header["code"] == REFUSED && ended.elapsed() < Duration::from_secs(1), "{name}: {header}");
        assert_eq!(carl.code(11, &pull_of("ann%g", "ann%t", 0, 2), b""), REFUSED, "{name}");
        if name == "topic revoked" {
            continue;
        }
        assert_eq!(carl.heartbeat("c", "ann%g", "ann%t"), REFUSED, "{name}");
        assert_eq!(ann.members("ann%g"), (0, r#"{"consumerIdList":["a"]}"#.to_owned()), "{name}");
    }
}

#[test]
fn a_member_whose_time_is_over_leaves_with_his_next_request() {
    let tenants = Tenants::start();
    tenants.topic("ann", "t");
    let soon = tenants.engine().now_us() + 1_500_000;
    let token = tenants.engine().create_token(tenants.admin(), "ann", "short", Some(soon)).unwrap();
    let mut ann = Signing::of(&tenants, "ann");
    assert_eq!(ann.heartbeat("a", "ann%g", "ann%t"), 0);
    let mut short = Remoting::connect(tenants.address("remoting"));
    let body = json!({"clientID": "s", "consumerDataSet": [{"groupName": "ann%g", "subscriptionDataSet": []}]}).to_string();
    let heartbeat = json!({"AccessKey": token});
    assert_eq!(short.ask(34, &heartbeat, body.as_bytes()).0, 0);
    assert_eq!(ann.members("ann%g").1, r#"{"consumerIdList":["a","s"]}"#);
    std::thread::sleep(Duration::from_millis(1_600));
    assert_eq!(short.ask(34, &heartbeat, body.as_bytes()).0, REFUSED);
    assert_eq!(ann.members("ann%g").1, r#"{"consumerIdList":["a"]}"#);
}

#[test]
fn nothing_crosses_from_one_tenant_to_another() {
    let tenants = Tenants::start();
    let (mut ann, mut bob) = (Signing::of(&tenants, "ann"), Signing::of(&tenants, "bob"));
    let (code, header, _) = ann.ask(310, &message("ann%t", 0, "UNIQ_KEY\u{1}id\u{2}KEYS\u{1}k\u{2}"), b"of ann");
    assert_eq!(code, 0, "made on first use: {header}");
    let physical = header["extFields"]["msgId"].as_str().unwrap()[16..].to_owned();
    let physical = u64::from_str_radix(&physical, 16).unwrap();
    assert_eq!(ann.heartbeat("a", "ann%g", "ann%t"), 0);
    let commit = |namespace: &str| {
        json!({"consumerGroup": format!("{namespace}%g"), "topic": format!("{namespace}%t"), "queueId": 0, "commitOffset": 1})
    };
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
            (code, remark(&header).replace(topic, "X").replace("t\"", "none\""), body)
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
    same(&mut bob, 200_050, &|topic| {
        json!({"consumerGroup": "ann%g", "topic": topic, "queueId": -1, "maxMsgNums": 1, "invisibleTime": 60_000})
    }, b"");
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
    for (code, names) in [(206, "topicList"), (21, "topicConfigTable"), (201, "subscriptionGroupTable"), (328, "data")] {
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
    assert_eq!(carl.code(215, &json!({"topic": "ann%t"}), b""), REFUSED);
    assert_eq!(carl.code(17, &json!({"topic": "ann%u", "readQueueNums": 1, "writeQueueNums": 1, "perm": 6}), b""), REFUSED);
}

#[test]
fn only_producers_who_may_send_to_a_topic_are_asked_about_its_messages() {
    let tenants = Tenants::start();
    tenants.topic("ann", "t");
    tenants.user("paul", &[(table("ann", "t"), &[Right::Produce])]);
    tenants.user("olga", &[(table("ann", "other"), &[Right::Produce])]);
    let producers = |client: &str| {
        json!({"clientID": client, "producerDataSet": [{"groupName": "ann%p"}]}).to_string()
    };
    // Both say that they are producers of the group, and the other one comes first by name.
    let (mut olga, mut paul) = (Signing::of(&tenants, "olga"), Signing::of(&tenants, "paul"));
    assert_eq!(olga.code(34, &json!({}), producers("a").as_bytes()), 0);
    assert_eq!(paul.code(34, &json!({}), producers("b").as_bytes()), 0);
    let mut half = message("ann%t", 0, "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}ann%p\u{2}CHECK_IMMUNITY_TIME_IN_SECONDS\u{1}1\u{2}");
    half["a"] = json!("ann%p");
    half["f"] = json!(4);
    assert_eq!(paul.code(310, &half, b"half"), 0);
    let (header, body) = paul.notice();
    assert!(header["code"] == 39 && String::from_utf8_lossy(&body).contains("half"), "{header}");
    let offset = header["extFields"]["commitLogOffset"].clone();
    let end = json!({"producerGroup": "ann%p", "commitLogOffset": offset, "commitOrRollback": 8});
    let (code, header, _) = olga.ask(37, &end, b"");
    let (unknown, other, _) = olga.ask(37, &json!({"producerGroup": "ann%p", "commitLogOffset": 999_999, "commitOrRollback": 8}), b"");
    let plain = |header: &Value| remark(header).chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>();
    assert_eq!((code, plain(&header)), (unknown, plain(&other)), "as if there were none");
    assert_eq!(paul.code(37, &end, b""), 0);
}
