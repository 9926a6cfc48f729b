//! Random appends, cuts, merges, retention, added columns and reopenings: at each step, what is read equals what was
//! appended, without gap or repeat, wherever the rows lie.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{Engine, EngineOptions, Error, ManualClock, TableOptions, TopicId};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::table::{self, who};

const HOUR_MS: u64 = 3_600_000;

struct Model {
    /// `None` only while it is reopened.
    engine: Option<Engine>,
    clock: Arc<ManualClock>,
    /// By partition: the frames appended, as (first offset, later columns, append hour).
    frames: Vec<Vec<(u64, usize, i64)>>,
    ends: Vec<u64>,
    later: usize,
    hour: i64,
}

fn options(dir: &Path, clock: &Arc<ManualClock>) -> EngineOptions {
    EngineOptions {
        clock: clock.clone(),
        log_file_bytes: 1 << 20,
        tail_bytes: 64 << 10,
        segment_bytes: 96 << 10,
        segment_age_ms: 2 * HOUR_MS,
        maintenance_interval_ms: HOUR_MS,
        ..EngineOptions::new(dir)
    }
}

impl Model {
    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn append(&mut self, random: &mut StdRng) {
        let partition = random.random_range(0..self.ends.len());
        let longest = if random.random_bool(0.2) { 5_000 } else { 60 };
        let start = self.ends[partition];
        let end = start + random.random_range(1..=longest);
        let info = self.engine().table(&who(), "public", table::NAME).unwrap();
        table::append(self.engine(), info.id, partition as u32, start..end, self.later);
        self.frames[partition].push((start, self.later, self.hour));
        self.ends[partition] = end;
    }

    fn later_of(&self, partition: usize, offset: u64) -> usize {
        let frames = &self.frames[partition];
        frames[frames.partition_point(|frame| frame.0 <= offset) - 1].1
    }

    fn check(&self, random: &mut StdRng) {
        let info = self.engine().table(&who(), "public", table::NAME).unwrap();
        let offsets = self.engine().table_offsets(&who(), info.id).unwrap();
        for (partition, (start, end)) in offsets.into_iter().enumerate() {
            assert_eq!(end, self.ends[partition]);
            let from = random.random_range(start..=end);
            let to = random.random_range(from..=end);
            for range in [start..end, from..to] {
                table::check(self.engine(), &info, partition as u32, range, |offset| self.later_of(partition, offset));
            }
            if start > 0 {
                let ranges = Some(vec![(partition as u32, start - 1..end)]);
                let refused = table::scan(self.engine(), table::Columns::of(&info, &[0]), info.id, ranges);
                assert!(matches!(refused, Err(Error::OffsetOutOfRange { .. })));
            }
            let hour = random.random_range(0..=self.hour + 1);
            let found =
                self.engine().offset_at(&who(), TopicId(info.id.0), partition as u32, hour * 3_600_000_000).unwrap();
            let expected = self.frames[partition].iter().find(|frame| frame.2 >= hour).map_or(end, |frame| frame.0);
            assert_eq!(found, expected.max(start), "hour {hour}");
        }
    }
}

fn run(seed: u64) {
    eprintln!("seed {seed}");
    let random = &mut StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(0));
    let engine = Engine::open_with(options(dir.path(), &clock)).unwrap();
    let retention_ms = random.random_bool(0.5).then_some(20 * HOUR_MS);
    let info = table::create(&engine, TableOptions { partitions: 2, retention_ms, ..TableOptions::default() });
    let mut model =
        Model { engine: Some(engine), clock, frames: vec![Vec::new(); 2], ends: vec![0; 2], later: 0, hour: 0 };
    for _ in 0..120 {
        match random.random_range(0..100) {
            0..60 => model.append(random),
            60..72 => {
                model.clock.advance(Duration::from_millis(HOUR_MS));
                model.hour += 1;
                model.engine().maintain(&who()).unwrap();
            }
            72..80 => model.engine().cut_segments(&who(), info.id).unwrap(),
            80..84 if model.later < 3 => {
                table::widen(model.engine(), model.later);
                model.later += 1;
            }
            84..92 => {
                model.engine.take().unwrap().close().unwrap();
                model.engine = Some(Engine::open_with(options(dir.path(), &model.clock)).unwrap());
            }
            _ => model.check(random),
        }
    }
    model.check(random);
    let figures = model.engine().stats(&who()).unwrap();
    eprintln!("{} segments, {} log files", figures.segments, figures.log_files);
    let events = model.engine().events(&who()).unwrap();
    assert!(
        events.iter().all(|event| event.kind != "segment_damaged" && event.kind != "maintenance_failed"),
        "{events:?}"
    );
}

#[test]
fn what_is_read_is_what_was_appended() {
    for _ in 0..6 {
        run(rand::random());
    }
}
