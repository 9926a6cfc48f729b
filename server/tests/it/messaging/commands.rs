//! `millstream message` and `millstream transaction`.

use serde_json::{Value, json};

use crate::program::{Server, code, stderr};

/// The rows that a command prints.
fn rows(server: &Server, arguments: &[&str]) -> Vec<Value> {
    let printed = server.ok(&[arguments, &["--format", "json"]].concat());
    printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn messages_are_sent_shown_found_and_recalled() {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE orders OF MESSAGES"]);
    let described =
        ["--tag", "paid", "--key", "4711", "--key", "it's", "--property", "amount=120", "--property", "note=a=b"];
    let sent = server.ok(&[&["message", "send", "orders", "{\"order\": 1}", "--id", "A1"][..], &described].concat());
    assert_eq!(sent, "A1\n");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("body");
    std::fs::write(&file, [0, 0xff]).unwrap();
    let id = server.ok(&["message", "send", "orders", "--file", file.to_str().unwrap(), "--message-group", "g"]);
    let id = id.trim_end();
    assert!(id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id:?}");

    let found = rows(&server, &["message", "get", "orders", "A1"]);
    let [message] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((&message["text"], &message["tag"]), (&json!("{\"order\": 1}"), &json!("paid")));
    assert_eq!(
        (&message["keys"], &message["properties"]),
        (&json!(["4711", "it's"]), &json!({"amount": "120", "note": "a=b"}))
    );
    assert_eq!(rows(&server, &["message", "query", "orders", "--key", "it's"]), found);
    assert_eq!(rows(&server, &["message", "query", "orders", "--tag", "sent"]), [Value::Null; 0]);
    let all = rows(&server, &["message", "query", "orders", "--since", "2020-01-01", "--until", "9999-01-01"]);
    let texts: Vec<_> =
        all.iter().map(|row| (row["text"].clone(), row["body"].clone(), row["message_group"].clone())).collect();
    assert_eq!(texts[0], (Value::Null, json!("AP8="), json!("g")), "the newest is the first");
    assert_eq!(all.len(), 2);
    assert_eq!(rows(&server, &["message", "query", "orders", "--limit", "1"]).len(), 1);

    server.ok(&["message", "send", "orders", "later", "--delay", "2 hours", "--id", "L"]);
    assert!(rows(&server, &["message", "get", "orders", "L"]).is_empty());
    server.ok(&["message", "recall", "orders", "L"]);
    let again = server.run(&["message", "recall", "orders", "L"]);
    assert_eq!((code(&again), stderr(&again).contains("does not exist")), (1, true), "{}", stderr(&again));
    server.ok(&["message", "send", "orders", "past", "--deliver-at", "2020-01-01T00:00:00Z", "--id", "P"]);
    assert_eq!(rows(&server, &["message", "get", "orders", "P"])[0]["text"], "past");
    for wrong in
        [&["--property", "nameless"][..], &["--property", "=x"], &["--delay", "1 hour", "--deliver-at", "2030-01-01"]]
    {
        assert_eq!(code(&server.run(&[&["message", "send", "orders", "x"][..], wrong].concat())), 2, "{wrong:?}");
    }
}

#[test]
fn dead_letters_are_sent_again_and_transactions_listed() {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE orders OF MESSAGES"]);
    server.ok(&["sql", "-c", "CREATE TABLE \"%DLQ%shop\" OF MESSAGES"]);
    let letter = "INSERT INTO \"%DLQ%shop\" (message_id, tag, body, properties) VALUES
        ('a', 'x', 'first', MAP {'DLQ_ORIGIN_TOPIC': 'orders', 'DLQ_ORIGIN_MESSAGE_ID': '1'}),
        ('b', 'y', 'second', MAP {'DLQ_ORIGIN_TOPIC': 'orders', 'DLQ_ORIGIN_MESSAGE_ID': '2'}),
        ('c', 'y', 'third', MAP {'DLQ_ORIGIN_TOPIC': 'orders', 'DLQ_ORIGIN_MESSAGE_ID': '3'})";
    server.ok(&["sql", "-c", letter]);
    let texts = || {
        let mut texts: Vec<String> = rows(&server, &["message", "query", "orders"])
            .iter()
            .map(|row| row["text"].as_str().unwrap().to_owned())
            .collect();
        texts.sort();
        texts
    };
    server.ok(&["message", "resend", "shop", "--id", "a"]);
    assert_eq!(texts(), ["first"]);
    server.ok(&["message", "resend", "shop", "--where", "tag = 'y'"]);
    assert_eq!(texts(), ["first", "second", "third"]);
    server.ok(&["message", "resend", "shop"]);
    assert_eq!(texts().len(), 6);
    assert!(
        rows(&server, &["transaction", "list"]).is_empty()
            && rows(&server, &["transaction", "list", "orders"]).is_empty()
    );
    for end in ["commit", "rollback"] {
        for (id, why) in [("4711", "does not exist"), ("no'thing", "is no transaction's id")] {
            let refused = server.run(&["transaction", end, "orders", id]);
            assert!(code(&refused) != 0 && stderr(&refused).contains(why), "{}", stderr(&refused));
        }
    }
    assert!(rows(&server, &["group", "clients", "shop"]).is_empty());
    assert!(rows(&server, &["group", "subscriptions", "shop"]).is_empty());
}
