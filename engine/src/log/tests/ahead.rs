//! The writer's copy of the state and the readers' agree: plans are made against one, and what they publish is folded into
//! the other.

use futures::channel::oneshot;

use super::support::{Random, open, open_with, part, table, whole};
use crate::log::journal::{CommitLayout, JournalIdentity, LogId, NextCommit};
use crate::log::rows::PublishedCommit;
use crate::log::sequencer::{Plan, Queued, estimated_bytes};
use crate::model::{Error, GroupMode, Lsn, ProducerStamp, Receipt, Result, TableId, TopicId};
use crate::platform::disk::SimDisk;
use crate::state::State;
use crate::state::{Change, GroupKey, OffsetsRecord, Record, RecordContext};
use crate::state::{StreamStamp, Submission};

/// Producer streams of a namespace: so few that streams are forgotten all the time.
const STREAMS: u64 = 3;
const MINUTE_US: i64 = 60_000_000;

/// Both copies, and the log between them.
struct Copies {
    ahead: State,
    applied: State,
    next_lsn: Lsn,
    now_us: i64,
}

impl Copies {
    fn new() -> Copies {
        let applied = State::default();
        Copies { ahead: applied.ahead(), applied, next_lsn: Lsn(1), now_us: 1_000_000 }
    }

    /// Writes submissions as one commit, as the writer does; gives the answers. Those that the plan can't hold are left.
    fn commit(&mut self, submissions: Vec<Submission>) -> Vec<Result<Receipt>> {
        let mut plan = Plan::new(self.next_lsn, self.now_us, 1);
        plan.producer_streams = STREAMS;
        let mut waiting = Vec::new();
        for submission in submissions {
            let (answer, receiver) = oneshot::channel();
            let bytes = estimated_bytes(&submission).unwrap();
            let queued = Queued { id: 0, submission, bytes, answer, room: None };
            if plan.closes_before(&queued, 1 << 20) {
                break;
            }
            plan.add(queued, &mut self.ahead).unwrap();
            waiting.push(receiver);
        }
        let empty = plan.writes_nothing();
        for receiver in &mut waiting {
            assert_eq!(receiver.try_recv().unwrap().map(drop), None, "answered before what it rests on can be seen");
        }
        for answer in plan.finish().unwrap() {
            answer.sender.send(answer.outcome).unwrap();
        }
        if !empty {
            let (first, next) = (self.next_lsn, plan.next_lsn());
            let at = NextCommit { lsn: first, extent: Lsn(1), position: 64, append_us: 0 };
            let identity = JournalIdentity { log_id: LogId(7), epoch: 1 };
            let commit = CommitLayout::new(plan.records, at, self.now_us, Lsn(first.0 - 1), identity).unwrap();
            for (context, record) in PublishedCommit::new(commit).records {
                self.applied.apply(context, &record).unwrap();
            }
            self.next_lsn = next;
            assert_eq!(self.applied.applied(), Lsn(next.0 - 1));
            self.ahead.end_commit(Lsn(next.0 - 1));
        }
        waiting.into_iter().map(|receiver| futures::executor::block_on(receiver).unwrap()).collect()
    }
}

fn random_submission(copies: &Copies, random: &mut Random) -> Submission {
    let tables: Vec<(TableId, u32)> =
        copies.ahead.catalog().tables().map(|info| (info.id, info.options.partitions)).collect();
    let name = format!("t{}", random.below(4));
    let pick = random.below(tables.len().max(1) as u64) as usize;
    let Some(&(id, partitions)) = tables.get(pick) else { return table(&name, 1) };
    let changes = |change: Change| Submission::of([change]);
    let namespace = || "public".to_owned();
    let group = format!("g{}", random.below(3));
    match random.below(20) {
        0 => table(&name, 1 + random.below(3) as u32),
        1 => changes(Change::TableDropped { table: id }),
        2 => changes(Change::PartitionsAdded { table: id, partitions: partitions + 1 }),
        3 => changes(Change::GroupCreated { namespace: namespace(), group, mode: GroupMode::Shared }),
        4 => changes(Change::GroupDropped { namespace: namespace(), group }),
        5..8 => {
            let group = GroupKey { namespace: "public".into(), group: group.as_str().into(), client: None };
            let entries = vec![(TopicId(id.0), random.below(u64::from(partitions)) as u32, random.below(6))];
            Submission::of([OffsetsRecord { group, entries }])
        }
        pick => {
            let mut submission = Submission::default();
            for _ in 0..=random.below(2) {
                let values: Vec<i64> = (0..1 + random.below(5) as i64).collect();
                let partition = random.below(u64::from(partitions) + 1) as u32;
                submission.rows.push(part(id, partition, &values, random.below(4) == 0));
            }
            if pick < 15 {
                // Mostly the next one, and fresh ones now and then.
                let (epoch, sequence) = (random.below(2) as u32, random.below(3));
                let stamp = ProducerStamp { id: u128::from(random.below(9)), epoch, sequence };
                submission.stamp = Some(StreamStamp { table: id, stamp });
            }
            submission
        }
    }
}

#[test]
fn what_is_decided_ahead_is_what_is_applied() {
    let first: u64 = rand::random();
    let (mut taken, mut refused, mut forgotten) = (0, 0, false);
    for seed in (0..8).map(|step| first.wrapping_add(step)) {
        eprintln!("seed {seed}");
        let mut random = Random::new(seed);
        let mut copies = Copies::new();
        for _ in 0..200 {
            copies.now_us += random.below(10) as i64 * MINUTE_US;
            let submissions = (0..=random.below(6)).map(|_| random_submission(&copies, &mut random)).collect();
            for answer in copies.commit(submissions) {
                match answer {
                    Ok(_) => taken += 1,
                    Err(_) => refused += 1,
                }
            }
            assert_eq!(copies.ahead.as_decided(), copies.applied.as_decided());
            forgotten |= copies.applied.producer_streams().1 > 0;
        }
    }
    assert!(taken > 500 && refused > 100 && forgotten, "{taken} taken, {refused} refused, forgotten: {forgotten}");
}

/// Offsets without a hole are what readers rely on: a log that does not go on where the checkpoint ends is not read.
#[test]
fn rows_that_do_not_follow_the_checkpoint_are_damage() {
    let disk = SimDisk::new(7);
    let opened = open(&disk).unwrap();
    let table = opened.create_table("t", 1).unwrap();
    opened.do_now(whole(table, 0, &[1, 2, 3])).unwrap();
    let applied = opened.sink.state.read().applied();
    opened.do_now(whole(table, 0, &[4, 5])).unwrap();
    let records = opened.sink.commits.lock().concat();
    drop(opened);
    let mut state = State::default();
    let is_definition = |record: &Record| matches!(record, Record::Change(_));
    for (context, record) in records.iter().filter(|(_, record)| is_definition(record)) {
        state.apply(*context, record).unwrap();
    }
    // As if the checkpoint had lost the first rows.
    state.apply(RecordContext { lsn: applied, append_us: 1_000_000, epoch: 1 }, &Record::CleanShutdown).unwrap();
    let error = open_with(&disk, state, |_| {}).map(drop).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    let message = "it holds rows from offset 3 of partition 0 of table #1, which ends at 0";
    assert!(error.to_string().ends_with(message), "{error}");
}
