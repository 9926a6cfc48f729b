//! The audit table: who came by which door, from where, and what came of it.

use arrow::array::{Array, AsArray};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_client::{Client, Credentials, ErrorKind};
use serde_json::json;

use super::{ANN, admin, client, done, run, server, told};
use crate::remoting::{Remoting, signed};

/// A statement's rows, with `-` for null.
async fn lines(client: &Client, statement: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in client.sql(statement).await.unwrap_or_else(|error| panic!("{statement}: {error}")) {
        for row in 0..batch.num_rows() {
            let text = |column: &std::sync::Arc<dyn Array>| {
                let column = column.as_string::<i32>();
                if column.is_null(row) { "-".to_owned() } else { column.value(row).to_owned() }
            };
            lines.push(batch.columns().iter().map(text).collect::<Vec<_>>().join("|"));
        }
    }
    lines
}

#[test]
fn each_door_tells_who_did_what_from_where() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    let basic = |password: &str| format!("Basic {}", STANDARD.encode(format!("ann:{password}")));
    let http = |password: &str, statement: &str| {
        server.http("POST", "/v1/sql", &[("Authorization", &basic(password))], statement.as_bytes()).0
    };
    let token = run(async {
        let admin = admin(&server).await;
        done(&admin, &[&format!("CREATE USER ann PASSWORD '{ANN}'"), "CREATE NAMESPACE ann"]).await;
        done(&admin, &["GRANT DEFINE, PRODUCE, CONSUME, READ ON NAMESPACE ann TO ann"]).await;
        done(&admin, &["CREATE ACCESS KEY FOR ann WITH (access_key = 'ann-key', secret_key = 'ann-secret')"]).await;
        let token = told(&admin, "CREATE TOKEN ci FOR ann").await;
        let ann = client(&server, Credentials::token(&token)).await;
        done(&ann, &["CREATE TABLE ann.by_flight (id BIGINT)"]).await;
        let refused = ann.sql("CREATE TABLE public.by_flight (id BIGINT)").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied, "{refused}");
        client(&server, Credentials::password("ann", "not hers")).await.sql("SELECT 1").await.unwrap_err();
        token
    });
    assert_eq!(http(ANN, "CREATE TABLE ann.by_http (id BIGINT)"), 200);
    assert_eq!(http(ANN, "CREATE ROLE more"), 403);
    assert_eq!(http("not hers", "SELECT 1"), 401);
    let mut remoting = Remoting::connect(server.remoting);
    let create = |name: &str| json!({"topic": name, "readQueueNums": 1, "writeQueueNums": 1, "perm": 6});
    assert_eq!(remoting.ask(17, &signed::signed("ann", &create("ann%by_remoting"), b""), b"").0, 0);
    assert_eq!(remoting.ask(17, &signed::signed("ann", &create("by_remoting"), b""), b"").0, signed::REFUSED);
    let mut forged = signed::signed("ann", &create("ann%forged"), b"");
    forged["topic"] = json!("ann%other");
    assert_eq!(remoting.ask(17, &forged, b"").0, signed::REFUSED);

    run(async {
        let admin = admin(&server).await;
        let wanted = [
            "ann|token ci|127.0.0.1|flight|create_table|table|ann|by_flight|done",
            "ann|token ci|127.0.0.1|flight|define|table|public|by_flight|refused",
            "ann|token ci|127.0.0.1|flight|login|user|-|ann|done",
            "ann|password|127.0.0.1|flight|login|user|-|ann|refused",
            "ann|password|127.0.0.1|http|create_table|table|ann|by_http|done",
            "ann|password|127.0.0.1|http|grant|server|-|-|refused",
            "ann|password|127.0.0.1|http|login|user|-|ann|done",
            "ann|password|127.0.0.1|http|login|user|-|ann|refused",
            "ann|key ann-key|127.0.0.1|remoting|create_table|table|ann|by_remoting|done",
            "ann|key ann-key|127.0.0.1|remoting|define|table|public|by_remoting|refused",
            "ann|key ann-key|127.0.0.1|remoting|login|user|-|ann|done",
            "ann|key|127.0.0.1|remoting|login|user|-|ann|refused",
            "admin|password|127.0.0.1|flight|create_user|user|-|ann|done",
            "admin|password|127.0.0.1|flight|create_token|token|-|ci|done",
            "admin|password|127.0.0.1|flight|create_access_key|access_key|-|ann-key|done",
            "system|-|-|-|create_user|user|-|admin|done",
        ];
        let select = "SELECT principal, login, address, door, action, kind, namespace, name, outcome FROM system.audit";
        // What was refused, and who has logged in, is written a second later.
        for _ in 0..200 {
            let told = lines(&admin, select).await;
            if wanted.iter().all(|line| told.iter().any(|told| told == line)) {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let told = lines(&admin, select).await;
        for line in wanted {
            assert!(told.iter().any(|told| told == line), "{line} of {told:#?}");
        }
        let forged = told.iter().filter(|line| line.contains("forged") || line.contains("ann|other")).count();
        assert_eq!(forged, 0);
        // It is a table like any other, for whoever operates the server.
        let counted =
            "SELECT CAST(count(*) > 15 AS VARCHAR) FROM system.audit WHERE \"at\" > now() - INTERVAL '1 hour'";
        assert_eq!(lines(&admin, counted).await, ["true"]);
        let columns = lines(&admin, "SELECT column_name, data_type FROM system.columns WHERE relation = 'audit'").await;
        assert_eq!((columns.len(), columns[0].starts_with("at|TIMESTAMP")), (11, true), "{columns:?}");
        let shown = lines(&admin, "SHOW CREATE TABLE system.audit").await;
        assert!(shown[0].contains("retention = '90 days'"), "{shown:?}");
        let refused = admin.sql("DROP TABLE system.audit").await.unwrap_err();
        assert!(refused.to_string().contains("can't be changed"), "{refused}");
        let hidden = client(&server, Credentials::token(&token)).await.sql(select).await.unwrap_err();
        assert!(hidden.to_string().contains("audit") && !hidden.to_string().contains("OPERATE"), "{hidden}");
    });
}
