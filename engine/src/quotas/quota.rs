//! What one namespace or one user may do, and does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::bucket::Bucket;
use crate::model::{Error, NamespaceLimit, NamespaceLimits, QuotaInfo, QuotaOwner};

/// Limits that are rates.
pub(super) const RATES: [NamespaceLimit; 5] = [
    NamespaceLimit::BytesInPerSecond,
    NamespaceLimit::RowsInPerSecond,
    NamespaceLimit::BytesOutPerSecond,
    NamespaceLimit::RowsOutPerSecond,
    NamespaceLimit::RequestsPerSecond,
];

/// For how long it is known how much the tables of a namespace hold.
const HELD_FOR: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Quota {
    pub(super) owner: QuotaOwner,
    pub(super) name: Box<str>,
    held: Mutex<Held>,
    throttled: [AtomicU64; NamespaceLimit::QUOTAS.len()],
    pub(super) connections: AtomicU64,
    retained: Mutex<Retained>,
    /// Held from when it is looked whether there may be one more of what is counted until there is.
    pub(crate) defining: Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    limits: NamespaceLimits,
    /// In the order of [`RATES`].
    buckets: [Option<Bucket>; RATES.len()],
}

#[derive(Debug, Default)]
struct Retained {
    bytes: u64,
    as_of: Option<Duration>,
}

impl Quota {
    pub(super) fn new(owner: QuotaOwner, name: &str) -> Quota {
        Quota {
            owner,
            name: name.into(),
            held: Mutex::default(),
            throttled: Default::default(),
            connections: AtomicU64::new(0),
            retained: Mutex::default(),
            defining: Mutex::default(),
        }
    }

    /// What was taken before counts on.
    pub(super) fn set(&self, limits: &NamespaceLimits, now: Duration) {
        let mut held = self.held.lock();
        for (bucket, limit) in held.buckets.iter_mut().zip(RATES) {
            match (limits.bound(limit), &mut *bucket) {
                (None, _) => *bucket = None,
                (Some(rate), Some(known)) => known.set_rate(rate, now),
                (Some(rate), None) => *bucket = Some(Bucket::new(rate, now)),
            }
        }
        held.limits = limits.clone();
    }

    pub(crate) fn bound(&self, limit: NamespaceLimit) -> Option<u64> {
        self.held.lock().limits.bound(limit)
    }

    pub(super) fn take(&self, amounts: &[(NamespaceLimit, u64)], now: Duration) {
        let mut held = self.held.lock();
        for (bucket, limit) in held.buckets.iter_mut().zip(RATES) {
            if let (Some(bucket), Some((_, amount))) = (bucket, amounts.iter().find(|(of, _)| *of == limit)) {
                bucket.take(*amount, now);
            }
        }
    }

    /// The limit, of these, that has to be waited for longest.
    pub(super) fn pause(&self, limits: &[NamespaceLimit], now: Duration) -> Option<(NamespaceLimit, Duration)> {
        let mut held = self.held.lock();
        let buckets = held.buckets.iter_mut().zip(RATES).filter(|(_, limit)| limits.contains(limit));
        let pauses = buckets.filter_map(|(bucket, limit)| Some((limit, bucket.as_mut()?.pause(now)?)));
        pauses.max_by_key(|(_, pause)| *pause)
    }

    /// Counts that a limit was in somebody's way.
    pub(super) fn count(&self, limit: NamespaceLimit) {
        if let Some(count) = place(limit).and_then(|place| self.throttled.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn over(&self, limit: NamespaceLimit, left: Option<Duration>) -> Error {
        Error::OverQuota { whose: format!("{} {:?}", self.owner.name(), self.name), limit, left }
    }

    /// How much the tables hold, asked for where it is not known any more.
    pub(super) fn retained(&self, now: Duration, ask: impl FnOnce() -> u64) -> u64 {
        let mut retained = self.retained.lock();
        if retained.as_of.is_none_or(|then| now.saturating_sub(then) >= HELD_FOR) {
            *retained = Retained { bytes: ask(), as_of: Some(now) };
        }
        retained.bytes
    }

    /// Counts what is appended until it is asked for again.
    pub(super) fn appended(&self, bytes: u64) {
        let mut retained = self.retained.lock();
        retained.bytes = retained.bytes.saturating_add(bytes);
    }

    /// Each limit that is set; `used` of those that are counted elsewhere.
    pub(super) fn infos(&self, now: Duration, used: impl Fn(NamespaceLimit) -> Option<u64>) -> Vec<QuotaInfo> {
        let limits = self.held.lock().limits.clone();
        let set = NamespaceLimit::QUOTAS.into_iter().filter_map(|limit| Some((limit, limits.bound(limit)?)));
        let info = |(limit, value)| {
            let throttled = place(limit).and_then(|place| self.throttled.get(place));
            let throttled = throttled.map_or(0, |count| count.load(Ordering::Relaxed));
            let used = match limit {
                NamespaceLimit::Connections => Some(self.connections.load(Ordering::Relaxed)),
                limit => self.last_second(limit, now).or_else(|| used(limit)),
            };
            QuotaInfo { owner: self.owner, name: self.name.to_string(), limit, value, used, throttled }
        };
        set.map(info).collect()
    }

    fn last_second(&self, limit: NamespaceLimit, now: Duration) -> Option<u64> {
        let mut held = self.held.lock();
        let mut buckets = held.buckets.iter_mut().zip(RATES);
        buckets.find(|(_, of)| *of == limit)?.0.as_mut().map(|bucket| bucket.last_second(now))
    }
}

/// Where a limit's count lies.
pub(super) fn place(limit: NamespaceLimit) -> Option<usize> {
    NamespaceLimit::QUOTAS.iter().position(|of| *of == limit)
}
