use super::*;
use crate::model::{Error, ErrorKind, GroupMode, NamespaceLimits};
use crate::state::OffsetsRecord;
use crate::state::conditions::Precondition;
use crate::state::{CheckbackStands, EndOffset, SchemaVersion, SegmentsUnchanged};

fn refused(history: &History, submission: Submission) -> (ErrorKind, String) {
    let error = history.admit(&submission).unwrap_err();
    (error.kind(), error.to_string())
}

fn changes(changes: Vec<Change>) -> Submission {
    Submission::of(changes)
}

#[test]
fn a_submission_is_checked_as_it_would_apply() {
    let mut history = History::new();
    let id = history.table("t", 1);
    let made = TopicId(history.change(Change::TopicCreated(topic("public", "a", id, vec![]))).unwrap().0);
    let (kind, message) = refused(&history, changes(vec![Change::TableDropped { table: id }]));
    assert_eq!((kind, message.as_str()), (ErrorKind::FailedPrecondition, "table \"t\" is in use by topic \"a\""));
    let both = vec![Change::TopicDropped { topic: made }, Change::TableDropped { table: id }];
    assert_eq!(history.admit(&changes(both)).unwrap(), Admission::New);
    let twice = vec![table("public", "u", 1), table("public", "u", 1)];
    assert_eq!(refused(&history, changes(twice)).0, ErrorKind::AlreadyExists);
}

#[test]
fn a_table_takes_the_place_of_one_that_goes() {
    let mut history = History::new();
    let old = history.table("t", 1);
    let replaced = |id| changes(vec![Change::TableDropped { table: id }, table("public", "t", 2)]);
    assert_eq!(refused(&history, changes(vec![table("public", "t", 2)])).0, ErrorKind::AlreadyExists);
    assert_eq!(history.admit(&replaced(old)).unwrap(), Admission::New);
    let topic = TopicId(history.change(Change::TopicCreated(topic("public", "a", old, vec![]))).unwrap().0);
    assert_eq!(refused(&history, replaced(old)).0, ErrorKind::FailedPrecondition);
    history.change(Change::TopicDropped { topic }).unwrap();
    let other = history.table("u", 1);
    assert_eq!(refused(&history, replaced(other)).0, ErrorKind::AlreadyExists);
}

#[test]
fn plugins_in_use_stay() {
    let mut history = History::new();
    let id = history.table("t", 1);
    let first = PluginId(history.change(plugin("f", 1)).unwrap().0);
    let second = PluginId(history.change(plugin("f", 2)).unwrap().0);
    assert_eq!(refused(&history, changes(vec![plugin("f", 2)])).0, ErrorKind::AlreadyExists);
    history.change(Change::TopicCreated(topic("public", "a", id, vec![first]))).unwrap();
    let (_, message) = refused(&history, changes(vec![Change::PluginDropped { plugin: second }]));
    assert_eq!(message, "plugin \"f\" is in use by topic \"a\"");
    assert_eq!(history.state.catalog().plugin_named("public", "f").unwrap().id, second);
}

#[test]
fn shadows_are_of_what_a_topic_calls_and_end_with_its_replacement() {
    let mut history = History::new();
    let id = history.table("t", 1);
    let first = PluginId(history.change(plugin("f", 1)).unwrap().0);
    let second = PluginId(history.change(plugin("f", 2)).unwrap().0);
    let other = PluginId(history.change(plugin("g", 1)).unwrap().0);
    let made = TopicId(history.change(Change::TopicCreated(topic("public", "a", id, vec![first]))).unwrap().0);
    let shadowed = |topic, shadow| Change::TopicShadowed { topic, shadow };
    let (_, message) = refused(&history, changes(vec![shadowed(made, Some(other))]));
    assert_eq!(message, "topic \"a\" does not call plugin \"g\"");
    assert_eq!(refused(&history, changes(vec![shadowed(TopicId(id.0), Some(first))])).0, ErrorKind::FailedPrecondition);
    history.change(shadowed(made, Some(second))).unwrap();
    let calls = |history: &History, id| history.state.catalog().topics_of_plugin(id).count();
    assert_eq!((calls(&history, first), calls(&history, second)), (1, 1));
    // What is said of a version does not part it from its callers.
    let why = crate::contract::PluginSuspension { since_us: 7, reason: "it fails".to_owned() };
    history.change(Change::PluginSuspended { plugin: first, suspended: Some(why.clone()) }).unwrap();
    assert_eq!(history.state.plugin(first).unwrap().suspended.as_ref(), Some(&why));
    assert_eq!(calls(&history, first), 1);
    let found = TopicInfo::clone(history.state.topic(made).unwrap());
    history.change(Change::TopicReplaced(TopicInfo { version: 2, shadow: None, ..found })).unwrap();
    assert_eq!((calls(&history, first), calls(&history, second)), (1, 0));
}

#[test]
fn functions_stand_on_plugins_and_under_topics() {
    let mut history = History::new();
    let id = history.table("t", 1);
    assert_eq!(refused(&history, changes(vec![function("g", "f")])).1, "plugin \"f\" does not exist");
    let first = PluginId(history.change(plugin("f", 1)).unwrap().0);
    assert_eq!(refused(&history, changes(vec![function("f", "f")])).1, "plugin \"f\" already exists");
    let made = FunctionId(history.change(function("g", "f")).unwrap().0);
    assert_eq!(refused(&history, changes(vec![function("g", "f")])).1, "function \"g\" already exists");
    assert_eq!(refused(&history, changes(vec![plugin("g", 1)])).1, "function \"g\" already exists");
    let drop_plugin = || changes(vec![Change::PluginDropped { plugin: first }]);
    assert_eq!(refused(&history, drop_plugin()).1, "plugin \"f\" is in use by function \"g\"");

    let Change::PluginCreated(mut other) = plugin("f", 2) else { panic!("not a plugin") };
    other.description.returns = DataType::Int64;
    let (_, message) = refused(&history, changes(vec![Change::PluginCreated(other)]));
    assert!(message.contains("does not fit function \"g\": it returns Int64, and the function Boolean"), "{message}");

    let mut caller = topic("public", "a", id, vec![]);
    let TopicSource::Select { functions, .. } = &mut caller.source else { panic!("not a SELECT") };
    functions.push(made);
    assert_eq!(refused(&history, changes(vec![Change::TopicCreated(caller.clone())])).1, "plugin \"f\" does not exist");
    let TopicSource::Select { plugins, .. } = &mut caller.source else { panic!("not a SELECT") };
    plugins.push(first);
    let topic = TopicId(history.change(Change::TopicCreated(caller)).unwrap().0);
    let drop_function = Change::FunctionDropped { function: made };
    let (_, message) = refused(&history, changes(vec![drop_function.clone()]));
    assert_eq!(message, "function \"g\" is in use by topic \"a\"");
    history.change(Change::TopicDropped { topic }).unwrap();
    history.change(drop_function).unwrap();
    history.change(Change::PluginDropped { plugin: first }).unwrap();
}

#[test]
fn checkbacks_stand_on_a_message_table_and_a_plugin() {
    let mut history = History::new();
    let plain = history.table("t", 1);
    let orders = TableId(history.change(message_table("orders")).unwrap().0);
    assert_eq!(refused(&history, changes(vec![checkback("c", orders, "judge")])).1, "plugin \"judge\" does not exist");
    let first = PluginId(history.change(judge("judge", 1)).unwrap().0);
    history.change(plugin("filter", 1)).unwrap();
    assert_eq!(refused(&history, changes(vec![checkback("c", plain, "judge")])).1, "table \"t\" is no message table");
    let (_, message) = refused(&history, changes(vec![checkback("c", orders, "filter")]));
    assert!(message.ends_with("it is a filter, not a checkback handler"), "{message}");
    let made = CheckbackId(history.change(checkback("c", orders, "judge")).unwrap().0);
    assert_eq!(refused(&history, changes(vec![checkback("c", orders, "judge")])).1, "checkback \"c\" already exists");
    let (kind, message) = refused(&history, changes(vec![checkback("d", orders, "judge")]));
    assert_eq!(kind, ErrorKind::FailedPrecondition, "{message}");
    let drop_table = || Change::TableDropped { table: orders };
    assert_eq!(refused(&history, changes(vec![drop_table()])).1, "table \"orders\" is in use by checkback \"c\"");
    let drop_plugin = || Change::PluginDropped { plugin: first };
    assert_eq!(refused(&history, changes(vec![drop_plugin()])).1, "plugin \"judge\" is in use by checkback \"c\"");
    let Change::PluginCreated(mut other) = judge("judge", 2) else { panic!("not a plugin") };
    other.description.parameters = vec![("_begun_ts".to_owned(), DataType::Boolean)];
    let (_, message) = refused(&history, changes(vec![Change::PluginCreated(other)]));
    assert!(message.contains("does not fit checkback \"c\": it reads \"_begun_ts\" as Boolean"), "{message}");
    history.change(judge("judge", 2)).unwrap();
    assert!(history.state.catalog().checkback_of_table(orders).is_some());
    let its_word =
        || Submission { preconditions: vec![CheckbackStands { checkback: made }.into()], ..Submission::default() };
    assert_eq!(history.admit(&its_word()).unwrap(), Admission::New);
    let dropped = Change::CheckbackDropped { checkback: made, table: orders };
    assert_eq!(history.admit(&changes(vec![dropped.clone(), drop_table()])).unwrap(), Admission::New);
    history.change(dropped.clone()).unwrap();
    assert_eq!(refused(&history, its_word()).0, ErrorKind::Fenced);
    assert!(history.state.catalog().checkback_of_table(orders).is_none());
    assert_eq!(refused(&history, changes(vec![dropped])).0, ErrorKind::NotFound);
    history.change(drop_plugin()).unwrap();
}

#[test]
fn nothing_crosses_namespaces() {
    let mut history = History::new();
    let id = history.table("t", 1);
    history.change(Change::NamespaceCreated { name: "other".to_owned(), limits: Default::default() }).unwrap();
    let made = history.change(Change::TopicCreated(topic("other", "a", id, vec![])));
    assert_eq!(made.unwrap_err().kind(), ErrorKind::InvalidInput);
    let mut key = group("g", None);
    key.namespace = "other".into();
    let (namespace, group) = ("other".to_owned(), "g".to_owned());
    history.change(Change::GroupCreated { namespace, group, mode: GroupMode::Shared }).unwrap();
    let offsets = vec![OffsetsRecord { group: key, entries: vec![(TopicId(id.0), 0, 0)] }];
    let (kind, _) = refused(&history, Submission::of(offsets));
    assert_eq!(kind, ErrorKind::NotFound);
}

#[test]
fn offsets_need_their_group_topic_and_range() {
    let mut history = History::new();
    let id = history.table("t", 2);
    history.rows(id, 0, 10);
    let committed = |partition, offset| {
        Record::from(OffsetsRecord { group: group("g", None), entries: vec![(TopicId(id.0), partition, offset)] })
    };
    let commit = |partition, offset| Submission::of([committed(partition, offset)]);
    assert_eq!(refused(&history, commit(0, 5)).1, "consumer group \"g\" does not exist");
    let create =
        Change::GroupCreated { namespace: "public".to_owned(), group: "g".to_owned(), mode: GroupMode::Shared };
    let with_group = Submission::of([create.clone().into(), committed(0, 5)]);
    assert_eq!(history.admit(&with_group).unwrap(), Admission::New);
    history.change(create).unwrap();
    assert_eq!(history.admit(&commit(0, 10)).unwrap(), Admission::New);
    assert_eq!(refused(&history, commit(0, 11)).0, ErrorKind::OutOfRange);
    assert_eq!(refused(&history, commit(2, 0)).1, "partition \"2 of t (2 partitions)\" does not exist");
}

#[test]
fn preconditions_hold_or_refuse() {
    let mut history = History::new();
    let id = history.table("t", 1);
    history.rows(id, 0, 10);
    let check = |precondition: Precondition, expected: Option<ErrorKind>| {
        let submission = Submission { preconditions: vec![precondition.clone()], ..Submission::default() };
        let found = history.admit(&submission).err().map(|error: Error| error.kind());
        assert_eq!(found, expected, "{precondition:?}");
    };
    check(EndOffset { table: id, partition: 0, end: 10 }.into(), None);
    check(EndOffset { table: id, partition: 0, end: 9 }.into(), Some(ErrorKind::FailedPrecondition));
    check(EndOffset { table: id, partition: 1, end: 0 }.into(), Some(ErrorKind::FailedPrecondition));
    check(SegmentsUnchanged { table: id, partition: 0, segments_version: 0 }.into(), None);
    check(SegmentsUnchanged { table: id, partition: 0, segments_version: 1 }.into(), Some(ErrorKind::Retry));
    check(SchemaVersion { table: id, version: 1 }.into(), None);
    check(SchemaVersion { table: id, version: 2 }.into(), Some(ErrorKind::FailedPrecondition));
    check(SchemaVersion { table: TableId(99), version: 1 }.into(), Some(ErrorKind::NotFound));
}

#[test]
fn dropping_forgets_and_names_are_free_again() {
    let mut history = History::new();
    let id = history.table("t", 1);
    history.rows(id, 0, 10);
    let key = group("g", None);
    let entries = vec![(TopicId(id.0), 0, 4)];
    history.push(Record::Offsets(OffsetsRecord { group: key.clone(), entries }));
    assert_eq!(history.state.committed(&key, TopicId(id.0), 0), Some(4));
    assert_eq!(history.state.groups_of_topic(TopicId(id.0)).count(), 1);
    history.change(Change::TableDropped { table: id }).unwrap();
    assert_eq!(history.state.committed(&key, TopicId(id.0), 0), None);
    assert!(history.state.partition(id, 0).is_none());
    // Rows of a commit in which the table was dropped first change nothing.
    history.rows(id, 0, 10);
    assert!(history.state.table(id).is_none());
    let again = history.table("t", 1);
    assert!(again > id);
    assert_eq!(history.state.partition(again, 0).unwrap().end, 0);
}

/// What callers can make ever more of by choosing names ends somewhere.
#[test]
fn names_that_callers_choose_are_bounded() {
    let refused = |history: &mut History, change: Change, of: &str| {
        let error = history.change(change).unwrap_err();
        assert!(error.to_string().contains("which is the limit") && error.to_string().contains(of), "{error}");
    };
    let mut history = History::new();
    for version in 1..=4_096 {
        history.change(plugin("p", version)).unwrap();
    }
    refused(&mut history, plugin("p", 4_097), "4096 versions");
    history.change(plugin("q", 1)).unwrap();

    let namespace = |name: &str| Change::NamespaceCreated { name: name.to_owned(), limits: NamespaceLimits::default() };
    for number in 1..10_000 {
        history.change(namespace(&format!("n{number}"))).unwrap();
    }
    refused(&mut history, namespace("one too many"), "10000 namespaces");
    history.change(Change::NamespaceDropped { name: "n7".to_owned() }).unwrap();
    history.change(namespace("one too many")).unwrap();

    let table = history.table("t", 1);
    let (namespace, group, mode) = ("public".to_owned(), "g".to_owned(), GroupMode::Broadcast);
    history.change(Change::GroupCreated { namespace, group, mode }).unwrap();
    let commit = |client: String| {
        let entries = vec![(TopicId(table.0), 0, 0)];
        OffsetsRecord { group: super::group("g", Some(&client)), entries }
    };
    for number in 0..10_000 {
        history.push(Record::Offsets(commit(format!("c{number}"))));
    }
    let admit = |client: &str| history.admit(&Submission::of([commit(client.to_owned())]));
    assert!(admit("another").unwrap_err().to_string().contains("10000 clients"));
    admit("c5").unwrap();
}
