//! Calls with and without credentials.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, TimeDelta};
use millstream_engine::Right;

use super::client::{self, Client};
use super::code;
use super::proto::*;
use crate::flight::wire::run;
use crate::tenants::{Tenants, group, hmac, secret, table};

/// The service as it is defined.
const SERVICE: &str = include_str!("../../../proto/rocketmq.v2.proto");

fn time(tenants: &Tenants, ahead: TimeDelta) -> String {
    let now = DateTime::from_timestamp_micros(tenants.engine().now_us()).unwrap();
    (now + ahead).format("%Y%m%dT%H%M%SZ").to_string()
}

fn authorization(key: &str, secret: &str, time: &str) -> String {
    let digits: String = hmac(secret, time.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("MQv2-HMAC-SHA1 Credential={key}, SignedHeaders=x-mq-date-time, Signature={digits}")
}

async fn signing(tenants: &Tenants, key: &str, secret: &str, ahead: TimeDelta, id: &str) -> Client {
    let time = time(tenants, ahead);
    let authorization = authorization(key, secret, &time);
    let shown = [("x-mq-date-time", time.as_str()), ("authorization", authorization.as_str())];
    Client::to(tenants.address("grpc"), id).await.showing(&shown)
}

/// A user's client, in his namespace.
async fn of(tenants: &Tenants, user: &'static str, id: &str) -> Client {
    let key = format!("{user}-key");
    signing(tenants, &key, &secret(user), TimeDelta::zero(), id).await.within(user)
}

#[test]
fn every_call_needs_credentials_while_there_are_users() {
    let tenants = Tenants::start();
    run(async {
        let mut nobody = Client::to(tenants.address("grpc"), "c").await;
        let wait = Duration::ZERO;
        let outcomes = [
            ("QueryRoute", nobody.route("t", None).await.status),
            ("QueryAssignment", nobody.assignment("t").await.status),
            ("Heartbeat", nobody.heartbeat().await.status),
            ("NotifyClientTermination", nobody.leave().await.status),
            ("SendMessage", nobody.send(vec![client::of("t", "1", b"x")]).await.status),
            ("EndTransaction", nobody.end("t", "1", "1", TransactionResolution::Commit).await.status),
            ("RecallMessage", nobody.recall("t", "x").await.status),
            ("ReceiveMessage", nobody.receive("t", 1, wait).await.0),
            ("AckMessage", nobody.acknowledge("t", &["x".to_owned()]).await.status),
            ("ChangeInvisibleDuration", nobody.change("t", "x", wait).await.status),
            ("ForwardMessageToDeadLetterQueue", nobody.give_up("t", "x").await.status),
            ("SyncLiteSubscription", nobody.lite().await.status),
            ("PullMessage", nobody.pull("t", 0, 0).await.0),
            ("GetOffset", nobody.committed("t", "g").await.status),
            ("UpdateOffset", nobody.commit("t", "g", 0).await.status),
            ("QueryOffset", nobody.query_offset("t").await.status),
        ];
        let mut called: Vec<&str> = outcomes.iter().map(|(name, _)| *name).collect();
        for (name, status) in &outcomes {
            assert_eq!(code(status), Code::Unauthorized, "{name}: {status:?}");
        }
        assert_eq!(nobody.no_telemetry().await.code(), tonic::Code::Unauthenticated);
        called.push("Telemetry");
        let mut defined: Vec<&str> =
            SERVICE.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split('(').next()).collect();
        called.sort_unstable();
        defined.sort_unstable();
        assert_eq!(called, defined);
    });
}

#[test]
fn what_callers_show_is_checked() {
    let tenants = Tenants::start();
    tenants.topic("ann", "t");
    let token = tenants.engine().create_token(tenants.admin(), "ann", "phone", None).unwrap();
    run(async {
        let address = tenants.address("grpc");
        let zero = TimeDelta::zero();
        let ok = async |client: Client| code(&client.within("ann").query_offset("t").await.status);
        assert_eq!(ok(signing(&tenants, "ann-key", "ann-secret", zero, "c").await).await, Code::Ok);
        assert_eq!(ok(signing(&tenants, "ann-key/cn/rmq", "ann-secret", zero, "c").await).await, Code::Ok);
        assert_eq!(ok(signing(&tenants, "ann-key", "bob-secret", zero, "c").await).await, Code::Unauthorized);
        assert_eq!(ok(signing(&tenants, "nobody", "bob-secret", zero, "c").await).await, Code::Unauthorized);
        // The time of any zone, and none of yesterday's.
        let hours = |hours: i64| TimeDelta::try_hours(hours).unwrap();
        assert_eq!(ok(signing(&tenants, "ann-key", "ann-secret", hours(8), "c").await).await, Code::Ok);
        assert_eq!(ok(signing(&tenants, "ann-key", "ann-secret", hours(-24), "c").await).await, Code::Unauthorized);
        // A signature counts for the time that was signed.
        let (now, of_another) =
            (time(&tenants, zero), authorization("ann-key", "ann-secret", &time(&tenants, hours(1))));
        let shown = [("x-mq-date-time", now.as_str()), ("authorization", of_another.as_str())];
        assert_eq!(ok(Client::to(address, "c").await.showing(&shown)).await, Code::Unauthorized);
        // Tokens, in each place where one may stand, and passwords.
        assert_eq!(ok(signing(&tenants, &token, "ann", zero, "c").await).await, Code::Ok);
        for shown in [
            ("x-mq-session-token", token.clone()),
            ("authorization", format!("Bearer {token}")),
            ("authorization", format!("Basic {}", BASE64_STANDARD.encode("ann:a password of his"))),
        ] {
            let client = Client::to(address, "c").await.showing(&[(shown.0, shown.1.as_str())]);
            assert_eq!(ok(client).await, Code::Ok, "{shown:?}");
        }
        for shown in ["Bearer mst_x", "Basic YW5uOm5v", "Basic ?", "MQv2-HMAC-SHA1 x", "Digest x"] {
            let client = Client::to(address, "c").await.showing(&[("authorization", shown)]);
            assert_eq!(ok(client).await, Code::Unauthorized, "{shown}");
        }
        tenants.engine().drop_access_key(tenants.admin(), "ann-key").unwrap();
        assert_eq!(ok(signing(&tenants, "ann-key", "ann-secret", zero, "c").await).await, Code::Unauthorized);
    });
}

#[test]
fn streams_and_calls_that_wait_end_with_the_login() {
    let tenants = Tenants::start();
    tenants.topic("ann", "t");
    let (of_group, of_table) = (group("ann", "g"), table("ann", "t"));
    tenants.user("carl", &[(of_group, &[Right::Consume]), (of_table, &[Right::Consume])]);
    run(async {
        let mut carl = of(&tenants, "carl", "c").await.within("ann");
        let (commands, mut answers) = carl.telemetry().await;
        commands.send(client::settings(client::push_consumer("t"))).await.unwrap();
        assert_eq!(code(&answers.message().await.unwrap().unwrap().status), Code::Ok);
        let members = || tenants.engine().message_clients(tenants.admin(), "ann", "g").unwrap().len();
        assert_eq!(members(), 1);
        let mut waiting = of(&tenants, "carl", "w").await.within("ann");
        let ending = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            tenants.engine().drop_user(tenants.admin(), "carl").unwrap();
            Instant::now()
        };
        let ((status, _), ended) = tokio::join!(waiting.receive("t", 1, Duration::from_secs(20)), ending);
        assert!(matches!(code(&status), Code::Unauthorized | Code::Forbidden), "{status:?}");
        assert_eq!(answers.message().await.unwrap_err().code(), tonic::Code::Unauthenticated);
        assert!(ended.elapsed() < Duration::from_secs(1), "{:?}", ended.elapsed());
        assert_eq!(members(), 0);
        assert_eq!(code(&carl.heartbeat().await.status), Code::Unauthorized);
    });
}

#[test]
fn clients_of_two_tenants_are_two_also_where_they_have_one_name() {
    let tenants = Tenants::start();
    for namespace in ["ann", "bob"] {
        tenants.topic(namespace, "t");
    }
    run(async {
        let (mut ann, mut bob) = (of(&tenants, "ann", "c").await, of(&tenants, "bob", "c").await);
        let (of_ann, mut told) = ann.telemetry().await;
        of_ann.send(client::settings(client::push_consumer("t"))).await.unwrap();
        assert_eq!(code(&told.message().await.unwrap().unwrap().status), Code::Ok);
        // His stream stands beside hers, and says nothing of her groups.
        let (of_bob, mut told) = bob.telemetry().await;
        of_bob.send(client::settings(client::push_consumer("t"))).await.unwrap();
        assert_eq!(code(&told.message().await.unwrap().unwrap().status), Code::Ok);
        drop(of_ann);
        let members = |namespace| tenants.engine().message_clients(tenants.admin(), namespace, "g").unwrap().len();
        let end = Instant::now() + Duration::from_secs(10);
        while members("ann") > 0 {
            assert!(Instant::now() < end, "alive without a stream");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(members("bob"), 1);
        assert_eq!(code(&bob.heartbeat().await.status), Code::Ok);
        // What each sends is in his own namespace, and the other's is as if it were not there.
        assert_eq!(code(&ann.send(vec![client::of("t", "1", b"of ann")]).await.status), Code::Ok);
        let (status, messages) = bob.receive("t", 1, Duration::ZERO).await;
        assert_eq!((code(&status), messages.len()), (Code::MessageNotFound, 0));
        let mut bob = bob.within("ann");
        for topic in ["t", "none"] {
            assert_eq!(code(&bob.query_offset(topic).await.status), Code::TopicNotFound, "{topic}");
            assert_eq!(code(&bob.receive(topic, 1, Duration::ZERO).await.0), Code::TopicNotFound, "{topic}");
            assert_eq!(code(&bob.send(vec![client::of(topic, "2", b"x")]).await.status), Code::Forbidden, "{topic}");
            assert_eq!(bob.route(topic, None).await.message_queues.len(), 8, "{topic}");
        }
        assert_eq!(code(&bob.committed("t", "g").await.status), Code::TopicNotFound);
    });
}

/// Topics are what producers over gRPC say they send to: that they may do so is enough to be asked.
#[test]
fn producers_are_asked_who_may_send_to_a_topic() {
    let tenants = Tenants::start();
    tenants.topic("ann", "t");
    tenants.user("paul", &[(table("ann", "t"), &[Right::Produce])]);
    tenants.user("olga", &[(table("ann", "other"), &[Right::Produce])]);
    run(async {
        let producer = |topic: &str| {
            let publishing = Publishing { topics: vec![client::resource(topic)], ..Publishing::default() };
            Settings {
                client_type: Some(ClientType::Producer.into()),
                pub_sub: Some(settings::PubSub::Publishing(publishing)),
                ..Settings::default()
            }
        };
        let mut olga = of(&tenants, "olga", "a").await.within("ann");
        let mut paul = of(&tenants, "paul", "b").await.within("ann");
        let (to_olga, mut olga_told) = olga.telemetry().await;
        to_olga.send(client::settings(producer("t"))).await.unwrap();
        assert_eq!(code(&olga_told.message().await.unwrap().unwrap().status), Code::Ok);
        let (to_paul, mut paul_told) = paul.telemetry().await;
        to_paul.send(client::settings(producer("t"))).await.unwrap();
        assert_eq!(code(&paul_told.message().await.unwrap().unwrap().status), Code::Ok);
        let mut half = client::of("t", "1", b"half");
        let properties = half.system_properties.as_mut().unwrap();
        properties.message_type = MessageType::Transaction.into();
        properties.orphaned_transaction_recovery_duration = Some(Duration::from_secs(1).try_into().unwrap());
        assert_eq!(code(&paul.send(vec![half]).await.status), Code::Ok);
        let asked = tokio::time::timeout(Duration::from_secs(30), paul_told.message()).await.unwrap();
        let command = asked.unwrap().unwrap().command;
        let Some(telemetry_command::Command::RecoverOrphanedTransactionCommand(asked)) = command else {
            panic!("{command:?}")
        };
        let end = async |client: &mut Client| {
            code(&client.end("t", "1", &asked.transaction_id, TransactionResolution::Commit).await.status)
        };
        assert_eq!(end(&mut olga).await, Code::TopicNotFound);
        assert_eq!(end(&mut paul).await, Code::Ok);
    });
}
