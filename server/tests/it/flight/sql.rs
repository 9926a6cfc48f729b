//! Flight SQL as drivers speak it.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, DurationSecondArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandGetTables,
    CommandPreparedStatementQuery, CommandStatementIngest, CommandStatementQuery, ProstMessageExt,
    TableDefinitionOptions,
};
use arrow_flight::{Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightDescriptor, Ticket};
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
fn statements_are_executed_once_before_their_result_is_asked_for() {
    let server = Server::start();
    run(async {
        let mut client = client(&server).await;
        client.execute("CREATE TABLE t (id BIGINT)".to_owned(), None).await.unwrap();
        let info = client.execute("INSERT INTO t VALUES (1)".to_owned(), None).await.unwrap();
        assert_eq!(count(&mut client, "SELECT * FROM t").await, 1);
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        for _ in 0..3 {
            let said: Vec<_> = client.do_get(ticket.clone()).await.unwrap().try_collect().await.unwrap();
            assert_eq!(said[0].schema().field(1).name(), "message");
            assert_eq!(said[0].column(0).as_primitive::<Int64Type>().value(0), 1);
        }
        let mut insert = client.prepare("INSERT INTO t VALUES ($1)".to_owned(), None).await.unwrap();
        insert.set_parameters(rows(2, 1).project(&[0]).unwrap()).unwrap();
        let info = insert.execute().await.unwrap();
        assert_eq!(count(&mut client, "SELECT * FROM t").await, 2);
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let said: Vec<_> = client.do_get(ticket).await.unwrap().try_collect().await.unwrap();
        assert_eq!(said[0].num_rows(), 1);
        assert_eq!(count(&mut client, "SELECT * FROM t").await, 2);
        for wrong in ["CREATE TABLE t (id BIGINT)", "DROP TABLE u", "ALTER TABLE t SET (partitions = 0)"] {
            assert!(client.execute(wrong.to_owned(), None).await.is_err(), "{wrong}");
        }
    });
}

#[test]
fn describing_and_fetching_change_nothing() {
    let server = Server::start();
    run(async {
        let mut client = client(&server).await;
        client.execute_update("CREATE TABLE t (id BIGINT)".to_owned(), None).await.unwrap();
        let query = "INSERT INTO t VALUES (1)".to_owned();
        let command = CommandStatementQuery { query: query.clone(), transaction_id: None }.as_any().encode_to_vec();
        let mut flight = connect(&server).await;
        flight.get_schema(FlightDescriptor::new_cmd(command)).await.unwrap();
        let body = ActionCreatePreparedStatementRequest { query, transaction_id: None }.as_any().encode_to_vec();
        let mut answer = flight.do_action(Action::new("CreatePreparedStatement", body)).await.unwrap().into_inner();
        let answer = Any::decode(answer.message().await.unwrap().unwrap().body).unwrap();
        let prepared: ActionCreatePreparedStatementResult = answer.unpack().unwrap().unwrap();
        let prepared_statement_handle = prepared.prepared_statement_handle;
        let ticket = CommandPreparedStatementQuery { prepared_statement_handle }.as_any().encode_to_vec();
        let refused = client.do_get(Ticket::new(ticket)).await.err().unwrap().to_string();
        assert!(refused.contains("DoGet executes queries"), "{refused}");
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

/// Ingests with what to do if the table is not there (1 create, 2 fail) and if it is (1 fail, 2 append, 3 replace).
async fn ingest(
    client: &mut FlightSqlServiceClient<Channel>,
    table: &str,
    (if_not_exist, if_exists, temporary): (i32, i32, bool),
    batches: Vec<Result<RecordBatch, FlightError>>,
) -> Result<i64, String> {
    let command = CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions { if_not_exist, if_exists }),
        table: table.to_owned(),
        schema: None,
        catalog: None,
        temporary,
        transaction_id: None,
        options: Default::default(),
    };
    client.execute_ingest(command, futures::stream::iter(batches)).await.map_err(|error| error.to_string())
}

#[test]
fn ingest_creates_appends_and_refuses() {
    let server = Server::start();
    run(async {
        let mut client = client(&server).await;
        let mut ingest = async |create, exists, temporary| {
            let batches = vec![Ok(rows(0, 1000)), Ok(rows(1000, 1000))];
            ingest(&mut client, "bulk", (create, exists, temporary), batches).await
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
fn an_ingest_that_fails_leaves_what_was_there() {
    let server = Server::start();
    run(async {
        let mut client = client(&server).await;
        ingest(&mut client, "kept", (1, 1, false), vec![Ok(rows(0, 10))]).await.unwrap();
        let odd: ArrayRef = Arc::new(DurationSecondArray::from(vec![1]));
        let odd = RecordBatch::try_from_iter([("d", odd)]).unwrap();
        ingest(&mut client, "kept", (1, 3, false), vec![Ok(odd)]).await.unwrap_err();
        assert_eq!(count(&mut client, "SELECT id FROM kept").await, 10);
        // A row that no commit can hold.
        let long: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(9 << 20)]));
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let long = RecordBatch::try_new(rows(0, 0).schema(), vec![ids, long]).unwrap();
        ingest(&mut client, "made", (1, 1, false), vec![Ok(rows(0, 10)), Ok(long)]).await.unwrap_err();
        let gone = client.execute("SELECT * FROM made".to_owned(), None).await.unwrap_err().to_string();
        assert!(gone.contains("does not exist"), "{gone}");
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
