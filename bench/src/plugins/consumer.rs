//! A consumer that is a plugin, end to end, beside a service that does the same from outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow_schema::SchemaRef;
use millstream_client::protocol::AutoOffsetReset;
use millstream_client::{Client, ConsumerOptions, ProducerOptions};

use crate::process::Server;
use crate::report::{Figure, median};
use crate::{Result, Scale, data, remote, store};

const ROUNDS: usize = 3;
const LATE_MINUTES: f32 = 60.0;
const HOUR_MS: i64 = 3_600_000;
const TIMEOUT: Duration = Duration::from_secs(300);

/// Figure `plugin_consumer`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let flights = data::flights_times(scale.pick(1, 8))?;
    let rows: usize = flights.iter().map(RecordBatch::num_rows).sum();
    let dir = tempfile::tempdir()?;
    let server = Server::start(&dir.path().join("data"), &["--segment-threads", "0"])?;
    let guest = store::guest("hourly_delays")?;
    remote::block_on(async {
        let client = remote::connect(&server.url).await?;
        remote::load(&client, "flights", &flights).await?;
        remote::sql(
            &client,
            "CREATE TABLE departures (ts TIMESTAMP(3) WITH TIME ZONE NOT NULL, origin VARCHAR, dep_delay REAL) \
             WITH (time_column = 'ts', partitions = 3, partition_key = (origin), retention = 'forever')",
        )
        .await?;
        remote::sql(&client, "INSERT INTO departures SELECT ts, origin, dep_delay FROM flights").await?;
        let create = "CREATE PLUGIN hourly FROM UPLOAD WITH (grant = 'state')";
        client.create_plugin(create, std::fs::read(guest)?.into()).await?;
        let (mut plugin, mut service) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            plugin.push(by_plugin(&client, round).await?);
            service.push(by_service(&client, round, rows).await?);
            same(&client, round).await?;
        }
        let rate = |seconds| rows as f64 / median(seconds);
        let note = format!(
            "{rows} departures of three airports into an hourly table, every commit synced, from CREATE CONSUMER to the last \
             commit; limit: the same by a Flight client that sums in memory, appends, waits for the answer and commits its \
             offset, which is not atomic"
        );
        Ok(vec![Figure::reported("plugin_consumer", rate(plugin), "rows/s", note).beside(rate(service))])
    })
}

async fn table(client: &Client, name: &str) -> Result<()> {
    let columns = "origin VARCHAR, hour TIMESTAMP(3) WITH TIME ZONE, late BIGINT, delay_minutes DOUBLE";
    remote::sql(client, &format!("CREATE TABLE {name} ({columns}) WITH (partitions = 3, partition_key = (origin))"))
        .await
}

/// Seconds until a new consumer has caught up.
async fn by_plugin(client: &Client, round: usize) -> Result<f64> {
    table(client, &format!("plugin_hours{round}")).await?;
    let start = Instant::now();
    remote::sql(
        client,
        &format!(
            "CREATE CONSUMER hourly{round} ON departures USING PLUGIN hourly WITH (output.hours = 'plugin_hours{round}')"
        ),
    )
    .await?;
    while number(
        client,
        &format!("SELECT CAST(lag AS BIGINT) FROM system.plugin_consumers WHERE name = 'hourly{round}'"),
    )
    .await?
        > 0
    {
        if start.elapsed() > TIMEOUT {
            return Err("the consumer does not catch up".into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let seconds = start.elapsed().as_secs_f64();
    remote::sql(client, &format!("DROP CONSUMER hourly{round}")).await?;
    Ok(seconds)
}

/// Seconds that a client takes for the same, which keeps its sums in memory.
async fn by_service(client: &Client, round: usize, rows: usize) -> Result<f64> {
    let name = format!("service_hours{round}");
    table(client, &name).await?;
    let empty = client.query(&format!("SELECT * FROM {name}")).await?;
    let options = ConsumerOptions {
        auto_offset_reset: AutoOffsetReset::Earliest,
        enable_auto_commit: false,
        ..ConsumerOptions::group(&name)
    };
    let start = Instant::now();
    let mut consumer = client.consumer(options, &["departures"]).await?;
    let mut producer = client.producer(&name, ProducerOptions::default());
    let (mut seen, mut sums) = (0, BTreeMap::new());
    while seen < rows {
        if start.elapsed() > TIMEOUT {
            return Err("the service does not catch up".into());
        }
        let Some(batch) = consumer.poll(Duration::from_secs(1)).await? else { continue };
        seen += batch.data.num_rows();
        let changed = add(&mut sums, &batch.data)?;
        if !changed.is_empty() {
            producer.send(&hours(&empty.schema, &changed)?).await?.await?;
        }
        consumer.commit_batch(&batch).await?;
    }
    let seconds = start.elapsed().as_secs_f64();
    consumer.close().await?;
    Ok(seconds)
}

/// Airport and hour.
type Key = (String, i64);
/// Late departures and their minutes.
type Sums = BTreeMap<Key, (i64, f64)>;

/// Adds a batch's late departures; gives the sums that have changed.
fn add(sums: &mut Sums, batch: &RecordBatch) -> Result<Sums> {
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| format!("no column {name}"));
    let times = column("ts")?.as_primitive::<TimestampMillisecondType>();
    let origins = column("origin")?.as_string::<i32>();
    let delays = column("dep_delay")?.as_primitive::<Float32Type>();
    let mut changed = Sums::new();
    for row in (0..batch.num_rows()).filter(|row| delays.is_valid(*row) && delays.value(*row) > LATE_MINUTES) {
        let key = (origins.value(row).to_owned(), times.value(row).div_euclid(HOUR_MS) * HOUR_MS);
        let sum = sums.entry(key.clone()).or_default();
        *sum = (sum.0 + 1, sum.1 + f64::from(delays.value(row)));
        changed.insert(key, *sum);
    }
    Ok(changed)
}

fn hours(schema: &SchemaRef, sums: &Sums) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(sums.keys().map(|(origin, _)| origin))),
        Arc::new(TimestampMillisecondArray::from_iter_values(sums.keys().map(|(_, hour)| *hour)).with_timezone("UTC")),
        Arc::new(Int64Array::from_iter_values(sums.values().map(|(late, _)| *late))),
        Arc::new(Float64Array::from_iter_values(sums.values().map(|(_, minutes)| *minutes))),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// Both have come to the same sums.
async fn same(client: &Client, round: usize) -> Result<()> {
    let of = |table: &str| {
        format!(
            "SELECT CAST(coalesce(sum(late), 0) AS BIGINT) FROM (SELECT last_value(late ORDER BY _offset) AS late \
             FROM {table}{round} GROUP BY origin, hour)"
        )
    };
    let (plugin, service) = (number(client, &of("plugin_hours")).await?, number(client, &of("service_hours")).await?);
    if plugin == service && plugin > 0 {
        return Ok(());
    }
    Err(format!("the plugin has counted {plugin} late departures, the service {service}").into())
}

async fn number(client: &Client, query: &str) -> Result<i64> {
    let batches = client.sql(query).await?;
    let column = batches.first().and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>());
    Ok(column.filter(|column| !column.is_empty()).ok_or_else(|| format!("no number from {query}"))?.value(0))
}
