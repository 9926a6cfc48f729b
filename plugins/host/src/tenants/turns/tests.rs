//! Turns under load, and by weight.

use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use super::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn until(condition: impl Fn() -> bool) {
    let patience = soon();
    while !condition() {
        assert!(Instant::now() < patience, "what was waited for did not come");
        thread::yield_now();
    }
}

#[test]
fn lines_take_turns_whoever_came_first() {
    let turns = Turns::new(1);
    let (noisy, quiet) = (Arc::new(Seat::default()), Arc::new(Seat::default()));
    let first = turns.wait(&noisy, 1, soon()).unwrap();
    let (sender, receiver) = sync_channel(100);
    thread::scope(|scope| {
        let join = |seat: &Arc<Seat>, name: &'static str| {
            let (turns, seat, sender, before) = (turns.clone(), seat.clone(), sender.clone(), seat.waiting());
            let waiting = seat.clone();
            scope.spawn(move || {
                let turn = turns.wait(&seat, 1, soon()).unwrap();
                sender.send(name).unwrap();
                drop(turn);
            });
            until(|| waiting.waiting() == before + 1);
        };
        for _ in 0..6 {
            join(&noisy, "noisy");
        }
        join(&quiet, "quiet");
        join(&quiet, "quiet");
        drop(first);
    });
    let order: Vec<&str> = receiver.try_iter().collect();
    assert_eq!(order, ["noisy", "quiet", "noisy", "quiet", "noisy", "noisy", "noisy", "noisy"]);
    assert_eq!((turns.taken.load(Ordering::SeqCst), turns.scarce.load(Ordering::SeqCst)), (0, false));
}

#[test]
fn a_namespace_that_is_full_is_in_nobodys_way() {
    let turns = Turns::new(8);
    let (full, other) = (Arc::new(Seat::default()), Arc::new(Seat::default()));
    turns.set_most(&full, Some(1));
    let held = turns.wait(&full, 1, soon()).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| turns.wait(&full, 1, soon()).map(drop));
        until(|| full.waiting() == 1);
        for _ in 0..100 {
            turns.wait(&other, 1, Instant::now()).unwrap();
        }
        assert_eq!(turns.wait(&full, 1, Instant::now()).unwrap_err(), Scarce::Namespace);
        turns.set_most(&full, Some(2));
        waiting.join().unwrap().unwrap();
    });
    drop(held);
    let others: Vec<Arc<Seat>> = (0..8).map(|_| Arc::default()).collect();
    let all: Vec<_> = others.iter().map(|other| turns.wait(other, 1, soon()).unwrap()).collect();
    assert_eq!(turns.wait(&full, 1, Instant::now()).unwrap_err(), Scarce::Server);
    drop(all);
    assert!(turns.wait(&full, 1, Instant::now()).is_ok());
}

#[test]
fn bounds_hold_and_nobody_is_forgotten_under_load() {
    let turns = Turns::new(3);
    let seats: Vec<Arc<Seat>> = (0..4).map(|_| Arc::new(Seat::default())).collect();
    turns.set_most(&seats[0], Some(1));
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for worker in 0..16_usize {
            let (turns, seat, inside, most) = (&turns, &seats[worker % 4], &inside, &most);
            scope.spawn(move || {
                for _ in 0..300 {
                    let turn = turns.wait(seat, 1, soon()).expect("a turn");
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    assert!(worker % 4 != 0 || seat.running() <= 1);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(turn);
                }
            });
        }
    });
    assert!(most.into_inner() <= 3);
    assert!(seats.iter().all(|seat| (seat.running(), seat.waiting()) == (0, 0)));
    assert!(turns.lines.lock().is_empty());
}

#[test]
fn a_turn_weighs_what_it_takes() {
    let turns = Turns::new(8);
    let seats: Vec<Arc<Seat>> = (0..4).map(|_| Arc::default()).collect();
    let heavy = turns.wait(&seats[0], 6, soon()).unwrap();
    let light = turns.wait(&seats[1], 2, Instant::now()).unwrap();
    assert_eq!(turns.wait(&seats[2], 1, Instant::now()).unwrap_err(), Scarce::Server);
    thread::scope(|scope| {
        // A heavy one is not passed by light ones, however many there are, and is called as soon as it fits.
        let waiting = scope.spawn(|| turns.wait(&seats[2], 7, soon()).map(drop));
        until(|| seats[2].waiting() == 1 && turns.scarce.load(Ordering::SeqCst));
        drop(light);
        assert!(turns.try_now(&seats[3], 1).is_none());
        drop(heavy);
        waiting.join().unwrap().unwrap();
    });
    // What weighs more than there is takes all of it.
    let all = turns.wait(&seats[0], 100, soon()).unwrap();
    assert!(turns.try_now(&seats[1], 1).is_none());
    drop(all);
    assert_eq!((turns.taken.load(Ordering::SeqCst), turns.scarce.load(Ordering::SeqCst)), (0, false));
}

#[test]
fn a_namespace_leaves_as_much_as_it_takes() {
    let turns = Turns::new(64);
    let seats: Vec<Arc<Seat>> = (0..5).map(|_| Arc::default()).collect();
    // Each takes all that it can, one after the other.
    let all_of = |seat: &Arc<Seat>| std::iter::from_fn(|| turns.try_now(seat, 1)).collect::<Vec<_>>();
    let taken: Vec<Vec<Turn>> = seats.iter().map(all_of).collect();
    assert_eq!(taken.iter().map(Vec::len).collect::<Vec<_>>(), [32, 16, 8, 4, 2]);
    // It waits for the others' turns to end, too, and then gets what it may have.
    thread::scope(|scope| {
        let waiting = scope.spawn(|| turns.wait(&seats[4], 1, soon()).map(drop));
        until(|| seats[4].waiting() == 1);
        assert!(turns.try_now(&Arc::default(), 1).is_some(), "it is in nobody's way");
        drop(taken);
        waiting.join().unwrap().unwrap();
    });
}
