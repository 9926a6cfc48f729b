//! Ten thousand topics and ten thousand idle groups.

use std::time::{Duration, Instant};

use millstream_engine::{AutoOffsetReset, ConsumerConfig, Member, Principal};

use crate::report::{Figure, median};
use crate::store::Store;
use crate::{Result, Scale, data, process};

/// Figures `ten_thousand_*`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    let count = scale.pick(500, 10_000);
    let store = Store::open(|options| options.max_groups_per_topic = count)?;
    let flights = data::flights()?;
    store.load("flights", flights.get(..1).ok_or("no rows")?)?;
    let pid = std::process::id();
    let empty = process::proc_value(pid, "status", "RssAnon")?;
    let topics = create(count, |i| {
        store.sql(&format!("CREATE TOPIC t{i} AS SELECT carrier FROM flights WHERE dep_delay > {i}")).map(drop)
    })?;
    let with_topics = process::proc_value(pid, "status", "RssAnon")?;
    let mut members: Vec<Member> = Vec::with_capacity(count);
    let groups = create(count, |i| {
        let config = ConsumerConfig {
            group_id: format!("g{i}"),
            auto_offset_reset: AutoOffsetReset::Earliest,
            session_timeout: Duration::from_secs(1800),
            ..ConsumerConfig::default()
        };
        members.push(store.engine.join(&Principal::anonymous(), config, &[format!("t{i}")])?);
        Ok(())
    })?;
    let with_groups = process::proc_value(pid, "status", "RssAnon")?;
    let (before, start) = (process::cpu_seconds(pid)?, Instant::now());
    std::thread::sleep(Duration::from_secs(scale.pick(1, 10)));
    let idle = (process::cpu_seconds(pid)? - before) / start.elapsed().as_secs_f64() * 100.0;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Ok(vec![
        Figure::reported(
            "ten_thousand_topics_memory",
            mib(with_topics.saturating_sub(empty)),
            "MiB",
            format!("{count} SQL topics, none read yet"),
        ),
        Figure::reported(
            "ten_thousand_groups_memory",
            mib(with_groups.saturating_sub(with_topics)),
            "MiB",
            format!("{count} groups of one idle member"),
        ),
        Figure::reported("ten_thousand_idle_cpu", idle, "% of a core", "all of them idle"),
        Figure::reported(
            "last_topic_cost",
            topics.1,
            "s",
            "median of the last hundred CREATE TOPIC; limit: of the first hundred",
        )
        .at_most(topics.0, 1.5),
        Figure::reported(
            "last_group_cost",
            groups.1,
            "s",
            "median of the last hundred joins; limit: of the first hundred",
        )
        .at_most(groups.0, 1.5),
    ])
}

/// Median seconds of the first and of the last hundred.
fn create(count: usize, mut one: impl FnMut(usize) -> Result<()>) -> Result<(f64, f64)> {
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let start = Instant::now();
        one(number)?;
        times.push(start.elapsed().as_secs_f64());
    }
    let last = times.split_off(count - 100);
    times.truncate(100);
    Ok((median(times), median(last)))
}
