//! Segments, figures and events.

use crate::access::Action;
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{EngineEvent, EngineStats, Result, SegmentInfo};

impl Engine {
    /// The recorded segments, by table, partition and offset.
    pub fn segments(&self, who: &Principal) -> Result<Vec<SegmentInfo>> {
        let session = self.session(who)?;
        let all: Vec<_> = self.rooms.ledger.state.read().catalog().tables().cloned().collect();
        let tables = session.allowed_of(Action::Operate, all, |table| table.as_ref().into());
        let state = self.rooms.ledger.state.read();
        let mut segments = Vec::new();
        for table in tables {
            for (partition, found) in (0..).zip(state.catalog().partitions(table.id).unwrap_or_default()) {
                segments.extend(found.segments.values().map(|segment| SegmentInfo {
                    table: table.id,
                    partition,
                    first_offset: segment.first_offset,
                    next_offset: segment.next_offset,
                    schema_version: segment.schema_version,
                    bytes: segment.bytes,
                    path: segment.path.clone(),
                    min_event_us: segment.min_event_us,
                    max_event_us: segment.max_event_us,
                    min_append_us: segment.min_append_us,
                    max_append_us: segment.max_append_us,
                    first_lsn: segment.first_lsn,
                    next_lsn: segment.next_lsn,
                }));
            }
        }
        Ok(segments)
    }

    /// Refuses who may not see how the server is set, and what it does.
    pub fn check_operate(&self, who: &Principal) -> Result<()> {
        self.session(who)?.server(Action::Operate)
    }

    /// Figures for `system.log` and `/metrics`.
    pub fn stats(&self, who: &Principal) -> Result<EngineStats> {
        self.observer(who).server(Action::Operate)?;
        let mut stats =
            EngineStats { checkpoint_lsn: self.rooms.ledger.store.checkpoint_lsn(), ..EngineStats::default() };
        self.rooms.ledger.log.stats(&mut stats);
        let state = self.rooms.ledger.state.read();
        let catalog = state.catalog();
        for found in catalog.tables().filter_map(|table| catalog.partitions(table.id)).flatten() {
            stats.segments += u64::try_from(found.segments.len()).unwrap_or(u64::MAX);
            stats.segment_bytes += found.segment_bytes;
            stats.segment_backlog_bytes += found.log_bytes;
        }
        stats.producer_streams = state.producer_streams().0;
        stats.producer_streams_forgotten = self.rooms.forgotten_streams.count();
        stats.groups = u64::try_from(state.groups().count()).unwrap_or(u64::MAX);
        stats.segments_unlisted = u64::try_from(state.unlisted().iter().count()).unwrap_or(u64::MAX);
        drop(state);
        if let Some(ownership) = self.rooms.segments.ownership() {
            stats.segment_store_epoch = ownership.epoch();
            stats.segment_store_fenced_by = ownership.fenced_by().unwrap_or(0);
            stats.segment_store_kept_below = ownership.kept_below();
        }
        let written = &self.rooms.segments.figures().bytes_written;
        stats.segment_bytes_written = written.load(std::sync::atomic::Ordering::Relaxed);
        stats.rows_read = self.rooms.tables.rows_read();
        let evaluations = self.rooms.evaluations.figures();
        stats.evaluation_hits = evaluations.hits;
        stats.evaluation_misses = evaluations.misses;
        stats.rows_skipped = evaluations.rows_skipped;
        let groups = self.rooms.delivery.figures();
        (stats.thread_panics, stats.threads_down) = self.rooms.ledger.threads.figures();
        stats.members = groups.members;
        stats.offset_resets = groups.offset_resets;
        stats.message_notes_lost = self.rooms.trace.lost();
        stats.quota_throttled = self.rooms.quotas.throttled();
        stats.audit_lines_lost = self.rooms.audit.lost();
        Ok(stats)
    }

    /// Whether appends can succeed at all: the error that every append would now get, if the log has failed
    /// (`LogFailed`) or the engine is closed (`Closed`). Cheap.
    pub fn check_writable(&self) -> Result<()> {
        self.rooms.ledger.log.refusal().map_or(Ok(()), Err)
    }

    /// Whether all is at work that the engine can't do without: as [`Self::check_writable`], and `ThreadDown` once a thread has
    /// panicked and stays down. Cheap; asked by readiness probes.
    pub fn check_ready(&self) -> Result<()> {
        self.check_writable()?;
        self.rooms.ledger.threads.check()
    }

    /// The epoch of the opening that has taken the object store of the segments over from this one: from then on segments
    /// are neither written nor deleted, and the log is not trimmed. Cheap; asked by readiness probes.
    pub fn segments_fenced_by(&self) -> Option<u64> {
        self.rooms.segments.ownership().and_then(|ownership| ownership.fenced_by())
    }

    /// Adds to [`Self::events`] what whoever has opened the engine found worth telling; `kind` is its name in `system.log`.
    pub fn report(&self, kind: &'static str, message: impl Into<String>) {
        self.rooms.ledger.events.push(kind, message);
    }

    /// What opening and running found worth telling an operator: cut tails, raised epochs, skipped rows.
    pub fn events(&self, who: &Principal) -> Result<Vec<EngineEvent>> {
        self.observer(who).server(Action::Operate)?;
        Ok(self.rooms.ledger.events.list())
    }
}
