//! What clients that take all they can get can make the server take.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use arrow_flight::sql::client::FlightSqlServiceClient;
use tonic::transport::Channel;

use crate::process::{PeakMemory, Server};
use crate::report::Figure;
use crate::{Result, Scale, remote};

#[path = "../../server/tests/it/hostile/attacks.rs"]
mod attacks;
#[path = "../../server/tests/it/hostile/raw.rs"]
#[allow(dead_code, reason = "the tests look at how calls end as well")]
mod raw;

const CONNECTIONS: usize = 2000;
/// What `docs/operations.md` says that the default settings add up to.
const DOCUMENTED_MIB: f64 = 1024.0;
const ROWS: i64 = 1_000_000;
/// How long the connections stay, once all are there.
const STAY: Duration = Duration::from_secs(20);

/// Figure `hostile_memory`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &[])?;
    let ticket = remote::block_on(async {
        let client = remote::connect(&server.url).await?;
        remote::sql(&client, "CREATE TABLE t (id BIGINT NOT NULL, word VARCHAR)").await?;
        let rows = format!("INSERT INTO t SELECT value, 'word ' || value FROM generate_series(1, {ROWS})");
        remote::sql(&client, &rows).await?;
        let channel = Channel::from_shared(server.url.replace("grpc://", "http://"))?.connect().await?;
        let info = FlightSqlServiceClient::new(channel).execute("SELECT * FROM t".to_owned(), None).await?;
        let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.clone());
        Ok(raw::framed(&ticket.ok_or("the server gave no ticket")?))
    })?;
    let address: SocketAddr = server.url.trim_start_matches("grpc://").parse()?;
    let (attacks, connections) = (attacks::Attacks::on("t", ticket), scale.pick(200, CONNECTIONS));
    let peak = PeakMemory::of(server.pid());
    let held: Vec<TcpStream> = std::thread::scope(|scope| {
        let attackers: Vec<_> = (0..8)
            .map(|attacker| {
                let (attacks, numbers) = (&attacks, (attacker..connections).step_by(8));
                scope.spawn(move || numbers.filter_map(|number| attacks.begin(address, number)).collect::<Vec<_>>())
            })
            .collect();
        attackers.into_iter().flat_map(|attacker| attacker.join().unwrap_or_default()).collect()
    });
    let until = Instant::now() + scale.pick(STAY / 4, STAY);
    let (mut served, mut longest) = (0, Duration::ZERO);
    while Instant::now() < until {
        let begun = Instant::now();
        remote::block_on(async {
            let client = remote::connect(&server.url).await?;
            remote::sql(&client, "INSERT INTO t SELECT value, 'more' FROM generate_series(1, 1000)").await
        })?;
        longest = longest.max(begun.elapsed());
        served += 1;
    }
    let count = held.len();
    drop(held);
    let note = format!(
        "peak RssAnon of the server, default settings, {count} connections that send half a message, a dictionary or never \
         read; meanwhile {served} INSERTs of 1,000 rows by others, the slowest in {longest:.1?}; limit: the documented sum"
    );
    let mebibytes = peak.finish() as f64 / f64::from(1 << 20);
    Ok(vec![Figure::reported("hostile_memory", mebibytes, "MiB", note).at_most(DOCUMENTED_MIB, 1.0)])
}
