//! Requests with and without credentials, of users who may do this and that.

use std::io::Write as _;
use std::time::{Duration, Instant};

use millstream_engine::{Right, UserChanges};
use serde_json::{Value, json};

use super::{Message, Remoting, framed, message, pull};
use crate::tenants::{Tenants, group, secret, signature, table};

/// Where all codes stand that the door has a name for.
const CODES: &str = include_str!("../../../src/rocketmq/wire/codes.rs");
pub(crate) const REFUSED: i64 = 16;
const NO_TOPIC: i64 = 17;
const ROUTE: i32 = 105;

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
    let mut fields: Vec<(&String, &Value)> = all.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    let mut content: Vec<u8> = fields.into_iter().map(|(_, value)| text(value)).collect::<String>().into_bytes();
    content.extend_from_slice(body);
    all.insert("Signature".to_owned(), json!(signature(secret, &content)));
    Value::Object(all)
}

pub(super) struct Signing {
    user: &'static str,
    client: Remoting,
}

impl Signing {
    pub(super) fn of(tenants: &Tenants, user: &'static str) -> Signing {
        Signing { user, client: Remoting::connect(tenants.address("remoting")) }
    }

    pub(super) fn ask(&mut self, code: i32, fields: &Value, body: &[u8]) -> (i64, Value, Vec<u8>) {
        self.client.ask(code, &signed(self.user, fields, body), body)
    }

    pub(super) fn code(&mut self, code: i32, fields: &Value, body: &[u8]) -> i64 {
        self.ask(code, fields, body).0
    }

    fn send(&mut self, code: i32, fields: &Value) {
        self.client.send(code, &signed(self.user, fields, b""), b"");
    }

    pub(super) fn heartbeat(&mut self, client: &str, group: &str, topic: &str) -> i64 {
        let consumer = json!({"groupName": group, "messageModel": "CLUSTERING", "subscriptionDataSet": [
            {"topic": topic, "subString": "*", "expressionType": "TAG", "subVersion": 5}]});
        let body = json!({"clientID": client, "consumerDataSet": [consumer], "producerDataSet": [{"groupName": "CLIENT_INNER_PRODUCER"}]});
        self.code(34, &json!({}), body.to_string().as_bytes())
    }

    pub(super) fn members(&mut self, group: &str) -> (i64, String) {
        let (code, _, body) = self.ask(38, &json!({"consumerGroup": group}), b"");
        (code, String::from_utf8(body).unwrap())
    }

    /// What comes next that is no answer, if that is soon.
    pub(super) fn notice(&mut self) -> Message {
        self.client.receive()
    }
}

pub(super) fn remark(header: &Value) -> &str {
    header["remark"].as_str().unwrap_or_default()
}

/// A pull of the first queue, with its subscription in it.
pub(super) fn pull_of(group: &str, topic: &str, offset: u64, flag: i32) -> Value {
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
    for code in codes().into_iter().filter(|code| *code != ROUTE) {
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
    assert_eq!(nobody.ask(ROUTE, &signed("ann", &json!({"topic": "TBW102"}), b""), b"").0, 0, "on the same connection");
}

#[test]
fn one_route_is_given_to_who_is_not_let_in_whatever_there_is() {
    let tenants = Tenants::start();
    let mut client = Remoting::connect(tenants.address("remoting"));
    assert_eq!(
        client.ask(310, &signed("ann", &message("ann%t", -1, "TAGS\u{1}a\u{2}"), b"body"), b"body").0,
        0,
        "it makes it"
    );
    assert_eq!(client.ask(ROUTE, &signed("ann", &json!({"topic": "ann%t"}), b""), b"").0, 0);
    assert_eq!(
        client.ask(ROUTE, &signed("bob", &json!({"topic": "ann%t"}), b""), b"").0,
        NO_TOPIC,
        "he is known, and told"
    );
    let strangers = ["ann%t", "ann%none", "TBW102"].map(|topic| {
        let fields = json!({"topic": topic});
        let (code, header, route) = client.ask(ROUTE, &fields, b"");
        let wrong = client.ask(ROUTE, &signed_by("ann-key", "another", &fields, b""), b"");
        assert_eq!((code, &route), (0, &wrong.2), "{header}");
        route
    });
    assert!(strangers.iter().all(|route| *route == strangers[0] && !route.is_empty()));
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

/// What ends a login, or a right, and what pulls are answered then.
type Ending = (&'static str, i64, fn(&Tenants));

#[test]
fn whose_login_ends_is_refused_within_a_second_and_leaves_his_groups() {
    let endings: [Ending; 5] = [
        ("dropped", REFUSED, |tenants| tenants.engine().drop_user(tenants.admin(), "carl").unwrap()),
        ("disabled", REFUSED, |tenants| {
            let changes = UserChanges { disabled: Some(true), ..UserChanges::default() };
            tenants.engine().alter_user(tenants.admin(), "carl", changes).unwrap();
        }),
        ("key dropped", REFUSED, |tenants| tenants.engine().drop_access_key(tenants.admin(), "carl-key").unwrap()),
        ("group revoked", REFUSED, |tenants| tenants.revoke("carl", &group("ann", "g"), &[Right::Consume])),
        ("topic revoked", NO_TOPIC, |tenants| tenants.revoke("carl", &table("ann", "t"), &[Right::Consume])),
    ];
    for (name, answered, end) in endings {
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
        assert!(header["code"] == answered && ended.elapsed() < Duration::from_secs(1), "{name}: {header}");
        assert_eq!(carl.code(11, &pull_of("ann%g", "ann%t", 0, 2), b""), answered, "{name}");
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
    let body =
        json!({"clientID": "s", "consumerDataSet": [{"groupName": "ann%g", "subscriptionDataSet": []}]}).to_string();
    let heartbeat = json!({"AccessKey": token});
    assert_eq!(short.ask(34, &heartbeat, body.as_bytes()).0, 0);
    assert_eq!(ann.members("ann%g").1, r#"{"consumerIdList":["a","s"]}"#);
    std::thread::sleep(Duration::from_millis(1_600));
    assert_eq!(short.ask(34, &heartbeat, body.as_bytes()).0, REFUSED);
    assert_eq!(ann.members("ann%g").1, r#"{"consumerIdList":["a"]}"#);
}
