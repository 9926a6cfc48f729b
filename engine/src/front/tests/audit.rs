//! The audit table: who is told of, of what, and who reads it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;

use super::calls::calls;
use super::identities::{managing, with_users};
use super::store::{NAMESPACE, Store, append, identity, table_spec};
use super::until;
use crate::access::{Action, ObjectKind};
use crate::chunks::PlainColumns;
use crate::credentials::Credentials;
use crate::cursor::ScanRequest;
use crate::front::Engine;
use crate::identities::{Right, Rights, Scope};
use crate::model::{CallerAddress, ErrorKind, Principal, Result, SeekTo, TableInfo};
use crate::platform::{AuditOptions, EngineOptions};

const ALWAYS: AuditOptions = AuditOptions { always: true, reads: false, retention_days: 90 };

fn table(engine: &Engine) -> Arc<TableInfo> {
    engine.table(&Principal::system(), "system", "audit").expect("the audit table")
}

/// A line's columns behind the time, with `-` for null.
fn lines(engine: &Engine) -> Vec<[String; 10]> {
    let info = table(engine);
    let operator = Arc::new(PlainColumns::identity(info.schema().clone()));
    let request = ScanRequest { topic: identity(info.id), ranges: None, event_time_us: None, operator };
    let mut lines = Vec::new();
    for batch in engine.scan(&Principal::system(), request).expect("a scan") {
        let batch = batch.expect("lines").batch;
        let text = |column: usize, row| {
            let column = batch.column(column).as_string::<i32>();
            if column.is_null(row) { "-".to_owned() } else { column.value(row).to_owned() }
        };
        lines.extend((0..batch.num_rows()).map(|row| std::array::from_fn(|column| text(column + 1, row))));
    }
    lines
}

/// Principal, action, kind, namespace, name and outcome of what somebody did.
fn of(engine: &Engine, who: &str) -> Vec<String> {
    let shown = |[who, _, _, _, action, kind, namespace, name, outcome, _]: [String; 10]| {
        (who, format!("{action} {kind} {namespace} {name} {outcome}"))
    };
    lines(engine).into_iter().map(shown).filter(|(of, _)| of == who).map(|(_, line)| line).collect()
}

/// Those that define something by another right than `DEFINE`.
const OF_GROUPS: [&str; 4] = ["create_group", "drop_group", "reset_offsets", "set_group_retries"];
/// Those that the store of these tests gives no reason to record anything.
const NOTHING_TO_DO: [&str; 2] = ["replace_topic_from", "resume_plugin"];

#[test]
fn each_call_that_defines_is_told_of_with_its_object() {
    let (owner, who) = (Principal::named("audit_owner"), Principal::named("audit_caller"));
    let mut seen = BTreeSet::new();
    for call in calls() {
        let defines =
            call.action == Action::Define || OF_GROUPS.contains(&call.name) && call.object.0 == ObjectKind::Group;
        if !defines || NOTHING_TO_DO.contains(&call.name) || !seen.insert((call.name, call.object.1)) {
            continue;
        }
        let store = Store::with(&owner, ALWAYS);
        let answer = (call.call)(&store, &who);
        let (kind, name) = call.object;
        let object = match kind {
            ObjectKind::Namespace => format!("namespace {name} -"),
            // The table is the topic's output.
            ObjectKind::Table if name == "cont" => format!("topic {NAMESPACE} {name}"),
            kind => format!("{} {NAMESPACE} {name}", kind.name()),
        };
        if answer.is_err() {
            store.engine.close().expect("what waits is written");
            let again = Engine::open(store.dir()).expect("it opens again");
            assert!(!of(&again, "audit_caller").iter().any(|line| line.ends_with(" done")), "{}", call.name);
            continue;
        }
        // At once: it is in the same submission.
        let told = of(&store.engine, "audit_caller");
        let of_object = told.iter().filter(|line| line.contains(&object)).count();
        assert!(told.iter().all(|line| line.ends_with(" done")), "{}: {told:?}", call.name);
        let wanted = if call.name == "replace_table" { 2 } else { 1 };
        assert_eq!(of_object, wanted, "{} of {object}: {told:?}", call.name);
    }
    assert!(seen.len() > 25, "{seen:?}");
}

#[test]
fn users_rights_and_secrets_are_told_of_without_secrets() {
    let (store, admin) = with_users(&["ann", "bob"]);
    let asked = ["explain_grant", "roles_of"];
    for (name, call) in managing().into_iter().filter(|(name, _)| !asked.contains(name)) {
        let before = lines(&store.engine).len();
        call(&store.engine, &admin).unwrap_or_else(|error| panic!("{name}: {error}"));
        let told = lines(&store.engine).split_off(before);
        let told: Vec<_> = told.into_iter().filter(|line| line[4] != "login").collect();
        let [line] = &told[..] else { panic!("{name}: {told:?}") };
        let action = match name {
            "give_role" => "grant_role",
            "take_role" => "revoke_role",
            name => name,
        };
        assert_eq!((&line[0], line[4].as_str(), line[8].as_str()), (&"admin".to_owned(), action, "done"), "{line:?}");
        assert!(!format!("{line:?}").contains("secret") || name == "create_access_key", "{line:?}");
    }
    let first = &lines(&store.engine)[0];
    assert_eq!((first[0].as_str(), first[4].as_str(), first[7].as_str()), ("system", "create_user", "admin"));
}

#[test]
fn who_was_refused_what_from_where_is_told_of() {
    let (store, admin) = with_users(&["ann"]);
    let engine = &store.engine;
    let from = CallerAddress { ip: Some(IpAddr::from([10, 0, 0, 7])), door: "http" };
    let log_in = |password| engine.authenticate(Some(Credentials::Password { user: "ann", password }), from);
    let ann = log_in("a long password").expect("hers");
    for _ in 0..3 {
        assert_eq!(log_in("a wrong one").expect_err("wrong").kind(), ErrorKind::Unauthenticated);
        let typed = Credentials::Password { user: "a password by mistake", password: "" };
        engine.authenticate(Some(typed), from).expect_err("nobody");
        engine.create_table(&ann, table_spec("hers")).expect_err("she may not");
        engine.append(&ann, append(store.table), None).map(drop).expect_err("she may not");
    }
    engine.create_role(&admin, "there").expect("a role");
    engine.create_role(&admin, "there").expect_err("it is there");
    engine.close().expect("what waits is written");
    let again = Engine::open(store.dir()).expect("it opens again");
    let told: Vec<String> = lines(&again)
        .into_iter()
        .filter(|line| line[8] != "done" || line[4] == "login")
        .map(|line| line.join("|"))
        .collect();
    for wanted in [
        "ann|password|10.0.0.7|http|login|user|-|ann|done|-",
        "ann|password|10.0.0.7|http|login|user|-|ann|refused|the credentials are wrong, or have expired",
        "-|password|10.0.0.7|http|login|user|-|-|refused|the credentials are wrong, or have expired",
        "ann|password|10.0.0.7|http|define|table|public|hers|refused|it needs DEFINE on TABLE public.hers",
        "ann|password|10.0.0.7|http|produce|table|public|t|refused|it needs PRODUCE on TABLE public.t",
        "admin|password|-|-|create_role|role|-|there|failed|role \"there\" already exists",
    ] {
        let alike: Vec<&String> = told.iter().filter(|line| line.starts_with(wanted)).collect();
        // Those that are counted are one line and a number, or more where a minute ended meanwhile.
        let more = |line: &&String| match line.strip_prefix(wanted).expect("alike") {
            "" => 1,
            more => more.split(' ').nth(2).and_then(|number| number.parse().ok()).unwrap_or(0),
        };
        let times: u64 = alike.iter().map(more).sum();
        let is_counted = wanted.contains("|refused|");
        assert!(if is_counted { times == 3 } else { times > 0 }, "{wanted} of {told:#?}");
    }
    assert!(!told.iter().any(|line| line.contains("mistake") || line.contains("a wrong one")), "{told:#?}");
}

#[test]
fn attempts_without_end_leave_few_lines() {
    let (store, _) = with_users(&["ann"]);
    for number in 0..100_000_u32 {
        let from = CallerAddress { ip: Some(IpAddr::V4(number.into())), door: "http" };
        // A wrong token costs no hashing.
        let shown = Credentials::Token("mst_invented");
        store.engine.authenticate(Some(shown), from).expect_err("wrong");
    }
    let lost = store.engine.stats(&Principal::system()).expect("figures").audit_lines_lost;
    store.engine.close().expect("what waits is written");
    let again = Engine::open(store.dir()).expect("it opens again");
    let told = lines(&again).into_iter().filter(|line| line[8] == "refused").count();
    // The minute may have ended meanwhile.
    assert!((256..2_048).contains(&told), "{told}");
    assert_eq!(lost, 100_000 - u64::try_from(told).expect("a number"));
    assert!(lines(&again).iter().any(|line| line[4] == "lost"));
}

#[test]
fn it_is_read_by_operators_and_written_by_nobody() {
    let (store, admin) = with_users(&["ann", "olga"]);
    let engine = &store.engine;
    engine.grant(&admin, "ann", &Scope::SERVER, Rights::NONE.with(Right::Read).with(Right::Define)).expect("granted");
    engine.grant(&admin, "olga", &Scope::SERVER, Rights::NONE.with(Right::Operate)).expect("granted");
    let [ann, olga] = ["ann", "olga"].map(|name| super::identities::logged_in(engine, name));
    let info = table(engine);
    let reads = |who: &Principal| engine.check_reads(who, &info);
    assert_eq!(engine.table(&ann, "system", "audit").expect_err("hidden").kind(), ErrorKind::NotFound);
    assert_eq!(reads(&ann).expect_err("she may not").kind(), ErrorKind::PermissionDenied);
    assert!(!engine.tables(&ann).expect("a list").iter().any(|table| table.namespace == "system"));
    reads(&olga).expect("she operates the server");
    engine.table_offsets(&olga, info.id).expect("hers to know");
    for who in [&olga, &admin] {
        let denied = |answer: Result<()>| {
            assert_eq!(answer.expect_err("it is the server's").kind(), ErrorKind::PermissionDenied)
        };
        denied(engine.append(who, append(info.id), None).map(drop));
        denied(engine.drop_table(who, "system", "audit", true));
        denied(engine.add_columns(who, "system", "audit", Vec::new()).map(drop));
        denied(engine.set_partitions(who, "system", "audit", 2).map(drop));
    }
    assert_eq!(engine.drop_namespace(&admin, "system").expect_err("it is none").kind(), ErrorKind::NotFound);
    assert!(!engine.namespaces(&admin).expect("a list").contains(&"system".to_owned()));
}

#[test]
fn reads_are_told_of_where_that_is_wanted() {
    let (owner, who) = (Principal::named("audit_owner"), Principal::named("audit_reader"));
    let store = Store::with(&owner, AuditOptions { reads: true, ..ALWAYS });
    for _ in 0..5 {
        store.engine.check_reads(&who, &store.engine.table(&who, NAMESPACE, "t").expect("a table")).expect("he may");
        store.engine.check_consumes(&who, &super::store::group("g"), &store.topic).expect("he may");
    }
    until(|| of(&store.engine, "audit_reader").len() >= 3);
    let told = of(&store.engine, "audit_reader");
    assert_eq!(told, ["read table public t done", "consume group public g done", "consume topic public sel done"]);
}

#[test]
fn without_users_there_is_no_table_unless_it_is_wanted_and_its_retention_is_the_setting() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = |audit| Engine::open_with(EngineOptions { audit, ..EngineOptions::new(dir.path()) }).expect("it opens");
    let engine = open(AuditOptions::default());
    engine.create_role(&Principal::anonymous(), "first").expect("a role");
    assert_eq!(engine.table(&Principal::system(), "system", "audit").expect_err("none").kind(), ErrorKind::NotFound);
    engine.close().expect("closed");
    for days in [90, 7] {
        let engine = open(AuditOptions { retention_days: days, ..ALWAYS });
        assert_eq!(table(&engine).options.retention_ms, Some(u64::from(days) * 24 * 3600 * 1000));
        engine.close().expect("closed");
    }
    // It stays, once it is there.
    let engine = open(AuditOptions::default());
    engine.create_role(&Principal::anonymous(), "another").expect("a role");
    assert_eq!(of(&engine, "anonymous"), ["create_role role - another done"]);
}

#[test]
fn resets_and_resends_are_told_of_with_what_they_mean() {
    let (owner, who) = (Principal::named("audit_owner"), Principal::named("audit_caller"));
    let store = Store::with(&owner, ALWAYS);
    let reset = crate::model::OffsetReset { to: SeekTo::Offset(0), topic: Some("t".to_owned()), partition: Some(0) };
    store.engine.reset_offsets(&who, NAMESPACE, "g", reset).expect("it is reset");
    let letters = store.engine.table(&who, NAMESPACE, "m").expect("a table");
    store.engine.tell_resent(&who, &letters, 7, Some("no room")).expect("told");
    let shown = || -> Vec<String> {
        let own = lines(&store.engine).into_iter().filter(|line| line[0] == "audit_caller");
        own.map(|line| line[4..].join("|")).collect()
    };
    until(|| shown().len() == 2);
    assert_eq!(
        shown(),
        [
            "reset_offset|group|public|g|done|topic t partition 0 to offset 0",
            "resend|table|public|m|failed|7 messages, then: no room",
        ]
    );
}
