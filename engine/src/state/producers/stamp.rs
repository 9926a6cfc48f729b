//! The stamp of a submission: what the sequencer asks of it, and what the log keeps of it.
//!
//! It is no precondition and no record of the submission, because it is asked before both, answers in their place where it was taken
//! before, and becomes a record only once the rows have their offsets.

use super::{Producers, StreamId};
use crate::model::{Appended, NamespaceLimit, ProducerStamp, Result, TableId};
use crate::state::catalog::Catalog;
use crate::state::family::Ahead;
use crate::state::{Change, ProducerRecord, Record};

/// A producer's stamp, in the stream that it has in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamStamp {
    pub table: TableId,
    pub stamp: ProducerStamp,
}

/// What streams of one commit are held to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StreamLimits {
    /// Streams of a namespace that has no limit of its own.
    pub default: u64,
    pub append_us: i64,
}

impl StreamStamp {
    pub(in crate::state) fn stream(&self) -> StreamId {
        (self.table, self.stamp.id)
    }

    /// The answer that was given, if it was taken before. `None`: it is the stream's next.
    pub(crate) fn answered(&self, ahead: &dyn Ahead) -> Result<Option<Vec<Appended>>> {
        let namespace = &ahead.catalog().known_table(self.table)?.namespace;
        ahead.get::<Producers>()?.check(namespace, self.table, self.stamp)
    }

    /// Refuses a producer's first batch where its namespace has no room for another stream.
    pub(crate) fn admit(&self, ahead: &dyn Ahead, limits: StreamLimits) -> Result<()> {
        let namespace = &ahead.catalog().known_table(self.table)?.namespace;
        let (stream, limit) = (self.stream(), limits.of(ahead.catalog(), namespace));
        ahead.get::<Producers>()?.room(namespace, stream, limit, limits.append_us)
    }

    /// The record of the answer.
    pub(crate) fn record(&self, appended: &[Appended]) -> Record {
        Record::Producer(ProducerRecord { table: self.table, stamp: self.stamp, appended: appended.into() })
    }

    /// What the namespace has to forget of producers once that is applied, if it is over its limit.
    pub(crate) fn excess(&self, ahead: &dyn Ahead, limits: StreamLimits) -> Result<Option<Change>> {
        let Some(info) = ahead.catalog().table(self.table) else { return Ok(None) };
        let limit = limits.of(ahead.catalog(), &info.namespace);
        let (answers, whole) = ahead.get::<Producers>()?.excess(&info.namespace, limit, limits.append_us)?;
        Ok((!answers.is_empty()).then_some(Change::ProducersForgotten { answers, whole }))
    }
}

impl StreamLimits {
    fn of(self, catalog: &Catalog, namespace: &str) -> u64 {
        catalog.limit_of_namespace(namespace, NamespaceLimit::ProducerStreams).unwrap_or(self.default)
    }
}
