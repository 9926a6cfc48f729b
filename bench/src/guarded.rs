//! What it costs a server to know who sends a row or a message: the same to one with users and to one without, in turns.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use millstream_client::{Client, Credentials};
use ring::hmac;
use serde_json::{Value, json};

use crate::process::Server;
use crate::report::{Figure, median};
use crate::{Result, Scale, data, remote, remoting};

const SEND_MESSAGE: i32 = 310;
const CONNECTIONS: usize = 8;
/// Of each connection.
const IN_FLIGHT: usize = 64;
/// Of the one client of rows.
const ROWS_IN_FLIGHT: usize = 1_000;
const MESSAGE_BYTES: usize = 1 << 10;
const KEY: &str = "benchkey";
const SECRET: &str = "a secret of the bench";
const PASSWORD: &str = "of the bench";

/// Figures `single_rows_over_flight_with_users` and `messages_with_users`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let dir = tempfile::tempdir()?;
    let open = Server::start(&dir.path().join("open"), &["--segment-threads", "0"])?;
    let guarded = Server::start_with(
        &dir.path().join("guarded"),
        &["--segment-threads", "0"],
        &[("MILLSTREAM_INIT_ADMIN_PASSWORD", PASSWORD)],
    )?;
    let row = data::kilobyte_row(0)?;
    let time = Duration::from_secs(scale.pick(1, 5));
    let rounds = scale.pick(1, 7);
    let rows = remote::block_on(async {
        let log_in = async |user: &str| -> Result<Client> {
            let credentials = Credentials::Password { user: user.to_owned(), password: PASSWORD.to_owned() };
            Ok(Client::connect(&guarded.url).await?.with_credentials(credentials)?)
        };
        let (admin, anybody) = (log_in("admin").await?, remote::connect(&open.url).await?);
        for client in [&admin, &anybody] {
            remote::sql(client, "CREATE TABLE sent OF MESSAGES WITH (partitions = 8)").await?;
            remote::create(client, "rows", &row).await?;
        }
        for statement in [
            &format!("CREATE USER worker PASSWORD '{PASSWORD}'"),
            "GRANT PRODUCE ON TABLE sent TO worker",
            "GRANT PRODUCE ON TABLE rows TO worker",
            &format!("CREATE ACCESS KEY FOR worker WITH (access_key = '{KEY}', secret_key = '{SECRET}')"),
        ] {
            remote::sql(&admin, statement).await?;
        }
        let worker = log_in("worker").await?;
        let mut rates = [Vec::new(), Vec::new()];
        // The first round warms up.
        for round in 0..=rounds {
            for (client, rates) in [&anybody, &worker].into_iter().zip(&mut rates) {
                let (rows, seconds) = remote::drive_single_rows(client, "rows", &row, ROWS_IN_FLIGHT, time).await?;
                if round > 0 {
                    rates.push(rows as f64 / seconds);
                }
            }
        }
        Ok(rates.map(median))
    })?;
    let note = format!(
        "rows of 1 KB from one client process, {ROWS_IN_FLIGHT} in flight, each checked for a user with two grants; limit: a server without \
         users, in turns"
    );
    let figure = Figure::reported("single_rows_over_flight_with_users", rows[1], "rows/s", note);
    let rows = figure.at_least(rows[0], 0.97);
    let mut messages = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for (server, rates) in [&open, &guarded].into_iter().zip(&mut messages) {
            let rate = drive(&server.remoting, time)?;
            if round > 0 {
                rates.push(rate);
            }
        }
    }
    let messages = messages.map(median);
    let note = format!(
        "messages of 1 KB over {CONNECTIONS} connections of RocketMQ's protocol, {IN_FLIGHT} in flight on each, signed before the time is \
         taken, and each checked for a user with two grants; limit: the same bytes to a server without users, in turns"
    );
    let messages = Figure::reported("messages_with_users", messages[1], "messages/s", note).at_least(messages[0], 0.97);
    Ok(vec![rows, messages])
}

/// Messages per second.
fn drive(address: &str, time: Duration) -> Result<f64> {
    let begun = Instant::now();
    let sent = std::thread::scope(|scope| {
        let connections: Vec<_> =
            (0..CONNECTIONS).map(|queue| scope.spawn(move || send(address, queue, time))).collect();
        let counts = connections.into_iter().map(|one| one.join().map_err(|_| "a sender has panicked")?);
        counts.sum::<Result<u64>>()
    })?;
    Ok(sent as f64 / begun.elapsed().as_secs_f64())
}

fn send(address: &str, queue: usize, time: Duration) -> Result<u64> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let message = remoting::frame(SEND_MESSAGE, &signed_fields(queue), &[b'x'; MESSAGE_BYTES])?;
    let together = message.repeat(IN_FLIGHT / 2);
    let half = u64::try_from(IN_FLIGHT / 2)?;
    let begun = Instant::now();
    let mut sent = 0;
    stream.write_all(&together)?;
    while begun.elapsed() < time {
        stream.write_all(&together)?;
        (0..half).try_for_each(|_| remoting::answer(&mut answers))?;
        sent += half;
    }
    (0..half).try_for_each(|_| remoting::answer(&mut answers))?;
    Ok(sent + half)
}

/// Fields of a send, with key and signature.
fn signed_fields(queue: usize) -> Value {
    let queue = queue.to_string();
    let fields = [
        ("AccessKey", KEY),
        ("a", "senders"),
        ("b", "sent"),
        ("c", "TBW102"),
        ("d", "8"),
        ("e", &queue),
        ("f", "0"),
        ("g", "1700000000000"),
        ("h", "0"),
        ("i", "TAGS\u{1}t\u{2}WAIT\u{1}true\u{2}"),
        ("j", "0"),
        ("k", "false"),
        ("m", "false"),
    ];
    // In the order of their names, capitals first, and the body behind them.
    let mut signed: Vec<u8> = fields.iter().flat_map(|(_, value)| value.bytes()).collect();
    signed.extend([b'x'; MESSAGE_BYTES]);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
    let signature = BASE64_STANDARD.encode(hmac::sign(&key, &signed));
    let mut fields: serde_json::Map<String, Value> =
        fields.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
    fields.insert("Signature".to_owned(), json!(signature));
    Value::Object(fields)
}
