//! What is seen of plugins at work: their calls, and what they say.

use serde::{Deserialize, Serialize};

use crate::contract::PluginRequests;
use crate::contract::current_evaluation;
use crate::contract::scope::current_checkback;
use crate::model::FailureKind;
use crate::model::{Offset, PartitionId, PluginId};

/// Calls of one plugin version since the server was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginCalls {
    pub plugin: PluginId,
    /// Of all uses together.
    pub figures: CallFigures,
    /// Instances that there are, idle ones too.
    pub instances: u64,
    pub instances_started: u64,
    /// Instances thrown away after a failure.
    pub instances_discarded: u64,
    /// Calls that wait for an instance now.
    pub waiting: u64,
    /// Log lines written, and lines above the limit of a call, of the plugin or of its namespace, which are dropped.
    pub log_lines: u64,
    pub log_lines_dropped: u64,
    pub suspended: Option<PluginSuspension>,
    /// By what the calls were made for.
    pub uses: Vec<PluginUse>,
    pub http: PluginRequests,
}

/// Calls of one plugin version for one use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginUse {
    pub of: CallUse,
    pub figures: CallFigures,
}

/// What calls of a plugin version came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallFigures {
    /// Calls into a guest, failed ones too.
    pub calls: u64,
    /// Of calls that were answered.
    pub rows_in: u64,
    /// Rows that a filter keeps, a function answers about, a transform or consumer gives.
    pub rows_out: u64,
    /// Bytes of messages copied into guests, and of answers copied out.
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Wall time in the guest.
    pub times: CallTimes,
    /// CPU time of calls, and of starting instances.
    pub cpu_us: u64,
    /// The most that one instance has had of linear memory and tables.
    pub memory_peak_bytes: u64,
    /// Failed calls, by [`FailureKind::ALL`].
    pub failures: [u64; FailureKind::ALL.len()],
    /// Time before a call, until an instance was there: the queue, and the start of new ones.
    pub queued_us: u64,
    pub queued_max_us: u64,
    /// Times that calls were held back for the share of CPU of the plugin, or for a share of its namespace, and for how long.
    pub throttled: u64,
    pub throttled_us: u64,
}

impl CallFigures {
    /// These and the others together.
    pub fn add(&mut self, other: &CallFigures) {
        self.calls += other.calls;
        self.rows_in += other.rows_in;
        self.rows_out += other.rows_out;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.times.add(&other.times);
        self.cpu_us += other.cpu_us;
        self.memory_peak_bytes = self.memory_peak_bytes.max(other.memory_peak_bytes);
        for (count, more) in self.failures.iter_mut().zip(other.failures) {
            *count += more;
        }
        self.queued_us += other.queued_us;
        self.queued_max_us = self.queued_max_us.max(other.queued_max_us);
        self.throttled += other.throttled;
        self.throttled_us += other.throttled_us;
    }

    /// Failed calls of every kind.
    pub fn failed(&self) -> u64 {
        self.failures.iter().sum()
    }
}

/// What a plugin is called for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CallUse {
    /// Readers of a topic.
    Topic(String),
    Consumer(String),
    Checkback(String),
    /// Statements of SQL.
    Query,
    /// Uses beyond the number that is kept apart.
    Others,
}

impl CallUse {
    /// What the calling thread calls plugins for.
    pub fn current() -> CallUse {
        if let Some(checkback) = current_checkback() {
            return CallUse::Checkback(checkback);
        }
        match current_evaluation() {
            None => CallUse::Query,
            Some(EvaluationPlace { consumer: Some(consumer), .. }) => CallUse::Consumer(consumer),
            Some(EvaluationPlace { topic, .. }) => CallUse::Topic(topic),
        }
    }

    /// `topic`, `consumer`, `checkback`, `query` or `others`.
    pub fn kind(&self) -> &'static str {
        match self {
            CallUse::Topic(_) => "topic",
            CallUse::Consumer(_) => "consumer",
            CallUse::Checkback(_) => "checkback",
            CallUse::Query => "query",
            CallUse::Others => "others",
        }
    }

    /// The name of the topic, consumer or checkback; empty for the others.
    pub fn name(&self) -> &str {
        match self {
            CallUse::Topic(name) | CallUse::Consumer(name) | CallUse::Checkback(name) => name,
            CallUse::Query | CallUse::Others => "",
        }
    }
}

/// Why a plugin version is not called any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginSuspension {
    /// Wall time, µs.
    pub since_us: i64,
    pub reason: String,
}

/// How long calls took, to about a fifth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTimes {
    /// Calls by time: bucket `4 e + q` holds those from `(4 + q) 2^e / 4` µs on, up to the next; the first has shorter ones
    /// too.
    pub buckets: Vec<u64>,
    pub sum_us: u64,
    pub max_us: u64,
}

/// Buckets of [`CallTimes`]: past 2^30 µs, 18 minutes, all are one.
const BUCKETS: usize = 4 * 30;

impl Default for CallTimes {
    fn default() -> CallTimes {
        CallTimes { buckets: vec![0; BUCKETS], sum_us: 0, max_us: 0 }
    }
}

impl CallTimes {
    pub const BUCKETS: usize = BUCKETS;

    /// These and the others together.
    pub fn add(&mut self, other: &CallTimes) {
        for (count, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *count += more;
        }
        self.sum_us += other.sum_us;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// The bucket of a call of so many µs.
    pub fn bucket(us: u64) -> usize {
        let us = us.max(4);
        let exponent = us.ilog2() as usize;
        // The two bits after the highest one.
        let quarter = usize::try_from((us >> (exponent - 2)) & 3).unwrap_or(0);
        (4 * exponent + quarter).min(BUCKETS - 1)
    }

    /// The time that this share of the calls was done within, µs, rounded up to the end of its bucket; 0 without calls.
    pub fn quantile_us(&self, share: f64) -> u64 {
        let all: u64 = self.buckets.iter().sum();
        // The count is far below 2^52.
        let wanted = ((all as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return end_us(bucket).min(self.max_us);
            }
        }
        0
    }

    /// Calls that took less than `2^exponent` µs.
    pub fn below_power(&self, exponent: usize) -> u64 {
        self.buckets.iter().take(4 * exponent).sum()
    }
}

/// One past the longest time of a bucket, µs.
fn end_us(bucket: usize) -> u64 {
    let (exponent, quarter) = (bucket / 4, bucket as u64 % 4);
    (5 + quarter) << exponent >> 2
}

/// A line that a guest has logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginLogLine {
    /// Wall time, µs.
    pub at_us: i64,
    pub namespace: String,
    pub plugin: String,
    pub version: u32,
    /// `error`, `warning`, `info` or `debug`.
    pub level: &'static str,
    pub line: String,
    /// What was being evaluated, where a topic was.
    pub place: Option<EvaluationPlace>,
}

/// Rows of a topic's source that are being evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvaluationPlace {
    pub topic: String,
    /// The consumer that the rows are given to; `None` where the topic itself is evaluated.
    pub consumer: Option<String>,
    pub partition: PartitionId,
    /// The first of the rows at hand.
    pub offset: Offset,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_buckets_that_hold_them() {
        for us in (0..10_000).chain([1 << 20, (1 << 20) + 1, u64::from(u32::MAX), u64::MAX]) {
            let bucket = CallTimes::bucket(us);
            assert!(bucket < CallTimes::BUCKETS);
            if (4..1 << 30).contains(&us) {
                assert!(us < end_us(bucket) && end_us(bucket - 1) <= us, "{us} is in {bucket}");
                assert!(end_us(bucket) * 4 <= us * 5 + 4, "{us} counts as {}", end_us(bucket));
            }
        }
    }

    #[test]
    fn quantiles_are_the_ends_of_buckets() {
        let mut times = CallTimes { buckets: vec![0; CallTimes::BUCKETS], sum_us: 0, max_us: 900 };
        assert_eq!(times.quantile_us(0.5), 0);
        for us in [10, 10, 10, 900] {
            times.buckets[CallTimes::bucket(us)] += 1;
        }
        assert_eq!((times.quantile_us(0.5), times.quantile_us(0.99)), (12, 900));
        assert_eq!((times.below_power(3), times.below_power(4), times.below_power(10)), (0, 3, 4));
    }
}
