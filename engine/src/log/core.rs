//! What submitters, readers and the log's threads share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::figures::Figures;
use super::files::Files;
use super::pace::Pace;
use super::queue::Queue;
use super::tail::Tail;
use crate::log::time::LogTime;
use crate::model::DEFAULT_PRODUCER_STREAMS;
use crate::model::{Error, Lsn, NamespaceLimit};
use crate::platform::{Clock, EngineOptions};

/// The settings that concern the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub log_file_bytes: u64,
    pub max_commit_bytes: usize,
    pub free_space_floor_bytes: u64,
    /// Producer streams of a namespace that has no limit of its own.
    pub producer_streams: u64,
}

#[derive(Debug)]
pub(super) struct Core {
    pub settings: Settings,
    pub clock: Arc<dyn Clock>,
    pub time: LogTime,
    pub files: Files,
    pub tail: Tail,
    pub queue: Arc<Queue>,
    pub figures: Figures,
    pub epoch: u64,
    durable: AtomicU64,
    pub pace: Pace,
}

impl Core {
    pub(super) fn new(options: &EngineOptions, files: Files, time: LogTime, epoch: u64, durable: Lsn) -> Core {
        Core {
            settings: Settings {
                log_file_bytes: options.log_file_bytes,
                max_commit_bytes: options.max_commit_bytes,
                free_space_floor_bytes: options.free_space_floor_bytes,
                producer_streams: options
                    .namespace_limits
                    .get(NamespaceLimit::ProducerStreams)
                    .unwrap_or(DEFAULT_PRODUCER_STREAMS),
            },
            clock: options.clock.clone(),
            time,
            files,
            tail: Tail::new(options.tail_bytes),
            queue: Arc::new(Queue::new(options.queue_bytes)),
            figures: Figures::default(),
            epoch,
            durable: AtomicU64::new(durable.0),
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
