//! `mq-http-sdk`'s protocol with and without credentials. What real clients do is in `tests/e2e`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, TimeDelta};
use md5::{Digest as _, Md5};
use millstream_engine::{Right, UserChanges};

use crate::tenants::{Tenants, group, secret, signature, table};

const MESSAGE: &str = "<Message xmlns=\"http://mq.aliyuncs.com/doc/v1/\"><MessageBody>hello</MessageBody></Message>";

/// A request as it is sent, and who signs it.
#[derive(Debug, Clone)]
struct Sent {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Sent {
    fn new(tenants: &Tenants, method: &'static str, path: &str, body: &str) -> Sent {
        Sent::at(tenants, TimeDelta::zero(), method, path, body)
    }

    fn at(tenants: &Tenants, ahead: TimeDelta, method: &'static str, path: &str, body: &str) -> Sent {
        let now = DateTime::from_timestamp_micros(tenants.engine().now_us()).unwrap();
        let date = (now + ahead).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut headers = vec![("date", date), ("x-mq-version", "2015-06-06".to_owned())];
        if !body.is_empty() {
            headers.push(("content-type", "text/xml;charset=UTF-8".to_owned()));
        }
        Sent { method, path: path.to_owned(), headers, body: body.to_owned() }
    }

    fn with(mut self, name: &'static str, value: &str) -> Sent {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn signed(self, key: &str, secret: &str) -> Sent {
        let of =
            |name: &str| self.headers.iter().find(|(other, _)| *other == name).map_or("", |(_, value)| value.as_str());
        let signed = format!(
            "{}\n{}\n{}\n{}\nx-mq-version:{}\n{}",
            self.method,
            of("content-md5"),
            of("content-type"),
            of("date"),
            of("x-mq-version"),
            self.path
        );
        let shown = format!("MQ {key}:{}", signature(secret, signed.as_bytes()));
        self.with("authorization", &shown)
    }

    fn by(self, user: &str) -> Sent {
        self.signed(&format!("{user}-key"), &secret(user))
    }

    /// The answer's status, and its code if it is an error.
    fn ask(&self, tenants: &Tenants) -> (u16, String) {
        let address = tenants.address("http");
        let Sent { method, path, headers, body } = self;
        let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
        headers.iter().for_each(|(name, value)| request.push_str(&format!("{name}: {value}\r\n")));
        request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let code = answer.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        (status, code.map_or_else(String::new, |(code, _)| code.to_owned()))
    }
}

fn denied(code: &str) -> (u16, String) {
    (403, code.to_owned())
}

#[test]
fn requests_are_signed_while_there_are_users() {
    let tenants = Tenants::start();
    let token = tenants.engine().create_token(tenants.admin(), "ann", "phone", None).unwrap();
    let path = "/topics/t/messages?ns=ann";
    let publish = || Sent::new(&tenants, "POST", path, MESSAGE);
    for method in ["GET", "POST", "DELETE"] {
        let sent = Sent::new(&tenants, method, "/topics/t/messages?ns=ann&consumer=g&numOfMessages=1", "");
        assert_eq!(sent.ask(&tenants), denied("AccessDenied"), "{method}");
    }
    let right = publish().by("ann");
    assert_eq!(right.ask(&tenants).0, 201);
    let wrong = denied("SignatureDoesNotMatch");
    assert_eq!(publish().signed("ann-key", "bob-secret").ask(&tenants), wrong);
    assert_eq!(publish().signed("nobody", "bob-secret").ask(&tenants), wrong);
    assert_eq!(
        Sent { path: "/topics/u/messages?ns=ann".to_owned(), ..right.clone() }.ask(&tenants),
        wrong,
        "another path"
    );
    assert_eq!(right.clone().with("x-mq-more", "1").ask(&tenants), wrong, "another header");
    for authorization in ["MQ ann-key:?", "MQ ann-key", "Basic x", ""] {
        let (status, code) = publish().with("authorization", authorization).ask(&tenants);
        assert!(status == 403 && !code.is_empty(), "{authorization}");
    }
    // A time that is not now.
    for minutes in [-16, 16] {
        let late = Sent::at(&tenants, TimeDelta::try_minutes(minutes).unwrap(), "POST", path, MESSAGE).by("ann");
        assert_eq!(late.ask(&tenants), denied("AccessDenied"), "{minutes}");
    }
    // The body, where its digest is signed: its digits in base 64, as Node's client has it.
    let digits: String = Md5::digest(MESSAGE).iter().map(|byte| format!("{byte:02x}")).collect();
    let digest = publish().with("content-md5", &BASE64_STANDARD.encode(digits)).by("ann");
    assert_eq!(digest.ask(&tenants).0, 201);
    let changed = Sent { body: MESSAGE.replace("hello", "jello"), ..digest };
    assert_eq!(changed.ask(&tenants), (400, "InvalidDigest".to_owned()));
    // A token, as the key and beside one.
    assert_eq!(publish().signed(&token, "ann").ask(&tenants).0, 201);
    assert_eq!(publish().with("security-token", &token).signed("key", "secret").ask(&tenants).0, 201);
    tenants.engine().drop_token(tenants.admin(), "ann", "phone").unwrap();
    assert_eq!(publish().signed(&token, "ann").ask(&tenants), denied("AccessDenied"));
    let changes = UserChanges { disabled: Some(true), ..UserChanges::default() };
    tenants.engine().alter_user(tenants.admin(), "ann", changes).unwrap();
    assert_eq!(publish().by("ann").ask(&tenants).0, 403);
}

#[test]
fn each_needs_his_rights_and_sees_nothing_of_others() {
    let tenants = Tenants::start();
    tenants.topic("ann", "t");
    tenants.user("carl", &[(table("ann", "t"), &[Right::Consume]), (group("ann", "g"), &[Right::Consume])]);
    let publish = |topic: &str| Sent::new(&tenants, "POST", &format!("/topics/{topic}/messages?ns=ann"), MESSAGE);
    let consume = |topic: &str, group: &str| {
        Sent::new(&tenants, "GET", &format!("/topics/{topic}/messages?ns=ann&consumer={group}&numOfMessages=1"), "")
    };
    assert_eq!(publish("t").by("ann").ask(&tenants).0, 201);
    assert_eq!(publish("t").by("carl").ask(&tenants), denied("AccessDenied"));
    assert_eq!(consume("t", "h").by("carl").ask(&tenants), denied("AccessDenied"));
    assert_eq!(consume("t", "g").by("carl").ask(&tenants).0, 200);
    // What there is in another's namespace is as what there is not.
    for topic in ["t", "none"] {
        assert_eq!(consume(topic, "g").by("bob").ask(&tenants), (404, "TopicNotExist".to_owned()), "{topic}");
        assert_eq!(publish(topic).by("bob").ask(&tenants), denied("AccessDenied"), "{topic}");
    }
}
