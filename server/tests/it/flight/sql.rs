//! Flight SQL as drivers speak it.

use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{CommandGetTables, CommandStatementIngest, TableDefinitionOptions};
use arrow_flight::{Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus};
use futures::TryStreamExt;
use prost::Message;
use tonic::transport::Channel;

use super::wire::{batch_message, connect, put, rows, run, schema, schema_message};
use crate::program::Server;

async fn client(server: &Server) -> FlightSqlServiceClient<Channel> {
    FlightSqlServiceClient::new_from_inner(connect(server).await)
}

async fn count(client: &mut FlightSqlServiceClient<Channel>, sql: &str) -> usize {
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let batches: Vec<_> = client.do_get(ticket).await.unwrap().try_collect().await.unwrap();
    batches.iter().map(|batch| batch.num_rows()).sum()
}

#[test]
fn planning_has_no_effect() {
    let server = Server::start();
    run(async {
        let mut client = client(&server).await;
        let info = client.execute("CREATE TABLE t (id BIGINT)".to_owned(), None).await.unwrap();
        assert!(client.execute("SELECT * FROM t".to_owned(), None).await.is_err());
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let said: Vec<_> = client.do_get(ticket).await.unwrap().try_collect().await.unwrap();
        assert_eq!(said[0].schema().field(1).name(), "message");
        assert_eq!(count(&mut client, "SELECT * FROM t").await, 0);
    });
}

#[test]
fn prepared_statements_take_parameters() {
    let server = Server::start();
    run(async {
        let mut client = client(&server).await;
        let refused = client.handshake("somebody", "secret").await.unwrap_err();
        assert!(refused.to_string().contains("empty password"), "{refused}");
        client.handshake("somebody", "").await.unwrap();
        client.execute_update("CREATE TABLE t (id BIGINT, word VARCHAR)".to_owned(), None).await.unwrap();
        let mut insert = client.prepare("INSERT INTO t VALUES ($1, $2)".to_owned(), None).await.unwrap();
        insert.set_parameters(rows(0, 20)).unwrap();
        assert_eq!(insert.execute_update().await.unwrap(), 20);
        insert.close().await.unwrap();
        let mut select = client.prepare("SELECT * FROM t WHERE id >= $1".to_owned(), None).await.unwrap();
        assert_eq!(select.dataset_schema().unwrap().fields().len(), 2);
        select.set_parameters(rows(15, 1).project(&[0]).unwrap()).unwrap();
        let info = select.execute().await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let batches: Vec<_> = client.do_get(ticket.clone()).await.unwrap().try_collect().await.unwrap();
        assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 5);
        select.close().await.unwrap();
        let gone = client.do_get(ticket).await.err().unwrap();
        assert!(gone.to_string().contains("not open"), "{gone}");
    });
}

#[test]
fn ingest_creates_appends_and_refuses() {
    let server = Server::start();
    run(async {
        let mut client = client(&server).await;
        let mut ingest = async |create: i32, exists: i32, temporary: bool| {
            let options = TableDefinitionOptions { if_not_exist: create, if_exists: exists };
            let command = CommandStatementIngest {
                table_definition_options: Some(options),
                table: "bulk".to_owned(),
                schema: None,
                catalog: None,
                temporary,
                transaction_id: None,
                options: Default::default(),
            };
            let batches = futures::stream::iter([Ok(rows(0, 1000)), Ok(rows(1000, 1000))]);
            client.execute_ingest(command, batches).await.map_err(|error| error.to_string())
        };
        assert!(ingest(2, 2, false).await.unwrap_err().contains("does not exist"));
        assert_eq!(ingest(1, 1, false).await, Ok(2000));
        assert!(ingest(1, 1, false).await.unwrap_err().contains("already exists"));
        assert_eq!(ingest(1, 2, false).await, Ok(2000));
        assert_eq!(ingest(1, 3, false).await, Ok(2000));
        assert!(ingest(1, 2, true).await.unwrap_err().contains("temporary"));
        assert_eq!(count(&mut client, "SELECT * FROM bulk").await, 2000);
    });
}

#[test]
fn transactions_are_refused_and_tables_listed() {
    let server = Server::start();
    run(async {
        let mut client = client(&server).await;
        client.execute_update("CREATE TABLE t (id BIGINT)".to_owned(), None).await.unwrap();
        let refused = client.begin_transaction().await.unwrap_err().to_string();
        assert!(refused.contains("no transactions"), "{refused}");
        let info = client.get_tables(CommandGetTables { include_schema: true, ..Default::default() }).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let tables: Vec<_> = client.do_get(ticket).await.unwrap().try_collect().await.unwrap();
        assert_eq!(tables[0].schema().fields().len(), 5);
        assert!(tables[0].num_rows() > 1);
        assert!(client.get_sql_info(vec![arrow_flight::sql::SqlInfo::FlightSqlServerName]).await.is_ok());
    });
}

#[test]
fn a_query_can_be_cancelled() {
    let server = Server::start();
    run(async {
        let mut client = client(&server).await;
        client.execute_update("CREATE TABLE big (id BIGINT NOT NULL, word VARCHAR)".to_owned(), None).await.unwrap();
        let table = vec![schema_message(&schema(), "big"), batch_message(&rows(0, 50_000), Default::default())];
        put(&server, table).await.1.unwrap();
        let sql = "SELECT a.word, b.word FROM big a CROSS JOIN big b".to_owned();
        let info = client.execute(sql, None).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let mut rows = client.do_get(ticket).await.unwrap();
        assert!(rows.try_next().await.unwrap().is_some());
        let body = CancelFlightInfoRequest { info: Some(info) }.encode_to_vec();
        let mut flight = connect(&server).await;
        let mut answer = flight.do_action(Action::new("CancelFlightInfo", body)).await.unwrap().into_inner();
        let answer = CancelFlightInfoResult::decode(answer.message().await.unwrap().unwrap().body).unwrap();
        assert_eq!(answer.status(), CancelStatus::Cancelled);
        let ended = loop {
            match rows.try_next().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("a cancelled query must not look like one that ended"),
                Err(error) => break error.to_string(),
            }
        };
        assert!(ended.contains("cancelled"), "{ended}");
    });
}
