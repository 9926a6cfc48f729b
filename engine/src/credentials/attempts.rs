//! Failed attempts: after a few, an address must wait before it is listened to again, each time twice as long; so must all addresses for
//! a user that many of them try.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::RwLock;

/// An address may fail so often in a row for one user, and for users of all names, before it has to wait.
const FREE_FOR_USER: u32 = 5;
const FREE_FOR_ADDRESS: u32 = 20;
/// All addresses together for one user: then each waits a little, so that nobody can shut him out for long.
const FREE_FROM_ALL: u32 = 100;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(5);
const LONGEST_WAIT_OF_ALL: Duration = Duration::from_secs(2);
/// What was last heard of so long ago is forgotten.
const FORGOTTEN: Duration = Duration::from_mins(30);
/// Of each kind; they name themselves.
const MAX_KEPT: usize = 10_000;

/// Of users what is kept is a number made of their names: those are as long as who tries them likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// One user from one address.
    Pair(u64, Option<IpAddr>),
    Address(Option<IpAddr>),
    User(u64),
}

impl Key {
    fn free(&self) -> u32 {
        match self {
            Key::Pair(..) => FREE_FOR_USER,
            Key::Address(_) => FREE_FOR_ADDRESS,
            Key::User(_) => FREE_FROM_ALL,
        }
    }

    fn longest(&self) -> Duration {
        if matches!(self, Key::User(_)) { LONGEST_WAIT_OF_ALL } else { LONGEST_WAIT }
    }

    fn shown(&self, user: &str) -> String {
        let user: String = user.chars().take(128).collect();
        let from =
            |address: &Option<IpAddr>| address.map_or_else(|| "an unknown address".to_owned(), |ip| ip.to_string());
        match self {
            Key::Pair(_, address) => format!("attempts to log in as {user:?} from {}", from(address)),
            Key::Address(address) => format!("attempts to log in from {}", from(address)),
            Key::User(_) => format!("attempts to log in as {user:?}, from all addresses together,"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    until: Duration,
    last: Duration,
}

/// By the clock that does not step.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    failed: RwLock<HashMap<Key, Failures>>,
    /// Makes numbers of names; nobody outside can choose what collides.
    hasher: RandomState,
}

/// Who tries, and from where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub user: &'a str,
    pub from: Option<IpAddr>,
    /// Whether the address waits with all users that it tries, and not only with this one.
    pub counts_for_all: bool,
}

impl Attempts {
    /// A token names nobody: then only the address counts, so that one program's old token does not keep its neighbours out.
    fn keys(&self, by: Attempt<'_>) -> impl Iterator<Item = Key> {
        let user = (!by.user.is_empty()).then(|| self.hasher.hash_one(by.user));
        let named = user.map(|user| [Key::Pair(user, by.from), Key::User(user)]);
        let address = by.counts_for_all.then_some(Key::Address(by.from));
        address.into_iter().chain(named.into_iter().flatten())
    }

    /// For how long nothing is looked at.
    pub(super) fn locked(&self, by: Attempt<'_>, now: Duration) -> Option<Duration> {
        let known = self.failed.read();
        if known.is_empty() {
            return None;
        }
        let left = |key| known.get(&key).and_then(|failures| failures.until.checked_sub(now));
        self.keys(by).filter_map(left).max().filter(|left| !left.is_zero())
    }

    /// Gives what an operator should hear of, when it has become too much.
    pub(super) fn failed(&self, by: Attempt<'_>, now: Duration) -> Option<String> {
        let mut known = self.failed.write();
        let mut told = None;
        for key in self.keys(by) {
            if known.len() >= MAX_KEPT && !known.contains_key(&key) {
                make_room(&mut known, now);
            }
            let failures = known.entry(key).or_insert(Failures { count: 0, until: now, last: now });
            if now.saturating_sub(failures.last) > FORGOTTEN {
                failures.count = 0;
            }
            failures.last = now;
            failures.count = failures.count.saturating_add(1);
            let Some(beyond) = failures.count.checked_sub(key.free()) else { continue };
            let wait = FIRST_WAIT.saturating_mul(1 << beyond.min(16)).min(key.longest());
            failures.until = now.saturating_add(wait);
            if beyond == 0 || beyond.is_power_of_two() {
                told = Some(format!("{} {} have failed in a row", failures.count, key.shown(by.user)));
            }
        }
        told
    }

    /// Of the user: others that the address tried stay counted.
    pub(super) fn succeeded(&self, by: Attempt<'_>) {
        let of_user = || self.keys(by).filter(|key| !matches!(key, Key::Address(_)));
        // Nearly always there are none, and whoever logs in meanwhile is not held up.
        let has_failed = {
            let known = self.failed.read();
            !known.is_empty() && of_user().any(|key| known.contains_key(&key))
        };
        if has_failed {
            let mut known = self.failed.write();
            for key in of_user() {
                known.remove(&key);
            }
        }
    }
}

/// Those go first that were heard of longest ago, a tenth of all.
fn make_room(known: &mut HashMap<Key, Failures>, now: Duration) {
    known.retain(|_, failures| now.saturating_sub(failures.last) <= FORGOTTEN);
    if known.len() < MAX_KEPT {
        return;
    }
    let mut times: Vec<Duration> = known.values().map(|failures| failures.last).collect();
    times.sort_unstable();
    let oldest = times.get(times.len() / 10).copied().unwrap_or(now);
    known.retain(|_, failures| failures.last > oldest);
}

#[cfg(test)]
impl Attempts {
    pub(super) fn kept(&self) -> usize {
        self.failed.read().len()
    }
}
