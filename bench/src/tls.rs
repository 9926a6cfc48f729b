//! What TLS costs: the same rows of one server by TLS and in plaintext, in turn.

use std::time::Duration;

use arrow_array::RecordBatch;
use millstream_client::{Client, TlsOptions};

use crate::process::Server;
use crate::report::{Figure, median};
use crate::{Result, Scale, data, remote};

const ROUNDS: usize = 5;
const IN_FLIGHT: usize = 1_000;

/// Figures `raw_topic_over_tls` and `single_rows_over_tls`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let dir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    // On this machine it takes both.
    let options = ["--tls", "self-signed", "--segment-threads", "0", "--tail-bytes", "2147483648"];
    let server = Server::start(&data, &options)?;
    let url = server.url.replacen("grpc://", "grpc+tls://", 1);
    let trusted = TlsOptions { ca_file: Some(data.join("tls/certificate.pem")), ..TlsOptions::default() };
    remote::block_on(async {
        let plain = remote::connect(&server.url).await?;
        let secure = Client::connect_with(&url, &trusted).await?;
        Ok(vec![raw_topic(&plain, &secure, scale).await?, single_rows(&plain, &secure, scale).await?])
    })
}

async fn raw_topic(plain: &Client, secure: &Client, scale: Scale) -> Result<Figure> {
    let batches = data::flights_times(scale.pick(1, 16))?;
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    remote::load(plain, "flights", &batches).await?;
    let (mut by_tls, mut without) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        for (name, client, rates) in [("plain", plain, &mut without), ("tls", secure, &mut by_tls)] {
            let taken = remote::read_all(client, "flights", &format!("{name}{round}"), rows as u64).await?;
            rates.push(taken.bytes as f64 / taken.seconds);
        }
    }
    // The first round warms up.
    let [by_tls, without] = [by_tls, without].map(|rates| median(rates[1..].to_vec()));
    let note = format!("{rows} flights, hot, one consumer in another process; limit: the same in plaintext");
    Ok(Figure::reported("raw_topic_over_tls", by_tls, "B/s", note).beside(without))
}

async fn single_rows(plain: &Client, secure: &Client, scale: Scale) -> Result<Figure> {
    let time = Duration::from_secs(scale.pick(2, 15));
    let row = data::kilobyte_row(0)?;
    remote::create(plain, "rows", &row).await?;
    let (without, plain_seconds) = remote::drive_single_rows(plain, "rows", &row, IN_FLIGHT, time).await?;
    let (by_tls, tls_seconds) = remote::drive_single_rows(secure, "rows", &row, IN_FLIGHT, time).await?;
    let rate = |rows: u64, seconds: f64| rows as f64 * data::bytes_of(&row) as f64 / seconds;
    let note = format!(
        "{:.0} rows/s from one client process, {IN_FLIGHT} in flight; limit: the same in plaintext",
        by_tls as f64 / tls_seconds
    );
    let figure = Figure::reported("single_rows_over_tls", rate(by_tls, tls_seconds), "B/s", note);
    Ok(figure.beside(rate(without, plain_seconds)))
}
