//! Groups that pop, as part of random histories; and what admission refuses.

use rand::Rng;
use rand::rngs::StdRng;

use super::histories::{DAY_US, any_table};
use super::*;
use crate::model::ErrorKind;
use crate::state::{HandOut, HandOutDone, HandOutKey, HandedOut, PopMoved, PopName, PopRecord};

/// As consumers do that pop: they begin, take, acknowledge and take again, and at times their offset is set.
pub(super) fn random_pops(history: &mut History, random: &mut StdRng) {
    let Some((table, partition)) = any_table(history, random) else { return };
    let group = format!("g{}", random.random_range(0..3));
    let name = PopName { namespace: "public".into(), group: group.as_str().into(), table };
    let Some(pop) = history.state.pop(&name) else {
        history.push(Record::Pop(PopRecord::Begun(name)));
        return;
    };
    if random.random_ratio(1, 30) {
        history.push(Record::Pop(PopRecord::Ended(pop)));
        return;
    }
    let found = history.state.pop_queue(pop, partition).map(|(id, queue)| (id, *queue));
    let Some((queue, place)) = found.filter(|_| random.random_ratio(29, 30)) else {
        let before = found.map(|(id, _)| id);
        history.push(Record::Pop(PopRecord::Set { pop, partition, before, position: 0 }));
        return;
    };
    let mut held: Vec<(HandOutKey, HandOut)> = Vec::new();
    let each = |key: &HandOutKey, hand_out: &HandOut| {
        held.push((*key, hand_out.clone()));
        Ok(true)
    };
    history.state.hand_outs().scan(queue, 0, each).unwrap();
    let in_flight: u64 = held.iter().map(|(_, hand_out)| hand_out.left.len() as u64).sum();
    assert_eq!(place.in_flight, in_flight, "they are counted");
    let mut times = Vec::new();
    history
        .state
        .hand_outs()
        .times(queue, i64::MIN, |time| {
            times.push((time.key(), time.visible_us));
            Ok(true)
        })
        .unwrap();
    times.sort_unstable();
    let expected: Vec<_> = held.iter().map(|(key, hand_out)| (*key, hand_out.visible_us)).collect();
    assert_eq!(times, expected, "each is found by its time");
    let (handed_us, visible_us) = (history.now_us, history.now_us + random.random_range(0..DAY_US));
    let mut moved = PopMoved { queue, from: place.position, to: place.position, done: Vec::new(), handed: Vec::new() };
    for (key, hand_out) in &held {
        if random.random_ratio(1, 2) {
            continue;
        }
        let all: Vec<u64> = hand_out.offsets(key.first).collect();
        let some = all.iter().copied().filter(|_| random.random_ratio(2, 3)).collect::<Vec<_>>();
        if let Some(first) = some.first().copied().filter(|_| random.random_ratio(1, 3)) {
            let left = some.iter().map(|offset| u32::try_from(offset - first).unwrap()).collect();
            let (number, attempts) = (key.number + 1, hand_out.attempts + 1);
            let hand_out = HandOut { left, attempts, handed_us, visible_us, ..hand_out.clone() };
            moved.handed.push(HandedOut { first, number, hand_out });
        }
        moved.done.push(HandOutDone { first: key.first, number: key.number, offsets: some });
    }
    let new = random.random_range(0..20_u32);
    if new > 0 {
        moved.to += u64::from(new);
        let hand_out = HandOut {
            left: (0..new).collect(),
            groups: Vec::new(),
            attempts: 1,
            begun_us: handed_us,
            handed_us,
            visible_us,
        };
        moved.handed.push(HandedOut { first: place.position, number: 1, hand_out });
    }
    history.push(Record::Pop(PopRecord::Moved(moved)));
}

/// A queue with one hand-out of three messages, and what would be done next.
fn one_hand_out() -> (History, PopMoved) {
    let mut history = History::new();
    let table = history.table("orders", 1);
    history.rows(table, 0, 10);
    let name = PopName { namespace: "public".into(), group: "g".into(), table };
    let pop = crate::state::PopId(history.push(Record::Pop(PopRecord::Begun(name))).0);
    let set = PopRecord::Set { pop, partition: 0, before: None, position: 2 };
    let queue = crate::state::PopQueueId(history.push(Record::Pop(set)).0);
    let hand_out =
        HandOut { left: vec![0, 1, 2], groups: Vec::new(), attempts: 1, begun_us: 1, handed_us: 1, visible_us: 9 };
    let handed = vec![HandedOut { first: 2, number: 1, hand_out }];
    history.push(Record::Pop(PopRecord::Moved(PopMoved { queue, from: 2, to: 5, done: Vec::new(), handed })));
    (history, PopMoved { queue, from: 5, to: 5, done: Vec::new(), handed: Vec::new() })
}

fn done(first: u64, number: u32, offsets: &[u64]) -> HandOutDone {
    HandOutDone { first, number, offsets: offsets.to_vec() }
}

#[test]
fn only_what_is_in_flight_is_done_with_or_handed_out_again() {
    let (mut history, moved) = one_hand_out();
    let admitted = |history: &History, moved: PopMoved| {
        history.admit(&Submission::of([PopRecord::Moved(moved)])).map(drop).map_err(|error| error.kind())
    };
    let with = |done: Vec<HandOutDone>| PopMoved { done, ..moved.clone() };
    assert_eq!(admitted(&history, with(vec![done(2, 1, &[3])])), Ok(()));
    for wrong in [done(2, 2, &[3]), done(3, 1, &[3]), done(2, 1, &[3, 5]), done(2, 1, &[1])] {
        assert_eq!(admitted(&history, with(vec![wrong.clone()])), Err(ErrorKind::Fenced), "{wrong:?}");
    }
    history.push(Record::Pop(PopRecord::Moved(with(vec![done(2, 1, &[3])]))));
    assert_eq!(admitted(&history, with(vec![done(2, 1, &[3])])), Err(ErrorKind::Fenced), "it was acknowledged");
    let hand_out =
        HandOut { left: vec![0, 2], groups: Vec::new(), attempts: 2, begun_us: 1, handed_us: 9, visible_us: 20 };
    let handed = vec![HandedOut { first: 2, number: 2, hand_out }];
    let again = PopMoved { handed, ..with(vec![done(2, 1, &[2, 4])]) };
    assert_eq!(admitted(&history, again.clone()), Ok(()));
    let one_only = PopMoved { done: vec![done(2, 1, &[2])], ..again.clone() };
    assert_eq!(admitted(&history, one_only), Err(ErrorKind::Internal), "the other is in other hands");
    assert_eq!(admitted(&history, PopMoved { from: 4, to: 6, ..moved.clone() }), Err(ErrorKind::Fenced));
    assert_eq!(admitted(&history, PopMoved { to: 11, ..moved.clone() }), Err(ErrorKind::OutOfRange));
    assert_eq!(admitted(&history, PopMoved { to: 10, ..moved.clone() }), Ok(()));
    let queue = crate::state::PopQueueId(1);
    assert_eq!(admitted(&history, PopMoved { queue, ..moved.clone() }), Err(ErrorKind::Fenced));
}
