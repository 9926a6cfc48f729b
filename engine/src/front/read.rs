//! History reads and what wakes readers.

use tokio::sync::watch;

use crate::access::Action;
use crate::chunks::PlainColumns;
use crate::cursor::{OffsetRange, Scan, ScanRequest, ScannedBatch};
use crate::evaluation::Parts;
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{Assignment, Delivery, Error, Lsn, Offset, PartitionId, Result, RowPlace, TopicId};

impl Engine {
    /// Reads ranges of a topic's source through an operator.
    pub fn scan(&self, who: &Principal, request: ScanRequest) -> Result<Scan> {
        self.session(who)?.topic_by_id(Action::Read, request.topic)?;
        crate::cursor::scan(&self.rooms.tables, request)
    }

    /// Columns of the rows of a topic's source from the beginning of a range on: as many as lie together, none behind the range. `None`
    /// at the end; `OffsetOutOfRange` below the start. For whoever wants a few rows and comes again for the next: what was read for
    /// one is kept a while for all who ask for the same columns. The right to consume will do.
    pub fn read_stretch(
        &self,
        who: &Principal,
        at: Assignment,
        range: &OffsetRange,
        columns: &PlainColumns,
    ) -> Result<Option<ScannedBatch>> {
        let source = self.session(who)?.followed(at.topic)?.table;
        crate::cursor::stretch_at(&self.rooms.tables, columns.projection(), (source, at.partition), range)
    }

    /// A topic's rows of one partition from an offset on, for consumers that keep their places by themselves: about so many and so
    /// many bytes at most, but all of one source offset at least. Where none pass for a long stretch, or at the end, a delivery without
    /// rows. `OffsetOutOfRange` below the start and behind the end; `Evaluation` where the row at `from`, or one behind it that
    /// no row comes before, fails and the topic stops at such; `Throttled` while its plugins are over their share.
    pub fn read_topic(
        &self,
        who: &Principal,
        at: Assignment,
        from: Offset,
        max_rows: usize,
        max_bytes: usize,
    ) -> Result<Delivery> {
        let topic = self.session(who)?.topic_by_id(Action::Consume, at.topic)?;
        Parts::new(&self.rooms.evaluations, &topic, at.partition, from, Offset::MAX).delivery(max_rows, max_bytes)
    }

    /// The first offset of a topic's source appended at or after `time_us`; the end offset if there is none.
    pub fn offset_at(&self, who: &Principal, topic: TopicId, partition: PartitionId, time_us: i64) -> Result<Offset> {
        let source = self.session(who)?.followed(topic)?.table;
        crate::cursor::offset_at(&self.rooms.tables, source, partition, time_us)
    }

    /// The LSN of a retained row of a topic's source. `FailedPrecondition` where only a segment has the row, and was written by a
    /// release that did not keep LSNs. Costs a look into the log's index or a segment's footer, which stay in memory for a while.
    pub fn lsn_of(&self, who: &Principal, topic: TopicId, partition: PartitionId, offset: Offset) -> Result<Lsn> {
        let source = self.session(who)?.followed(topic)?.table;
        crate::cursor::lsn_of(&self.rooms.tables, source, partition, offset)
    }

    /// The retained row that has an LSN; `NotFound` where there is none. `FailedPrecondition` where segments of releases that
    /// did not keep LSNs may have it. Costs the index of one file of the log, or the footer of one segment of each partition
    /// that was appended to at that time.
    pub fn row_at(&self, who: &Principal, lsn: Lsn) -> Result<RowPlace> {
        let session = self.session(who)?;
        let place = crate::cursor::row_at(&self.rooms.tables, lsn)?;
        session.table_by_id(Action::Follow, place.table)?;
        Ok(place)
    }

    /// The same of a row of a topic's source, for whoever may read the topic; `NotFound` of another's.
    pub fn topic_row_at(&self, who: &Principal, topic: TopicId, lsn: Lsn) -> Result<RowPlace> {
        let topic = self.session(who)?.followed(topic)?;
        let place = crate::cursor::row_at(&self.rooms.tables, lsn)?;
        if place.table == topic.table {
            return Ok(place);
        }
        Err(Error::NotFound { what: "row with LSN", name: lsn.to_string() })
    }

    /// Changes whenever rows of the topic's source become readable, or the topic is dropped.
    pub fn watch_topic(&self, who: &Principal, topic: TopicId) -> Result<watch::Receiver<u64>> {
        let source = self.session(who)?.followed(topic)?.table;
        Ok(self.rooms.watchers.subscribe(source))
    }
}
