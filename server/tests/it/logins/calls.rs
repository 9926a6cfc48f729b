//! What one caller has begun is no other's.

use arrow_flight::sql::client::FlightSqlServiceClient;
use millstream_client::Credentials;
use tonic::transport::Channel;

use super::{ANN, admin, client, done, run, server, users};
use crate::flight::wire::connect;
use crate::program::Server;

async fn sql(server: &Server, user: &str) -> FlightSqlServiceClient<Channel> {
    use base64::Engine as _;
    let mut client = FlightSqlServiceClient::new_from_inner(connect(server).await);
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{ANN}"));
    client.set_header("authorization", format!("Basic {basic}"));
    client
}

#[test]
fn a_prepared_statement_is_its_callers() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    run(async {
        let admin = admin(&server).await;
        users(&admin).await;
        done(&admin, &["CREATE TABLE t (id BIGINT)", "GRANT READ ON TABLE t TO ann, dora"]).await;
        let (mut ann, mut dora) = (sql(&server, "ann").await, sql(&server, "dora").await);
        let mut prepared = ann.prepare("SELECT * FROM t".to_owned(), None).await.unwrap();
        let info = prepared.execute().await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        assert!(ann.do_get(ticket.clone()).await.is_ok());
        let refused = dora.do_get(ticket.clone()).await.unwrap_err().to_string();
        assert!(refused.contains("is not open"), "{refused}");
        // Nor may somebody else close it.
        let close = arrow_flight::sql::ActionClosePreparedStatementRequest {
            prepared_statement_handle: prepared_handle(&ticket),
        };
        let body = prost::Message::encode_to_vec(&arrow_flight::sql::ProstMessageExt::as_any(&close));
        let action = arrow_flight::Action::new("ClosePreparedStatement", body);
        dora.do_action(tonic::Request::new(action)).await.unwrap();
        assert!(ann.do_get(ticket).await.is_ok());
    });
}

fn prepared_handle(ticket: &arrow_flight::Ticket) -> bytes::Bytes {
    use arrow_flight::sql::{Any, Command};
    let any: Any = prost::Message::decode(ticket.ticket.clone()).unwrap();
    match Command::try_from(any).unwrap() {
        Command::CommandPreparedStatementQuery(statement) => statement.prepared_statement_handle,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_may_not_see_a_table_does_not_hear_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = server(dir.path(), &[]);
    run(async {
        let admin = admin(&server).await;
        users(&admin).await;
        done(&admin, &["CREATE TABLE hidden (id BIGINT)", "CREATE TABLE seen (id BIGINT)"]).await;
        done(&admin, &["GRANT READ ON TABLE seen TO ann"]).await;
        let ann = client(&server, Credentials::password("ann", ANN)).await;
        let refused = ann.sql("SELECT * FROM hidden").await.unwrap_err().to_string();
        let missing = ann.sql("SELECT * FROM missing").await.unwrap_err().to_string();
        assert_eq!(refused.replace("hidden", "missing"), missing);
        ann.sql("SELECT * FROM seen").await.unwrap();
        let refused = ann.sql("INSERT INTO seen VALUES (1)").await.unwrap_err();
        assert_eq!(refused.kind(), millstream_client::ErrorKind::PermissionDenied);
    });
}
