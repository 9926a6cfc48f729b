//! Whose call runs next, where instances are scarce: the server's, and those that a namespace may run at once.
//!
//! While there is room nobody takes a lock. Calls that find none wait in a line for each namespace, and the lines take turns:
//! a namespace with a thousand calls that wait gets no more of what becomes free than one with a single call.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// Instances that may run at once, over all namespaces.
#[derive(Debug)]
pub(crate) struct Turns {
    most: usize,
    running: AtomicUsize,
    /// Somebody waits for one of the server's: nobody may go past the lines.
    scarce: AtomicBool,
    lines: Mutex<VecDeque<Line>>,
}

/// The place of one namespace.
#[derive(Debug)]
pub(crate) struct Seat {
    most: AtomicUsize,
    running: AtomicUsize,
    waiting: AtomicUsize,
}

/// Those of one namespace that wait, first come first.
#[derive(Debug)]
struct Line {
    seat: Arc<Seat>,
    calls: VecDeque<Arc<Waiter>>,
}

#[derive(Debug, Default)]
struct Waiter {
    called: Mutex<bool>,
    call: Condvar,
}

/// Why a call did not get its turn in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// All that the namespace may run at once were running.
    Namespace,
    /// All of the server's were.
    Server,
}

/// The turn of one call, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    seat: Arc<Seat>,
}

impl Default for Seat {
    fn default() -> Seat {
        Seat { most: AtomicUsize::new(usize::MAX), running: AtomicUsize::new(0), waiting: AtomicUsize::new(0) }
    }
}

impl Seat {
    pub(crate) fn running(&self) -> usize {
        self.running.load(Ordering::Relaxed)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}

impl Turns {
    pub(crate) fn new(most: usize) -> Arc<Turns> {
        let (running, scarce) = (AtomicUsize::new(0), AtomicBool::new(false));
        Arc::new(Turns { most, running, scarce, lines: Mutex::default() })
    }

    /// `None` for as many as the server has.
    pub(crate) fn set_most(&self, seat: &Seat, most: Option<usize>) {
        seat.most.store(most.unwrap_or(usize::MAX), Ordering::SeqCst);
        self.call_next();
    }

    /// The turn of a call that need not wait.
    pub(crate) fn try_now(self: &Arc<Turns>, seat: &Arc<Seat>) -> Option<Turn> {
        let line_is_free = seat.waiting.load(Ordering::SeqCst) == 0 && !self.scarce.load(Ordering::SeqCst);
        (line_is_free && self.take(seat).is_ok()).then(|| Turn { turns: self.clone(), seat: seat.clone() })
    }

    /// Waits for the turn of a call, no longer than `until`.
    pub(crate) fn wait(self: &Arc<Turns>, seat: &Arc<Seat>, until: Instant) -> Result<Turn, Scarce> {
        if let Some(turn) = self.try_now(seat) {
            return Ok(turn);
        }
        let turn = || Turn { turns: self.clone(), seat: seat.clone() };
        let waiter = Arc::new(Waiter::default());
        seat.waiting.fetch_add(1, Ordering::SeqCst);
        {
            let mut lines = self.lines.lock();
            match lines.iter_mut().find(|line| Arc::ptr_eq(&line.seat, seat)) {
                Some(line) => line.calls.push_back(waiter.clone()),
                None => lines.push_back(Line { seat: seat.clone(), calls: VecDeque::from([waiter.clone()]) }),
            }
        }
        self.call_next();
        let mut called = waiter.called.lock();
        while !*called && !waiter.call.wait_until(&mut called, until).timed_out() {}
        if *called {
            return Ok(turn());
        }
        drop(called);
        self.give_up(seat, &waiter).map_or_else(|| Ok(turn()), Err)
    }

    /// Takes the waiter out of its line; `None` if it was called meanwhile.
    fn give_up(&self, seat: &Arc<Seat>, waiter: &Arc<Waiter>) -> Option<Scarce> {
        let mut lines = self.lines.lock();
        if *waiter.called.lock() {
            return None;
        }
        if let Some(line) = lines.iter_mut().find(|line| Arc::ptr_eq(&line.seat, seat)) {
            line.calls.retain(|other| !Arc::ptr_eq(other, waiter));
        }
        lines.retain(|line| !line.calls.is_empty());
        if lines.is_empty() {
            self.scarce.store(false, Ordering::SeqCst);
        }
        seat.waiting.fetch_sub(1, Ordering::SeqCst);
        Some(if seat.running() >= seat.most() { Scarce::Namespace } else { Scarce::Server })
    }

    /// Counts a call in, if there is room for it.
    fn take(&self, seat: &Seat) -> Result<(), Scarce> {
        count_in(&seat.running, seat.most.load(Ordering::SeqCst)).map_err(|()| Scarce::Namespace)?;
        count_in(&self.running, self.most).map_err(|()| {
            seat.running.fetch_sub(1, Ordering::SeqCst);
            Scarce::Server
        })
    }

    /// Calls whom there is room for, the lines in turn. Whoever makes room, or joins a line, comes by here after it has said
    /// so, so that no room is left while somebody waits for it.
    fn call_next(&self) {
        let mut lines = self.lines.lock();
        // Told before the room is looked at: who leaves now comes by.
        self.scarce.store(!lines.is_empty(), Ordering::SeqCst);
        let (mut passed, mut scarce) = (0, false);
        while passed < lines.len() {
            let Some(mut line) = lines.pop_front() else { break };
            match self.take(&line.seat) {
                Ok(()) => {
                    if let Some(waiter) = line.calls.pop_front() {
                        line.seat.waiting.fetch_sub(1, Ordering::SeqCst);
                        *waiter.called.lock() = true;
                        waiter.call.notify_one();
                    }
                    passed = 0;
                }
                Err(why) => {
                    scarce |= why == Scarce::Server;
                    passed += 1;
                }
            }
            if scarce {
                // It keeps its turn.
                lines.push_front(line);
                break;
            }
            if !line.calls.is_empty() {
                lines.push_back(line);
            }
        }
        self.scarce.store(scarce, Ordering::SeqCst);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.seat.running.fetch_sub(1, Ordering::SeqCst);
        self.turns.running.fetch_sub(1, Ordering::SeqCst);
        if self.seat.waiting.load(Ordering::SeqCst) > 0 || self.turns.scarce.load(Ordering::SeqCst) {
            self.turns.call_next();
        }
    }
}

fn count_in(running: &AtomicUsize, most: usize) -> Result<(), ()> {
    let one_more = |running: usize| (running < most).then_some(running + 1);
    running.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).map(drop).map_err(drop)
}

#[cfg(test)]
mod tests {
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
        let first = turns.wait(&noisy, soon()).unwrap();
        let (sender, receiver) = sync_channel(100);
        thread::scope(|scope| {
            let join = |seat: &Arc<Seat>, name: &'static str| {
                let (turns, seat, sender, before) = (turns.clone(), seat.clone(), sender.clone(), seat.waiting());
                let waiting = seat.clone();
                scope.spawn(move || {
                    let turn = turns.wait(&seat, soon()).unwrap();
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
        assert_eq!((turns.running.load(Ordering::SeqCst), turns.scarce.load(Ordering::SeqCst)), (0, false));
    }

    #[test]
    fn a_namespace_that_is_full_is_in_nobodys_way() {
        let turns = Turns::new(8);
        let (full, other) = (Arc::new(Seat::default()), Arc::new(Seat::default()));
        turns.set_most(&full, Some(1));
        let held = turns.wait(&full, soon()).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| turns.wait(&full, soon()).map(drop));
            until(|| full.waiting() == 1);
            for _ in 0..100 {
                turns.wait(&other, Instant::now()).unwrap();
            }
            assert_eq!(turns.wait(&full, Instant::now()).unwrap_err(), Scarce::Namespace);
            turns.set_most(&full, Some(2));
            waiting.join().unwrap().unwrap();
        });
        drop(held);
        let all: Vec<_> = (0..8).map(|_| turns.wait(&other, soon()).unwrap()).collect();
        assert_eq!(turns.wait(&full, Instant::now()).unwrap_err(), Scarce::Server);
        drop(all);
        assert!(turns.wait(&full, Instant::now()).is_ok());
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
                        let turn = turns.wait(seat, soon()).expect("a turn");
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
}
