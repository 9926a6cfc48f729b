//! Nothing secret comes out: not by logs, errors, listings or the arguments of processes.

use millstream_client::Credentials;

use super::{ADMIN, ANN, admin, client, done, run, server, told};

#[test]
fn nothing_secret_is_logged_or_shown() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &["--log", "debug"]);
    let (token, key, shown) = run(async {
        let admin = admin(&server).await;
        done(&admin, &[&format!("CREATE USER ann PASSWORD '{ANN}'"), "CREATE TABLE t (id BIGINT)"]).await;
        done(&admin, &["CREATE ACCESS KEY FOR ann WITH (access_key = 'AKann', secret_key = 'chosen by somebody')"])
            .await;
        let token = told(&admin, "CREATE TOKEN n FOR ann").await;
        let made = admin.sql("CREATE ACCESS KEY FOR ann").await.unwrap();
        let key = arrow::array::AsArray::as_string::<i32>(made[0].column(1)).value(0).to_owned();
        let mut shown = Vec::new();
        for statement in [
            "SHOW USERS",
            "SHOW TOKENS",
            "SHOW ACCESS KEYS",
            "SELECT * FROM system.users",
            "SELECT * FROM system.tokens",
            "SELECT * FROM system.access_keys",
            "SELECT * FROM system.log",
        ] {
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
        (token, key, shown)
    });
    let arguments = std::fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap();
    let log = server.ended_log();
    assert!(log.contains(" DEBUG "), "{log}");
    let all = [log, shown.join("\n"), String::from_utf8_lossy(&arguments).into_owned()];
    for secret in [ADMIN, ANN, &token, &key, "chosen by somebody", "$argon2"] {
        for place in &all {
            let line = place.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "{secret:?} is shown: {line:?}");
        }
    }
}
