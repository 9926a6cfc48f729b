//! Users, roles and grants by SQL: the statements, and two tenants who try everything across.

use millstream_engine::{Credentials, ErrorKind, Principal};
use millstream_sql::{SqlEngine, SqlOptions, SqlSession};

use crate::support::{collect, format_rows};

const PASSWORD: &str = "a long password";

struct Server {
    engine: millstream_engine::Engine,
    sql: SqlEngine,
    _dir: tempfile::TempDir,
}

impl Server {
    fn open() -> Server {
        let dir = tempfile::tempdir().unwrap();
        let engine = millstream_engine::Engine::open(dir.path()).unwrap();
        let sql = SqlEngine::new(engine.clone(), SqlOptions::default()).unwrap();
        assert!(engine.init_administrator(PASSWORD).unwrap());
        Server { engine, sql, _dir: dir }
    }

    fn session(&self, user: &str, namespace: &str) -> SqlSession {
        let who = self.engine.authenticate(Some(Credentials::Password { user, password: PASSWORD }), None).unwrap();
        self.sql.session(who, namespace)
    }
}

async fn rows(session: &SqlSession, sql: &str) -> Result<Vec<String>, millstream_sql::Error> {
    Ok(collect(session.execute(sql).await?).await?.iter().flat_map(format_rows).collect())
}

async fn run(session: &SqlSession, sql: &str) -> Vec<String> {
    rows(session, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
}

async fn script(session: &SqlSession, sql: &str) {
    for statement in sql.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        run(session, statement).await;
    }
}

async fn refused(session: &SqlSession, sql: &str) -> (ErrorKind, String) {
    let error = rows(session, sql).await.expect_err(sql);
    (error.kind(), error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_do_what_they_say() {
    let server = Server::open();
    let admin = server.session("admin", "public");
    script(
        &admin,
        "CREATE TABLE orders (id BIGINT); CREATE TOPIC big AS SELECT id FROM orders WHERE id > 100;
         CREATE ROLE readers; CREATE ROLE IF NOT EXISTS readers; CREATE USER ann PASSWORD 'a long password' WITH (certificate = 'CN of ann');
         CREATE USER IF NOT EXISTS ann; CREATE USER 'bob@example.com';
         GRANT READ, CONSUME ON TABLE orders*, public.other TO readers WITH GRANT OPTION;
         GRANT ALL ON NAMESPACE n* TO readers, ann; GRANT USE PLUGIN ON PLUGIN public.* TO ann; GRANT OPERATE ON SERVER TO readers;
         GRANT PRODUCE ON GROUP g TO 'bob@example.com'; GRANT readers TO ann, 'bob@example.com'; REVOKE OPERATE ON SERVER FROM readers;
         REVOKE readers FROM 'bob@example.com'",
    )
    .await;
    let grants = run(&admin, "SHOW GRANTS FOR ann").await;
    assert_eq!(
        grants,
        [
            "ann|PRODUCE, CONSUME, READ, DEFINE, OPERATE, USE PLUGIN, GRANT OPTION|NAMESPACE|n*|NULL",
            "ann|USE PLUGIN|PLUGIN|public|*",
            "readers|PRODUCE, CONSUME, READ, DEFINE, OPERATE, USE PLUGIN, GRANT OPTION|NAMESPACE|n*|NULL",
            "readers|CONSUME, READ, GRANT OPTION|TABLE|public|orders*",
            "readers|CONSUME, READ, GRANT OPTION|TABLE|public|other",
        ]
    );
    let explained = run(&admin, "EXPLAIN GRANT ann READ ON orders").await;
    assert_eq!(explained, ["readers|CONSUME, READ, GRANT OPTION|TABLE public.orders*|ann > readers"]);
    assert!(run(&admin, "EXPLAIN GRANT ann READ ON big").await.is_empty(), "a topic is not its table");
    assert!(run(&admin, "EXPLAIN GRANT ann PRODUCE ON TABLE orders").await.is_empty());
    assert_eq!(run(&admin, "SELECT name, certificate, has_password FROM system.users ORDER BY 1").await.len(), 3);

    let token = run(&admin, "CREATE TOKEN t FOR ann EXPIRES '30 days'").await.remove(0);
    let later = run(&admin, "ALTER TOKEN t FOR ann ROTATE EXPIRES '2099-01-01T00:00:00Z'").await.remove(0);
    assert!(token.starts_with("mst_") && later.starts_with("mst_") && token != later);
    assert!(server.engine.authenticate(Some(Credentials::Token(&token)), None).is_err());
    assert_eq!(server.engine.authenticate(Some(Credentials::Token(&later)), None).unwrap().name(), "ann");
    let key = run(&admin, "CREATE ACCESS KEY FOR ann WITH (access_key = 'AK', secret_key = 'SK')").await;
    assert_eq!(key, ["AK|SK"]);
    assert!(run(&admin, "ALTER ACCESS KEY 'AK' ROTATE").await[0].starts_with("AK|"));
    script(
        &admin,
        "DROP ACCESS KEY 'AK'; DROP TOKEN t FOR ann; DROP TOKEN IF EXISTS t FOR ann; ALTER USER ann SET (disabled = true);
         ALTER USER ann SET (disabled = false, certificate = default); ALTER USER ann PASSWORD 'another password';
         ALTER USER ann SET PASSWORD NULL; DROP USER ann; DROP USER IF EXISTS ann; DROP ROLE readers",
    )
    .await;
    assert_eq!(run(&admin, "SELECT grantee FROM system.grants ORDER BY 1").await, ["admin", "bob@example.com"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said() {
    let server = Server::open();
    let admin = server.session("admin", "public");
    for (sql, kind, said) in [
        ("GRANT SELECT ON TABLE t TO admin", ErrorKind::InvalidInput, "PRODUCE"),
        ("GRANT READ ON t TO admin", ErrorKind::InvalidInput, "NAMESPACE"),
        ("GRANT READ ON TABLE t TO nobody", ErrorKind::NotFound, "nobody"),
        ("GRANT READ ON TABLE n*.t TO admin", ErrorKind::InvalidInput, "NAMESPACE"),
        ("GRANT READ ON TABLE 'a*b' TO admin", ErrorKind::InvalidInput, "at its end"),
        ("GRANT nothing TO admin", ErrorKind::NotFound, "nothing"),
        ("CREATE USER a PASSWORD 'short'", ErrorKind::InvalidInput, "8"),
        ("CREATE USER a WITH (nonsense = 1)", ErrorKind::InvalidInput, "certificate"),
        ("CREATE USER system", ErrorKind::InvalidInput, "reserved"),
        ("CREATE USER 'a b'", ErrorKind::InvalidInput, "letters"),
        ("CREATE TOKEN t FOR nobody", ErrorKind::NotFound, "nobody"),
        ("CREATE TOKEN t FOR admin EXPIRES '2001-01-01'", ErrorKind::InvalidInput, "expired"),
        ("DROP USER admin", ErrorKind::FailedPrecondition, "GRANT OPTION"),
        ("CREATE ACCESS KEY FOR admin WITH (access_key = 'a')", ErrorKind::InvalidInput, "together"),
        ("SHOW GRANTS FOR nobody", ErrorKind::NotFound, "nobody"),
    ] {
        let (found, message) = refused(&admin, sql).await;
        // SHOW of somebody who is not there shows nothing to whom shows everything.
        assert!(found == kind && message.contains(said), "{sql}: {found:?} {message}");
    }
    let stranger = server.sql.session(Principal::anonymous(), "public");
    assert_eq!(refused(&stranger, "SELECT * FROM system.tables").await.0, ErrorKind::Unauthenticated);
    let (_, message) = refused(&admin, "CREATE USER a PASSWORD 'a secret of hers' AND MORE").await;
    assert!(!message.contains("a secret"), "{message}");
}

/// Each tenant has a namespace with all of its rights, and objects with the same names.
async fn tenants(server: &Server) {
    let admin = server.session("admin", "public");
    for tenant in ["red", "blue"] {
        script(
            &admin,
            &format!(
                "CREATE SCHEMA {tenant}; CREATE ROLE {tenant}_team; GRANT ALL ON NAMESPACE {tenant} TO {tenant}_team;
                 CREATE USER {tenant}_user PASSWORD 'a long password'; GRANT {tenant}_team TO {tenant}_user"
            ),
        )
        .await;
        let session = server.session(&format!("{tenant}_user"), tenant);
        script(
            &session,
            &format!(
                "CREATE TABLE {tenant}_orders (id BIGINT, secret VARCHAR); CREATE TABLE orders (id BIGINT);
                 CREATE TOPIC big AS SELECT id FROM orders WHERE id > 1;
                 INSERT INTO orders VALUES (1), (2), (3); INSERT INTO {tenant}_orders VALUES (1, 'of {tenant}');
                 CREATE CONSUMER GROUP workers; CREATE TABLE m OF MESSAGES"
            ),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_crosses_from_one_tenant_to_another() {
    let server = Server::open();
    tenants(&server).await;
    let red = server.session("red_user", "red");
    // What there is of the other's is shown nowhere.
    for table in run(&red, "SELECT name FROM system.tables ORDER BY 1").await {
        assert!(!table.contains("blue"), "{table}");
    }
    let names = run(&red, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'system'").await;
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        match rows(&red, &format!("SELECT * FROM system.{name}")).await {
            Ok(shown) => assert!(!shown.iter().any(|row| row.contains("blue")), "system.{name}: {shown:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::PermissionDenied, "system.{name}: {error}"),
        }
    }
    let listed = run(&red, "SELECT * FROM information_schema.tables").await.join("\n");
    assert!(!listed.contains("blue") && listed.contains("red"), "{listed}");
    assert!(!run(&red, "SELECT * FROM information_schema.columns").await.join("\n").contains("blue"));
    // What is asked for by name is answered as if it were not there.
    for (sql, there, missing) in [
        ("SELECT * FROM {}", "blue.orders", "blue.no_such"),
        ("SELECT * FROM {}", "blue.orders", "nowhere.orders"),
        ("SELECT * FROM {}", "blue.big", "blue.no_such"),
        ("INSERT INTO {} VALUES (1)", "blue.orders", "blue.no_such"),
        ("DESCRIBE {}", "blue.orders", "blue.no_such"),
        ("SHOW CREATE TABLE {}", "blue.orders", "blue.no_such"),
        ("SHOW CREATE TOPIC {}", "blue.big", "blue.no_such"),
        ("DROP TABLE {}", "blue.orders", "blue.no_such"),
        ("DROP TOPIC {}", "blue.big", "blue.no_such"),
        ("ALTER TABLE {} ADD COLUMN x INT", "blue.orders", "blue.no_such"),
        ("ALTER TABLE {} SET (partitions = 9)", "blue.orders", "blue.no_such"),
        ("RELOAD TOPIC {}", "blue.big", "blue.no_such"),
        ("EXPLAIN TOPIC {}", "blue.big", "blue.no_such"),
        ("DROP CONSUMER GROUP {}", "blue.workers", "blue.no_such"),
        ("ALTER CONSUMER GROUP {} SET OFFSET TO LATEST", "blue.workers", "blue.no_such"),
        ("ALTER CONSUMER GROUP {} SET (max_attempts = 3)", "blue.workers", "blue.no_such"),
        ("CREATE TABLE {} (a INT)", "blue.orders", "blue.no_such"),
        ("CREATE TABLE {} (a INT)", "blue.t", "nowhere.t"),
        ("DROP SCHEMA {}", "blue", "nowhere"),
        ("ALTER SCHEMA {} SET (plugin_count = 1)", "blue", "nowhere"),
        ("CREATE SCHEMA {}", "blue", "nowhere"),
        ("USE {}", "blue", "nowhere"),
        ("GRANT READ ON TABLE {} TO red_team", "blue.orders", "blue.no_such"),
    ] {
        let (kind, answer) = refused(&red, &sql.replace("{}", there)).await;
        let (other_kind, other) = refused(&red, &sql.replace("{}", missing)).await;
        let plain =
            |text: &str, name: &str| name.split('.').fold(text.to_owned(), |text, part| text.replace(part, "X"));
        assert_eq!(
            (kind, plain(&answer, there)),
            (other_kind, plain(&other, missing)),
            "{sql} of {there} and {missing}"
        );
        assert!(!answer.contains("secret"), "{answer}");
    }
    // And all of it is there still, for who may.
    let blue = server.session("blue_user", "blue");
    assert_eq!(run(&blue, "SELECT count(*) FROM orders").await, ["3"]);
    assert_eq!(run(&red, "SELECT count(*) FROM orders").await, ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_shares_rows_without_its_table() {
    let server = Server::open();
    tenants(&server).await;
    let (admin, red, blue) =
        (server.session("admin", "public"), server.session("red_user", "red"), server.session("blue_user", "blue"));
    run(&red, "GRANT READ ON TOPIC red.big TO blue_team").await;
    assert_eq!(run(&blue, "SELECT id FROM red.big ORDER BY 1").await, ["2", "3"]);
    assert_eq!(
        refused(&blue, "SELECT id FROM red.orders").await.0,
        refused(&blue, "SELECT id FROM red.no_such").await.0
    );
    assert_eq!(run(&blue, "SELECT name FROM system.topics WHERE namespace = 'red'").await, ["big"]);
    let definition = run(&blue, "SELECT definition FROM system.topics WHERE namespace = 'red'").await;
    assert!(!definition.join("").contains("orders"), "the table is not to be named: {definition:?}");
    // The owner's right to the table is what the topic shows rows by.
    run(&admin, "REVOKE ALL ON NAMESPACE red FROM red_team").await;
    assert_eq!(run(&blue, "SELECT id FROM red.big ORDER BY 1").await, ["2", "3"], "she owns the table as well");
    run(&admin, "ALTER USER red_user SET (disabled = true)").await;
    let (kind, why) = refused(&blue, "SELECT id FROM red.big").await;
    assert!(kind == ErrorKind::PermissionDenied && why.contains("red_user"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_table_is_read_as_any_other_by_operators() {
    let server = Server::open();
    let admin = server.session("admin", "public");
    script(
        &admin,
        "CREATE USER ann PASSWORD 'a long password'; GRANT READ, CONSUME ON SERVER TO ann;
         CREATE TABLE orders OF MESSAGES; CREATE TABLE \"%DLQ%g\" OF MESSAGES; CREATE TOPIC t AS SELECT message_id FROM orders;
         DROP TOPIC t; CREATE CONSUMER GROUP g; ALTER CONSUMER GROUP g SET OFFSET TO EARLIEST ON TOPIC orders;
         RESEND MESSAGES FROM \"%DLQ%g\"",
    )
    .await;
    let lines = "SELECT action, kind, name, detail FROM system.audit WHERE principal = 'admin' AND action NOT IN ('login', 'resend') ORDER BY _offset";
    let wanted = [
        "create_user|user|ann|NULL",
        "grant|server|NULL|CONSUME, READ to ann",
        "create_table|table|orders|partitions = 1",
        "create_table|table|%DLQ%g|partitions = 1",
        "create_topic|topic|t|NULL",
        "drop_topic|topic|t|NULL",
        "create_group|group|g|NULL",
        "reset_offset|group|g|topic orders to start",
    ];
    assert_eq!(run(&admin, lines).await, wanted);
    // What is not a definition is written a second later.
    let resent = "SELECT name, outcome, detail FROM system.audit WHERE action = 'resend'";
    for _ in 0..200 {
        if !run(&admin, resent).await.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(run(&admin, resent).await, ["%DLQ%g|done|0 messages"]);

    let names =
        "SELECT table_name FROM information_schema.tables WHERE table_schema = 'system' AND table_name = 'audit'";
    assert_eq!(run(&admin, names).await, ["audit"]);
    assert!(run(&admin, "SELECT name FROM system.namespaces").await.iter().all(|name| name != "system"));
    for statement in [
        "INSERT INTO system.audit (at, action, kind, outcome) VALUES (now(), 'a', 'b', 'c')",
        "DROP TABLE system.audit",
    ] {
        let (kind, message) = refused(&admin, statement).await;
        assert_eq!(kind, ErrorKind::Unsupported, "{message}");
    }
    let ann = server.session("ann", "public");
    let (_, hidden) = refused(&ann, "SELECT * FROM system.audit").await;
    let (_, missing) = refused(&ann, "SELECT * FROM system.none").await;
    assert_eq!(hidden.replace("audit", "none"), missing);
    assert!(run(&ann, names).await.is_empty());
    script(&admin, "GRANT OPERATE ON SERVER TO ann").await;
    assert!(run(&ann, "SELECT * FROM system.audit").await.len() > wanted.len());
    // As a topic, too: other programs follow it.
    let polled = "SELECT action FROM poll('audit', 'siem', 3, 0, auto_offset_reset => 'earliest')";
    let siem = server.session("ann", "system");
    assert_eq!(run(&siem, polled).await.len(), 3);
}
