//! What submitters and the log's threads share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::figures::Figures;
use super::pace::Pace;
use super::queue::Queue;
use crate::log::journal::Journal;
use crate::log::rows::LogRows;
use crate::log::time::LogTime;
use crate::model::DEFAULT_PRODUCER_STREAMS;
use crate::model::{Error, Lsn, NamespaceLimit};
use crate::platform::{Clock, EngineOptions};

/// The settings that concern writing.
#[derive(Debug, Clone, Copy)]
pub(super) struct SequencerSettings {
    pub extent_bytes: u64,
    pub max_commit_bytes: usize,
    pub free_space_floor_bytes: u64,
    /// Producer streams of a namespace that has no limit of its own.
    pub producer_streams: u64,
}

#[derive(Debug)]
pub(super) struct Sequencing {
    pub settings: SequencerSettings,
    pub clock: Arc<dyn Clock>,
    pub time: Arc<LogTime>,
    pub journal: Arc<dyn Journal>,
    pub rows: Arc<LogRows>,
    pub queue: Arc<Queue>,
    pub figures: Figures,
    durable: AtomicU64,
    pub pace: Pace,
}

impl Sequencing {
    /// All that the journal holds is durable.
    pub(super) fn new(
        options: &EngineOptions,
        journal: Arc<dyn Journal>,
        rows: Arc<LogRows>,
        time: Arc<LogTime>,
    ) -> Sequencing {
        let durable = journal.next().lsn.0.saturating_sub(1);
        let producer_streams = options.namespace_limits.get(NamespaceLimit::ProducerStreams);
        Sequencing {
            settings: SequencerSettings {
                extent_bytes: options.log_file_bytes,
                max_commit_bytes: options.max_commit_bytes,
                free_space_floor_bytes: options.free_space_floor_bytes,
                producer_streams: producer_streams.unwrap_or(DEFAULT_PRODUCER_STREAMS),
            },
            clock: options.clock.clone(),
            time,
            journal,
            rows,
            queue: Arc::new(Queue::new(options.queue_bytes)),
            figures: Figures::default(),
            durable: AtomicU64::new(durable),
            pace: Pace::default(),
        }
    }

    pub(super) fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    pub(super) fn set_durable(&self, lsn: Lsn) {
        self.durable.store(lsn.0, Ordering::Release);
    }
}

/// The error that every submitter gets once something has failed.
pub(super) fn failed(operation: &'static str, error: impl std::fmt::Display) -> Error {
    Error::LogFailed { operation, message: error.to_string() }
}
