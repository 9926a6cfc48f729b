//! Limits of rates and of connections.

use std::time::{Duration, Instant};

use millstream_engine::{NamespaceLimit, UserChanges};
use serde_json::json;

use super::signed::{Signing, pull_of, remark, signed};
use super::{Remoting, message, pull};
use crate::program::Server;
use crate::tenants::Tenants;

const BUSY: i64 = 2;

/// A connection over which a user has asked for something.
pub(crate) fn signed_in(tenants: &Tenants, user: &str) -> Remoting {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let mut client = Remoting::connect(tenants.address("remoting"));
        if client.ask(105, &signed(user, &json!({"topic": "TBW102"}), b""), b"").0 == 0 {
            return client;
        }
        assert!(Instant::now() < until, "connections of before are closed");
    }
}

#[test]
fn what_is_too_much_is_refused_or_waits_and_heartbeats_and_commits_go_on() {
    let server = Server::start();
    let mut client = Remoting::connect(server.remoting);
    let body = "x".repeat(1_000);
    let send = |client: &mut Remoting| client.ask(310, &message("t", 0, ""), body.as_bytes());
    for _ in 0..8 {
        assert_eq!(send(&mut client).0, 0);
    }
    server.ok(&["sql", "-c", "ALTER NAMESPACE public SET (bytes_in_per_second = 500, rows_out_per_second = 1)"]);
    let answers: Vec<_> = (0..6).map(|_| send(&mut client)).collect();
    let codes: Vec<i64> = answers.iter().map(|(code, ..)| *code).collect();
    assert!(codes[0] == 0, "more than a second's: {codes:?}");
    let (_, refused, _) = answers.iter().find(|(code, ..)| *code == BUSY).expect("one is too much");
    assert!(remark(refused).contains("bytes_in_per_second"), "{refused}");
    let taken = codes.iter().filter(|code| **code == 0).count() as u64;

    // What was refused is not there, and what comes later is taken.
    let until = Instant::now() + Duration::from_secs(20);
    while send(&mut client).0 != 0 {
        assert!(Instant::now() < until);
    }
    let end = json!({"topic": "t", "queueId": 0});
    assert_eq!(client.ask(30, &end, b"").1["extFields"]["offset"], json!((9 + taken).to_string()));

    client.heartbeat("c1");
    let pull_five = |offset| {
        let mut fields = pull(0, offset, 2 | 4);
        fields["maxMsgNums"] = json!(5);
        fields["subscription"] = json!("*");
        fields
    };
    let (code, header, _) = client.ask(11, &pull_five(0), b"");
    assert_eq!(
        (code, header["extFields"]["nextBeginOffset"].as_str()),
        (0, Some("5")),
        "more than a second's: {header}"
    );
    let begun = Instant::now();
    client.send(11, &pull_five(5), b"");
    client.heartbeat("c1");
    let commit = json!({"consumerGroup": "g", "topic": "t", "queueId": 0, "commitOffset": 5});
    assert_eq!(client.ask(15, &commit, b"").0, 0);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let (header, _) = client.receive();
    assert_eq!((header["opaque"].as_i64(), header["code"].as_i64()), (Some(11), Some(0)), "{header}");
    assert!(begun.elapsed() > Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn a_tenant_who_is_held_back_holds_no_other_and_has_so_many_connections() {
    let tenants = Tenants::start();
    for name in ["ann", "bob"] {
        tenants.topic(name, "t");
    }
    let limits = [(NamespaceLimit::RowsInPerSecond, Some(1)), (NamespaceLimit::RowsOutPerSecond, Some(1))].into();
    tenants.engine().limit_namespace(tenants.admin(), "ann", limits).unwrap();
    let (mut ann, mut bob) = (Signing::of(&tenants, "ann"), Signing::of(&tenants, "bob"));
    let send = |of: &mut Signing, name: &str| of.code(310, &message(&format!("{name}%t"), 0, ""), b"x");
    let codes: Vec<i64> = (0..8).map(|_| send(&mut ann, "ann")).collect();
    assert!(codes[0] == 0 && codes.contains(&BUSY), "{codes:?}");
    for _ in 0..50 {
        assert_eq!(send(&mut bob, "bob"), 0);
    }
    let begun = Instant::now();
    for offset in 0..5 {
        assert_eq!(bob.code(11, &pull_of("bob%g", "bob%t", offset, 0), b""), 0);
    }
    assert!(begun.elapsed() < Duration::from_secs(5));

    let limits = [(NamespaceLimit::Connections, Some(1))].into();
    tenants.engine().alter_user(tenants.admin(), "bob", UserChanges { limits, ..UserChanges::default() }).unwrap();
    assert_eq!(send(&mut bob, "bob"), 0, "over the one connection that is there");
    let mut second = Signing::of(&tenants, "bob");
    assert_eq!(send(&mut second, "bob"), BUSY);
    drop(bob);
    let until = Instant::now() + Duration::from_secs(20);
    while send(&mut second, "bob") != 0 {
        assert!(Instant::now() < until, "a place is free");
    }
}
