//! Whose turn is next, where something is scarce: room for instances, compilations, requests.
//!
//! A turn weighs what it takes. While there is room nobody takes a lock. Those who find none wait in a line for each namespace,
//! and the lines take turns: a namespace with a thousand calls that wait gets no more of what becomes free than one with a single
//! call. Nor does it hold everything while no other waits: beyond its first turn it takes no more than it leaves free, so that
//! whoever comes next need not wait for the end of its calls.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// What is shared, over all namespaces.
#[derive(Debug)]
pub(crate) struct Turns {
    /// The weight of all turns together.
    most: usize,
    taken: AtomicUsize,
    /// Somebody waits for room that nobody has: nobody may go past the lines.
    scarce: AtomicBool,
    /// Somebody waits for others to leave more than his namespace has.
    held_back: AtomicBool,
    lines: Mutex<VecDeque<Line>>,
}

/// The place of one namespace.
#[derive(Debug)]
pub(crate) struct Seat {
    /// Turns at once, whatever they weigh.
    most: AtomicUsize,
    running: AtomicUsize,
    /// What they weigh.
    taken: AtomicUsize,
    waiting: AtomicUsize,
}

/// Those of one namespace that wait, first come first.
#[derive(Debug)]
struct Line {
    seat: Arc<Seat>,
    calls: VecDeque<Arc<Waiter>>,
}

#[derive(Debug)]
struct Waiter {
    weight: usize,
    called: Mutex<bool>,
    call: Condvar,
}

/// Why a call did not get its turn in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scarce {
    /// All that the namespace may run at once were running.
    Namespace,
    /// All of the server's were, or the namespace would have more than it left.
    Server,
}

/// The turn of one call, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Arc<Turns>,
    seat: Arc<Seat>,
    weight: usize,
}

/// Why one is not called.
enum Refusal {
    Seat,
    Share,
    Room,
}

impl Default for Seat {
    fn default() -> Seat {
        Seat { most: AtomicUsize::new(usize::MAX), ..Seat::none() }
    }
}

impl Seat {
    fn none() -> Seat {
        let none = || AtomicUsize::new(0);
        Seat { most: none(), running: none(), taken: none(), waiting: none() }
    }

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
        let (scarce, held_back) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Turns { most, taken: AtomicUsize::new(0), scarce, held_back, lines: Mutex::default() })
    }

    /// `None` for as many as the server has.
    pub(crate) fn set_most(&self, seat: &Seat, most: Option<usize>) {
        seat.most.store(most.unwrap_or(usize::MAX), Ordering::SeqCst);
        self.call_next();
    }

    /// A turn that need not be waited for.
    pub(crate) fn try_now(self: &Arc<Turns>, seat: &Arc<Seat>, weight: usize) -> Option<Turn> {
        let weight = weight.min(self.most);
        let line_is_free = seat.waiting.load(Ordering::SeqCst) == 0 && !self.scarce.load(Ordering::SeqCst);
        (line_is_free && self.take(seat, weight).is_ok()).then(|| self.turn(seat, weight))
    }

    /// Waits for a turn, no longer than `until`. One that weighs more than there is counts as all of it.
    pub(crate) fn wait(self: &Arc<Turns>, seat: &Arc<Seat>, weight: usize, until: Instant) -> Result<Turn, Scarce> {
        if let Some(turn) = self.try_now(seat, weight) {
            return Ok(turn);
        }
        let weight = weight.min(self.most);
        let waiter = Arc::new(Waiter { weight, called: Mutex::default(), call: Condvar::new() });
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
            return Ok(self.turn(seat, weight));
        }
        drop(called);
        self.give_up(seat, &waiter).map_or_else(|| Ok(self.turn(seat, weight)), Err)
    }

    fn turn(self: &Arc<Turns>, seat: &Arc<Seat>, weight: usize) -> Turn {
        Turn { turns: self.clone(), seat: seat.clone(), weight }
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
        seat.waiting.fetch_sub(1, Ordering::SeqCst);
        let scarce = if seat.running() >= seat.most() { Scarce::Namespace } else { Scarce::Server };
        drop(lines);
        // Those behind it may be lighter.
        self.call_next();
        Some(scarce)
    }

    /// Counts a turn in, if there is room for it.
    fn take(&self, seat: &Seat, weight: usize) -> Result<(), Refusal> {
        count_in(&seat.running, 1, |running| running < seat.most.load(Ordering::SeqCst)).map_err(|()| Refusal::Seat)?;
        let had = seat.taken.fetch_add(weight, Ordering::SeqCst);
        let refusal = |taken: usize| {
            let free = self.most.saturating_sub(taken);
            let room = (weight > free).then_some(Refusal::Room);
            room.or((had > 0 && had + weight > free).then_some(Refusal::Share))
        };
        count_in(&self.taken, weight, |taken| refusal(taken).is_none()).map_err(|()| {
            seat.taken.fetch_sub(weight, Ordering::SeqCst);
            seat.running.fetch_sub(1, Ordering::SeqCst);
            refusal(self.taken.load(Ordering::SeqCst)).unwrap_or(Refusal::Room)
        })
    }

    /// Calls whom there is room for, the lines in turn. Whoever makes room, or joins a line, comes by here after it has said
    /// so, so that no room is left while somebody waits for it.
    fn call_next(&self) {
        let mut lines = self.lines.lock();
        // Told before the room is looked at: who leaves now comes by.
        self.scarce.store(!lines.is_empty(), Ordering::SeqCst);
        self.held_back.store(!lines.is_empty(), Ordering::SeqCst);
        let (mut passed, mut scarce, mut held_back) = (0, false, false);
        while passed < lines.len() {
            let Some(mut line) = lines.pop_front() else { break };
            let weight = line.calls.front().map_or(0, |waiter| waiter.weight);
            match self.take(&line.seat, weight) {
                Ok(()) => {
                    if let Some(waiter) = line.calls.pop_front() {
                        line.seat.waiting.fetch_sub(1, Ordering::SeqCst);
                        *waiter.called.lock() = true;
                        waiter.call.notify_one();
                    }
                    (passed, held_back) = (0, false);
                }
                Err(Refusal::Seat) => passed += 1,
                Err(Refusal::Share) => (passed, held_back) = (passed + 1, true),
                Err(Refusal::Room) => {
                    // It keeps its turn.
                    lines.push_front(line);
                    scarce = true;
                    break;
                }
            }
            if !line.calls.is_empty() {
                lines.push_back(line);
            }
        }
        self.held_back.store(held_back, Ordering::SeqCst);
        self.scarce.store(scarce, Ordering::SeqCst);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Turn { turns, seat, weight } = self;
        seat.running.fetch_sub(1, Ordering::SeqCst);
        seat.taken.fetch_sub(*weight, Ordering::SeqCst);
        turns.taken.fetch_sub(*weight, Ordering::SeqCst);
        let others_wait = turns.scarce.load(Ordering::SeqCst) || turns.held_back.load(Ordering::SeqCst);
        if seat.waiting.load(Ordering::SeqCst) > 0 || others_wait {
            turns.call_next();
        }
    }
}

fn count_in(count: &AtomicUsize, more: usize, may: impl Fn(usize) -> bool) -> Result<(), ()> {
    let more = |count: usize| may(count).then_some(count + more);
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).map(drop).map_err(drop)
}

#[cfg(test)]
mod tests;
