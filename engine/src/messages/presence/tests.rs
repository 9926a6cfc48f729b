use super::*;

fn consumer(client_id: &str, connection: u64, expression: &str) -> MessageClient {
    let subscription = MessageSubscription {
        topic: "t".to_owned(),
        kind: "TAG".to_owned(),
        expression: expression.to_owned(),
        version: i64::try_from(connection).unwrap(),
    };
    MessageClient {
        client_id: client_id.to_owned(),
        role: MessageClientRole::Consumer,
        connection,
        address: String::new(),
        subscriptions: vec![subscription],
    }
}

fn names(presence: &Presence, now: u64) -> Vec<String> {
    let clients = presence.of_group("n", "g", Duration::from_secs(now));
    clients.into_iter().map(|client| client.client_id).collect()
}

#[test]
fn clients_come_and_go_and_the_group_is_told() {
    let presence = Presence::default();
    let at = Duration::from_secs;
    let mut first = presence.heard(("n", "g"), consumer("a", 1, "*"), &Principal::anonymous(), at(0)).unwrap();
    assert!(!first.changes.has_changed().unwrap());
    let second = presence.heard(("n", "g"), consumer("b", 2, "x"), &Principal::anonymous(), at(0)).unwrap();
    assert_eq!(second.differing, Some(("a".to_owned(), "t".to_owned())));
    assert!(first.changes.has_changed().unwrap());
    first.changes.mark_unchanged();
    assert!(
        presence.heard(("n", "g"), consumer("b", 2, "x"), &Principal::anonymous(), at(1)).unwrap().differing.is_none(),
        "told once"
    );
    assert!(!first.changes.has_changed().unwrap(), "a heartbeat changes nothing");
    assert_eq!(names(&presence, 1), ["a", "b"]);
    presence
        .heard(
            ("m", "z"),
            MessageClient { role: MessageClientRole::Producer, ..consumer("p", 3, "") },
            &Principal::anonymous(),
            at(1),
        )
        .unwrap();
    let all: Vec<_> = presence.all(at(1)).into_iter().map(|(_, group, client)| (group, client.client_id)).collect();
    let pair = |group: &str, client: &str| (group.to_owned(), client.to_owned());
    assert_eq!(all, [pair("z", "p"), pair("g", "a"), pair("g", "b")]);
    presence.disconnected(3);
    assert_eq!(presence.subscription("n", "g", "t", 9).unwrap().unwrap().expression, "x", "the newest");
    assert_eq!(presence.subscription("n", "g", "t", 1).unwrap().unwrap().expression, "*", "its own");
    assert!(presence.subscription("n", "g", "u", 1).unwrap().is_none());
    assert!(presence.subscription("n", "h", "t", 1).is_err());
    presence.disconnected(2);
    assert!(first.changes.has_changed().unwrap());
    assert_eq!(names(&presence, 1), ["a"]);
    assert_eq!(names(&presence, 121), Vec::<String>::new(), "silent for too long");
    assert_eq!(presence.inner.lock().bytes, 0);
    assert!(presence.inner.lock().by_connection.is_empty());
}

#[test]
fn who_asks_for_what_is_shown_and_differences_are_told() {
    let presence = Presence::default();
    let heard = |client| presence.heard(("n", "g"), client, &Principal::anonymous(), Duration::ZERO).unwrap().differing;
    let shown = || -> Vec<(String, String, bool)> {
        let all = presence.subscriptions(Duration::ZERO).into_iter();
        all.map(|one| (one.client_id, one.subscription.expression, one.differs)).collect()
    };
    let line = |client: &str, expression: &str, differs| (client.to_owned(), expression.to_owned(), differs);
    assert_eq!((heard(consumer("b", 2, "x")), heard(consumer("a", 1, "x"))), (None, None));
    assert_eq!(shown(), [line("a", "x", false), line("b", "x", false)]);
    assert!(presence.filter_failed("n", "g", TopicId(1)) && !presence.filter_failed("n", "g", TopicId(1)));
    assert_eq!(heard(consumer("a", 1, "y")), Some(("b".to_owned(), "t".to_owned())), "it asks for something else now");
    assert_eq!(heard(consumer("a", 1, "y")), None, "told once");
    assert_eq!(shown(), [line("a", "y", true), line("b", "x", true)]);
    assert!(presence.filter_failed("n", "g", TopicId(1)), "with another filter");
    assert!(!presence.filter_failed("n", "none", TopicId(1)));
    let by_condition =
        MessageSubscription { kind: "SQL92".to_owned(), ..consumer("a", 1, "x").subscriptions.remove(0) };
    assert!(heard(MessageClient { subscriptions: vec![by_condition], ..consumer("a", 1, "x") }).is_some());
}

#[test]
fn an_old_connection_does_not_take_a_client_with_it() {
    let presence = Presence::default();
    presence.heard(("n", "g"), consumer("a", 1, "*"), &Principal::anonymous(), Duration::ZERO).unwrap();
    presence.heard(("n", "g"), consumer("a", 2, "*"), &Principal::anonymous(), Duration::ZERO).unwrap();
    presence.disconnected(1);
    assert_eq!(names(&presence, 0), ["a"]);
    presence.disconnected(2);
    assert!(names(&presence, 0).is_empty());
}

#[test]
fn what_clients_say_is_bounded() {
    let presence = Presence::default();
    let long = "x".repeat(MAX_BYTES / 4);
    for client in 0..3 {
        presence
            .heard(("n", "g"), consumer(&client.to_string(), client, &long), &Principal::anonymous(), Duration::ZERO)
            .unwrap();
    }
    let refused = presence.heard(("n", "g"), consumer("9", 9, &long), &Principal::anonymous(), Duration::ZERO);
    assert!(matches!(refused, Err(Error::Busy(_))));
    presence.heard(("n", "g"), consumer("9", 9, &long), &Principal::anonymous(), Duration::from_secs(200)).unwrap();
    assert_eq!(names(&presence, 200), ["9"]);
}

#[test]
fn who_a_client_is_there_for_is_kept() {
    let presence = Presence::default();
    let ann = Principal::named("ann");
    presence.heard(("n", "g"), consumer("a", 1, "*"), &ann, Duration::ZERO).unwrap();
    for over in [None, Some(1)] {
        let [(name, who)] = presence.whose(over).try_into().unwrap();
        assert_eq!((name.client_id.as_ref(), who), ("a", ann.clone()));
    }
    assert!(presence.whose(Some(2)).is_empty());
    presence.disconnected(1);
    assert!(presence.whose(None).is_empty());
}
