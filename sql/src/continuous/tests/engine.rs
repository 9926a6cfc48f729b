//! What the engine does with a run, without one: steps, submissions, and crashes in between.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use bytes::Bytes;
use millstream_engine::{ContinuousPlan, ContinuousRun, Judged, StateKey};
use rand::Rng;
use rand::rngs::StdRng;

/// Rows that were committed together, and how far event time had come before.
#[derive(Debug, Clone)]
pub(super) struct Instant {
    /// Columns as the plan asks for them.
    pub(super) rows: RecordBatch,
    pub(super) before_us: i64,
    pub(super) after_us: i64,
}

/// What is durable.
#[derive(Debug, Clone, Default)]
pub(super) struct Durable {
    /// The next instant.
    position: usize,
    state: BTreeMap<StateKey, Bytes>,
    cursor: Option<Bytes>,
    pub(super) output: Vec<RecordBatch>,
    pub(super) late_rows: Vec<RecordBatch>,
    pub(super) late: u64,
    /// How often a run was thrown away.
    pub(super) crashes: usize,
}

impl Durable {
    fn begin(&self, plan: &dyn ContinuousPlan) -> Box<dyn ContinuousRun> {
        let mut run = plan.begin(self.cursor.as_deref()).unwrap();
        for (key, piece) in &self.state {
            assert!(piece.len() <= 256 << 10, "a piece has {} bytes", piece.len());
            run.restore(*key, piece).unwrap();
        }
        run
    }

    fn save(&mut self, run: &mut dyn ContinuousRun) {
        for (key, piece) in run.save().unwrap() {
            match piece {
                Some(piece) => drop(self.state.insert(key, piece)),
                None => assert!(self.state.remove(&key).is_some(), "{key:?} is void and was never there"),
            }
        }
    }
}

/// Runs the whole history with steps, parts of rows, parts of windows and crashes as chance has it; at the end everything closes.
pub(super) fn run(plan: &dyn ContinuousPlan, history: &[Instant], context: &str, random: &mut StdRng) -> Durable {
    let mut durable = Durable::default();
    let mut run = durable.begin(plan);
    let mut at = 0;
    let mut pending = Durable::default();
    while at < history.len() {
        let to = (at + random.random_range(1..=4)).min(history.len());
        for (rows, judged) in stretches(&history[at..to], random) {
            let pushed = run.push(0, &rows, &judged).unwrap();
            pending.late += pushed.late;
            pending.late_rows.extend(pushed.late_rows);
        }
        at = to;
        let watermark = if at == history.len() { i64::MAX } else { history[at - 1].after_us };
        let max_bytes = if random.random_bool(0.3) { random.random_range(1..2000) } else { 4 << 20 };
        let mut parts = 0;
        let mut crashed = false;
        while let Some(next) = run.next_close_us()
            && next <= watermark
        {
            let closed = run.close(watermark, max_bytes).unwrap_or_else(|error| panic!("{context}: {error:?}"));
            let closed = closed.expect("there was something to close");
            if parts == 0 {
                // The first submission has all that the step did but for the parts to come.
                durable.save(run.as_mut());
                commit(&mut durable, &mut pending, at);
            }
            parts += 1;
            for (operator, window_us) in &closed.dropped {
                durable.state.retain(|key, _| (key.operator, key.window_us) != (*operator, *window_us));
            }
            durable.cursor = closed.cursor;
            durable.output.push(closed.rows);
            if random.random_bool(0.1) {
                crashed = true;
                break;
            }
        }
        if !crashed {
            assert!(run.close(watermark, max_bytes).unwrap().is_none(), "nothing was due");
            if parts == 0 && (at == history.len() || random.random_bool(0.3)) {
                durable.save(run.as_mut());
                commit(&mut durable, &mut pending, at);
            }
        }
        if crashed || random.random_bool(0.1) {
            pending = Durable::default();
            durable.crashes += 1;
            run = durable.begin(plan);
            at = durable.position;
            if at == history.len() {
                close_all(plan, &mut durable);
            }
        }
    }
    assert!(durable.state.is_empty(), "all windows are closed: {:?}", durable.state.keys());
    durable
}

fn close_all(plan: &dyn ContinuousPlan, durable: &mut Durable) {
    let mut run = durable.begin(plan);
    while let Some(closed) = run.close(i64::MAX, 4 << 20).unwrap() {
        for (operator, window_us) in &closed.dropped {
            durable.state.retain(|key, _| (key.operator, key.window_us) != (*operator, *window_us));
        }
        durable.output.push(closed.rows);
    }
    assert_eq!(run.open().windows, 0);
}

fn commit(durable: &mut Durable, pending: &mut Durable, at: usize) {
    durable.position = at;
    durable.late += std::mem::take(&mut pending.late);
    durable.late_rows.append(&mut pending.late_rows);
}

/// The rows of instants in batches that are cut anywhere, with what they are judged by.
fn stretches(instants: &[Instant], random: &mut StdRng) -> Vec<(RecordBatch, Vec<Judged>)> {
    let schema = instants[0].rows.schema();
    let all = arrow::compute::concat_batches(&schema, instants.iter().map(|instant| &instant.rows)).unwrap();
    let mut watermarks: Vec<i64> = Vec::new();
    for instant in instants {
        watermarks.extend(std::iter::repeat_n(instant.before_us, instant.rows.num_rows()));
    }
    let (mut from, mut cut) = (0, Vec::new());
    while from < all.num_rows() {
        let to = (from + random.random_range(1..=all.num_rows())).min(all.num_rows());
        let mut judged: Vec<Judged> = Vec::new();
        for watermark in &watermarks[from..to] {
            match judged.last_mut() {
                Some(run) if run.watermark_us == *watermark && random.random_bool(0.9) => run.rows += 1,
                _ => judged.push(Judged { rows: 1, watermark_us: *watermark }),
            }
        }
        cut.push((all.slice(from, to - from), judged));
        from = to;
    }
    cut
}
