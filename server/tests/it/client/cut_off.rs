//! Calls that an intermediary gives up: on the wire they end, in order and without a status.

use std::net::SocketAddr;

use futures::StreamExt;
use millstream_client::{Client, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::{append, ids, run, sql, table};

/// The types of HTTP/2's frames that matter here.
const DATA: u8 = 0;
const RST_STREAM: u8 = 3;
/// The reason of a stream that is no longer wanted, which is no error.
const CANCEL: u32 = 8;
/// Answers to queries are longer than those that describe them.
const OF_ROWS: usize = 10_000;

/// Passes one connection on, but resets each stream behind its first large piece of data.
async fn resetting(to: SocketAddr) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("grpc://{}", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let (near, _) = listener.accept().await.unwrap();
        let far = TcpStream::connect(to).await.unwrap();
        let ((mut from_client, to_client), (from_server, mut to_server)) = (near.into_split(), far.into_split());
        let sending = async move { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
        let _ = tokio::join!(sending, frames(from_server, to_client));
    });
    (url, tasks)
}

async fn frames(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) -> std::io::Result<()> {
    let mut gone = Vec::new();
    loop {
        let mut head = [0; 9];
        from.read_exact(&mut head).await?;
        let [a, b, c, kind, _, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        from.read_exact(&mut payload).await?;
        if gone.contains(&stream) {
            continue;
        }
        to.write_all(&head).await?;
        to.write_all(&payload).await?;
        if kind == DATA && payload.len() > OF_ROWS {
            let [a, b, c, d] = stream;
            to.write_all(&[0, 0, 4, RST_STREAM, 0, a, b, c, d]).await?;
            to.write_all(&CANCEL.to_be_bytes()).await?;
            gone.push(stream);
        }
    }
}

#[test]
fn a_query_that_was_cut_off_is_no_whole_answer() {
    let server = table(1);
    run(async {
        let direct = Client::connect(&server.url()).await.unwrap();
        append(&direct, 0, &ids(0, 400_000)).await;
        let (url, _proxy) = resetting(server.grpc).await;
        let client = Client::connect(&url).await.unwrap();
        let mut batches = client.query("SELECT id FROM t").await.unwrap().batches;
        let mut rows = 0;
        let error = loop {
            match batches.next().await {
                Some(Ok(batch)) => rows += batch.num_rows(),
                Some(Err(error)) => break error,
                None => panic!("{rows} rows look like all of them"),
            }
        };
        assert!(rows < 400_000 && matches!(error, Error::Unreachable { .. }), "{rows} rows, {error:?}");

        // The command line says so too.
        let (url, _proxy) = resetting(server.grpc).await;
        let exported = tempfile::tempdir().unwrap();
        let file = exported.path().join("t.csv");
        let export = ["export", "t", file.to_str().unwrap(), "--url", &url];
        let output = tokio::task::block_in_place(|| crate::program::millstream().args(export).output().unwrap());
        assert_ne!(crate::program::code(&output), 0, "{output:?}");
        assert!(!file.exists());
    });
    assert_eq!(sql(&server, "SELECT count(*) AS n FROM t"), "n\n400000\n");
}
