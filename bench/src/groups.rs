//! A hundred groups on one filter-heavy topic cost little more than one, because they share each evaluation.

use millstream_engine::Engine;

use crate::report::{Figure, median};
use crate::store::Store;
use crate::{Result, Scale, data, process, topics};

const GROUPS: usize = 100;
const COPIES: usize = 12;
const ROUNDS: usize = 5;
const SELECT: &str = "SELECT carrier, dep_delay FROM flights WHERE dep_delay > 60 AND carrier LIKE '%A%' \
    AND upper(dest) <> lower(origin) AND regexp_like(tailnum, 'N[0-9]+[A-Z]{2}') AND sqrt(distance) > 20";

/// Figure `hundred_groups_cpu`.
pub(crate) fn run(scale: Scale) -> Result<Vec<Figure>> {
    // Several copies: the kernel counts CPU time in hundredths of a second.
    let flights = data::flights()?;
    let flights: Vec<_> = std::iter::repeat_n(flights, scale.pick(1, COPIES)).flatten().collect();
    let rows: usize = flights.iter().map(|batch| batch.num_rows()).sum();
    let store = Store::open(|options| {
        options.tail_bytes = 1 << 30;
        options.segment_threads = 0;
    })?;
    store.load("flights", &flights)?;
    let rounds = scale.pick(1, ROUNDS);
    let (mut one, mut hundred) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        one.push(cpu_of(&store, &format!("one_{round}"), 1, rows)?);
        hundred.push(cpu_of(&store, &format!("hundred_{round}"), GROUPS, rows)?);
    }
    let note = format!(
        "CPU seconds of {GROUPS} groups reading {rows} rows in turn, first evaluation included; limit: one group"
    );
    Ok(vec![Figure::reported("hundred_groups_cpu", median(hundred), "s", note).at_most(median(one), 3.0)])
}

fn cpu_of(store: &Store, topic: &str, groups: usize, rows: usize) -> Result<f64> {
    store.sql(&format!("CREATE TOPIC {topic} AS {SELECT}"))?;
    let before = process::cpu_seconds(std::process::id())?;
    read_in_turn(&store.engine, topic, groups, rows)?;
    Ok((process::cpu_seconds(std::process::id())? - before).max(0.01))
}

fn read_in_turn(engine: &Engine, topic: &str, groups: usize, rows: usize) -> Result<()> {
    for group in 0..groups {
        topics::read_to_end(engine, topic, &format!("{topic}_{group}"), rows)?;
    }
    Ok(())
}
