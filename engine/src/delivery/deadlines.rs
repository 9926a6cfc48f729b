//! When members have to be looked at. A heartbeat does not touch this: the deadline that is here comes first, the member's
//! true one is computed then, and the member is put back.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::assign::MemberNumber;
use super::group::LiveGroup;

/// One entry for each live member, and one for each group that is about to share out anew, by the monotonic clock.
#[derive(Debug)]
pub(super) struct Deadlines {
    /// The first deadline in µs.
    first_us: AtomicU64,
    entries: Mutex<BTreeMap<(Duration, MemberNumber), Weak<LiveGroup>>>,
}

impl Default for Deadlines {
    fn default() -> Self {
        Deadlines { first_us: AtomicU64::new(u64::MAX), entries: Mutex::default() }
    }
}

impl Deadlines {
    pub(super) fn insert(&self, at: Duration, member: MemberNumber, group: Weak<LiveGroup>) {
        let mut entries = self.entries.lock();
        entries.insert((at, member), group);
        self.publish(&entries);
    }

    pub(super) fn remove(&self, at: Duration, member: MemberNumber) {
        let mut entries = self.entries.lock();
        entries.remove(&(at, member));
        self.publish(&entries);
    }

    /// Whether [`Self::pop`] would give anybody; takes no lock.
    pub(super) fn any_due(&self, now: Duration) -> bool {
        micros(now) >= self.first_us.load(Ordering::SeqCst)
    }

    /// How long until then.
    pub(super) fn next_in(&self, now: Duration) -> Duration {
        Duration::from_micros(self.first_us.load(Ordering::SeqCst).saturating_sub(micros(now)))
    }

    /// Takes out a member whose deadline has come.
    pub(super) fn pop(&self, now: Duration) -> Option<(MemberNumber, Weak<LiveGroup>)> {
        let mut entries = self.entries.lock();
        let entry = entries.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((_, member), group) = entry.remove_entry();
        self.publish(&entries);
        Some((member, group))
    }

    fn publish(&self, entries: &BTreeMap<(Duration, MemberNumber), Weak<LiveGroup>>) {
        let first = entries.first_key_value().map_or(u64::MAX, |((at, _), _)| micros(*at));
        self.first_us.store(first, Ordering::SeqCst);
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
