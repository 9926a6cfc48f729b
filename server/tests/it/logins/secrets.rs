//! Nothing secret comes out: not by logs, errors, listings or the arguments of processes.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use millstream_client::Credentials;
use serde_json::json;

use super::{ADMIN, ANN, admin, client, done, run, server, told};
use crate::remoting::{Remoting, signed};

const WRONG: &str = "typed by mistake";
const LATER: &str = "the password after";

#[test]
fn nothing_secret_is_logged_or_shown() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &["--log", "debug"]);
    let (secrets, shown) = run(async {
        let admin = admin(&server).await;
        done(&admin, &[&format!("CREATE USER ann PASSWORD '{ANN}'"), "CREATE TABLE t (id BIGINT)"]).await;
        done(&admin, &["CREATE ACCESS KEY FOR ann WITH (access_key = 'AKann', secret_key = 'chosen by somebody')"])
            .await;
        let token = told(&admin, "CREATE TOKEN n FOR ann").await;
        let made = admin.sql("CREATE ACCESS KEY FOR ann").await.unwrap();
        let key = arrow::array::AsArray::as_string::<i32>(made[0].column(1)).value(0).to_owned();
        let mut shown = Vec::new();
        // All ways to change a secret, to show one, and to show a wrong one.
        done(&admin, &[&format!("ALTER USER ann PASSWORD '{LATER}'"), &format!("ALTER USER ann PASSWORD '{ANN}'")])
            .await;
        let rotated = told(&admin, "CREATE TOKEN other FOR ann").await;
        let rotated = [rotated, told(&admin, "ALTER TOKEN other FOR ann ROTATE").await];
        let made = admin.sql("ALTER ACCESS KEY 'AKann' ROTATE").await.unwrap();
        let rotated_key = made[0].columns().last().unwrap();
        let rotated_key = arrow::array::AsArray::as_string::<i32>(rotated_key).value(0).to_owned();
        done(&admin, &["CREATE ACCESS KEY FOR ann WITH (access_key = 'ann-key', secret_key = 'ann-secret')"]).await;
        let mut remoting = Remoting::connect(server.remoting);
        for signed_body in [&b"x"[..], b"another"] {
            let fields = signed::signed("ann", &json!({"topic": "none"}), signed_body);
            let (_, header, _) = remoting.ask(17, &fields, b"x");
            shown.push(header.to_string());
        }
        let (_, header, _) = remoting.ask(105, &json!({"topic": "t", "AccessKey": token, "Signature": "AAAA"}), b"");
        shown.push(header.to_string());
        let (_, header, _) = remoting.ask(105, &json!({"topic": "t", "AccessKey": format!("{token}x")}), b"");
        shown.push(header.to_string());
        for (user, password) in [("ann", WRONG), (WRONG, ANN), (LATER, "")] {
            let authorization = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            let (status, answer) = server.http("POST", "/v1/sql", &[("Authorization", &authorization)], b"SELECT 1");
            assert_eq!(status, 401);
            shown.push(String::from_utf8(answer).unwrap());
        }
        // What waits is written within a second.
        let audited =
            "SELECT count(*) FROM system.audit WHERE outcome = 'refused' AND door = 'http' AND principal IS NULL";
        for _ in 0..200 {
            let found = admin.sql(audited).await.unwrap();
            let count = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(found[0].column(0)).value(0);
            if count > 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        for statement in [
            "SELECT * FROM system.audit",
            "SHOW CREATE TABLE system.audit",
            "SHOW CREATE TABLE t",
            "SELECT * FROM system.tables",
            "SELECT * FROM system.grants",
            "SHOW USERS",
            "SHOW TOKENS",
            "SHOW ACCESS KEYS",
            "SELECT * FROM system.users",
            "SELECT * FROM system.tokens",
            "SELECT * FROM system.access_keys",
            "SELECT * FROM system.log",
        ] {
            let authorization = format!("Basic {}", STANDARD.encode(format!("admin:{ADMIN}")));
            let headers = [("Authorization", authorization.as_str())];
            let (_, answer) = server.http("POST", "/v1/sql", &headers, statement.as_bytes());
            shown.push(String::from_utf8(answer).unwrap());
            match admin.sql(statement).await {
                Ok(batches) => shown.push(format!("{batches:?}")),
                Err(error) => shown.push(error.to_string()),
            }
        }
        for statement in [
            format!("ALTER USER nobody PASSWORD '{ANN}'"),
            format!("CREATE USER ann PASSWORD '{ANN}'"),
            "CREATE ACCESS KEY FOR ann WITH (access_key = 'AKann', secret_key = 'chosen by somebody')".to_owned(),
        ] {
            shown.push(admin.sql(&statement).await.unwrap_err().to_string());
        }
        for credentials in
            [Credentials::password("ann", format!("{ANN} wrong")), Credentials::token(format!("{token}x"))]
        {
            shown.push(client(&server, credentials).await.sql("SELECT 1").await.unwrap_err().to_string());
        }
        client(&server, Credentials::token(&token)).await.sql("SELECT 1").await.unwrap();
        for (authorization, body) in [
            (format!("Bearer {token}"), format!("ALTER USER ann PASSWORD '{ANN}' nonsense '{key}'")),
            (format!("Bearer {token}x"), "SELECT 1".to_owned()),
            (token.clone(), "SELECT 1".to_owned()),
        ] {
            let (_, answer) = server.http("POST", "/v1/sql", &[("Authorization", &authorization)], body.as_bytes());
            let answer = String::from_utf8(answer).unwrap();
            assert!(!answer.contains(&token), "{answer}");
        }
        let secrets = [vec![token, key, rotated_key], rotated.to_vec()].concat();
        (secrets, shown)
    });
    let arguments = std::fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap();
    let log = server.ended_log();
    assert!(log.contains(" DEBUG "), "{log}");
    let all = [log, shown.join("\n"), String::from_utf8_lossy(&arguments).into_owned()];
    let known = [ADMIN, ANN, LATER, WRONG, "chosen by somebody", "ann-secret", "$argon2"];
    assert!(shown.iter().any(|shown| shown.contains("rotate_access_key")), "the audit table is among them");
    for secret in known.into_iter().chain(secrets.iter().map(String::as_str)) {
        // As it is, and as it stands in base 64, wherever that begins.
        let coded = (0..3).map(|shift| {
            let whole = STANDARD_NO_PAD.encode(format!("{}{secret}", "x".repeat(shift)));
            // The first characters hold bits of what lies before, and the last ones of what lies behind.
            whole[4 * usize::from(shift > 0)..whole.len() - 2].to_owned()
        });
        for form in std::iter::once(secret.to_owned()).chain(coded) {
            for place in &all {
                let line = place.lines().find(|line| line.contains(&form));
                assert!(line.is_none(), "{secret:?} is shown: {line:?}");
            }
        }
    }
}
