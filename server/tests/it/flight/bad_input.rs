//! What a broken or hostile client sends. Rows acknowledged before stay, and the server goes on.

use std::io::{ErrorKind as IoError, Read};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{BinaryArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::FlightData;
use arrow_flight::Ticket;
use tonic::Code;

use super::wire::{batch_message, connect, put, rows, run, schema, schema_message, stamp};
use crate::program::Server;

fn table() -> Server {
    let server = Server::start();
    server.ok(&["sql", "-c", "CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR)"]);
    server
}

/// Sends a good batch, then `bad`; checks the error and that the good rows are there.
fn check(server: &Server, bad: FlightData, code: Code, word: &str) {
    run(async {
        let good = batch_message(&rows(0, 10), Default::default());
        let (acks, end) = put(server, vec![schema_message(&schema(), "t"), good, bad]).await;
        let status = end.unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(word), "{status:?} does not say {word:?}");
        assert_eq!(acks.iter().filter(|ack| ack.error.is_none()).count(), 1, "{acks:?}");
        assert!(acks.last().unwrap().error.is_some());
    });
    assert_eq!(server.ok(&["sql", "-c", "SELECT count(*) AS n FROM t", "--format", "csv"]), "n\n10\n");
}

#[test]
fn garbage_is_refused() {
    let garbage = FlightData::new().with_data_header(vec![0xA5; 200]).with_data_body(vec![0x5A; 100]);
    check(&table(), garbage, Code::InvalidArgument, "malformed");
}

#[test]
fn a_cut_body_is_refused() {
    let mut cut = batch_message(&rows(0, 1000), Default::default());
    cut.data_body.truncate(100);
    check(&table(), cut, Code::InvalidArgument, "outside the body");
}

#[test]
fn metadata_of_something_else_is_refused() {
    let odd = batch_message(&rows(0, 1), Default::default()).with_app_metadata(vec![0xff; 9]);
    check(&table(), odd, Code::InvalidArgument, "Append");
}

#[test]
fn a_message_over_the_limit_is_refused() {
    let schema = Arc::new(Schema::new(vec![Field::new("b", DataType::Binary, true)]));
    let bytes = vec![0u8; 80 << 20];
    let blob = RecordBatch::try_new(schema, vec![Arc::new(BinaryArray::from_vec(vec![&bytes]))]).unwrap();
    check(&table(), batch_message(&blob, Default::default()), Code::ResourceExhausted, "limit");
}

#[test]
fn a_wrong_schema_names_the_column() {
    let server = table();
    let schema = Arc::new(Schema::new(vec![Field::new("identity", DataType::Utf8, false)]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(StringArray::from(vec!["x"]))]).unwrap();
    run(async {
        let (_, end) = put(&server, vec![schema_message(&schema, "t"), batch_message(&batch, stamp(0))]).await;
        let status = end.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("id"), "{status:?}");
        let (_, end) = put(&server, vec![schema_message(&schema, "nowhere")]).await;
        assert_eq!(end.unwrap_err().code(), Code::NotFound);
        let (_, end) = put(&server, vec![FlightData::new()]).await;
        assert!(end.unwrap_err().message().contains("descriptor"));
    });
}

#[test]
fn a_wrong_schema_is_refused_before_anything_else_comes() {
    let server = table();
    run(async {
        for (name, data_type) in [("identity", DataType::Utf8), ("id", DataType::Binary), ("word", DataType::Utf8)] {
            let schema = Schema::new(vec![Field::new(name, data_type, true)]);
            let (acks, end) = put(&server, vec![schema_message(&schema, "t")]).await;
            let status = end.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
            assert!(status.message().contains("id"), "{status:?}");
            assert!(acks.iter().all(|ack| ack.error.is_some()));
        }
    });
}

#[test]
fn tickets_of_others_are_refused() {
    let server = Server::start();
    run(async {
        let mut client = connect(&server).await;
        for ticket in [&b""[..], b"{\"not\": \"ours\"}", &[0xff; 40]] {
            let status = client.do_get(Ticket::new(ticket.to_vec())).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        }
    });
}

#[test]
fn a_silent_connection_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::over(dir.path(), &["--header-timeout-ms", "200"]);
    let mut silent = TcpStream::connect(server.grpc).unwrap();
    silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut bytes = Vec::new();
    // The server's own preface may come first; then the end, one way or the other.
    match silent.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), IoError::ConnectionReset, "still open"),
    }
    assert_eq!(server.ok(&["sql", "-c", "SELECT 1 AS one", "--format", "csv"]), "one\n1\n");
}
