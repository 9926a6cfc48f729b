//! Appending rows, in pieces that are atomic each.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::ast::{Ident, Insert, ObjectName, TableObject};
use millstream_engine::{
    Append, Engine, Error as EngineError, PartitionChoice, PendingReceipt, Principal, TableInfo, Tickets,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::Scene;
use super::define::writable;
use crate::convert::from_datafusion;
use crate::listing::missing;
use crate::query::Relation;
use crate::shares::{Purpose, Shares};
use crate::{Error, Result};

/// Rows are collected up to this before they are appended; well below what one commit may hold.
const PIECE_BYTES: usize = 4 << 20;
/// Pieces that may wait for the disk at once.
const PIECES_UNDER_WAY: usize = 4;
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The table of an INSERT, with all its columns written out where the statement names none.
pub(crate) fn insert_columns(scene: &Scene, mut insert: Insert) -> Result<(Insert, Arc<TableInfo>)> {
    let TableObject::TableName(name) = &insert.table else {
        return Err(Error::Internal("INSERT without a table".to_owned()));
    };
    let unsupported = [
        (insert.on.is_some(), "ON CONFLICT"),
        (insert.returning.is_some(), "RETURNING"),
        (insert.overwrite, "OVERWRITE"),
        (insert.partitioned.is_some(), "PARTITION"),
        (insert.ignore || insert.or.is_some() || insert.replace_into, "OR REPLACE, OR IGNORE"),
    ];
    for (present, clause) in unsupported {
        if present {
            let message = format!("{clause} is not offered in INSERT: tables are append-only");
            return Err(Error::Unsupported { message, position: crate::names::position(name) });
        }
    }
    let resolved = writable(scene, name)?;
    let table = match scene.reader.relation(&resolved)? {
        Some(Relation::Table(table)) => table,
        Some(Relation::Topic(topic, table)) => {
            let message = format!("{:?} is a topic; insert into its table {:?}", topic.name, table.name);
            return Err(Error::Unsupported { message, position: crate::names::position(name) });
        }
        None => return Err(missing("table", &resolved)),
    };
    if insert.columns.is_empty() {
        let column = |name: &String| ObjectName::from(Ident::with_quote('"', name));
        insert.columns = table.schema().fields().iter().map(|field| column(field.name())).collect();
    }
    Ok((insert, table))
}

/// Collects rows for one table and appends them piece by piece.
pub(crate) struct Appender {
    engine: Engine,
    who: Principal,
    table: Arc<TableInfo>,
    waiting: Vec<RecordBatch>,
    waiting_bytes: usize,
    /// Pieces that may still wait for room,
    queued: Tickets,
    /// and those that wait for the disk.
    under_way: VecDeque<PendingReceipt>,
    /// Rows of each of both. What a receipt has places for may be fewer: delayed messages get theirs later.
    sizes: VecDeque<u64>,
    rows: u64,
    /// A piece has been queued.
    has_begun: bool,
    shares: Arc<Shares>,
}

impl Appender {
    pub(crate) fn new(scene: &Scene, table: Arc<TableInfo>) -> Appender {
        Appender {
            engine: scene.engine().clone(),
            who: scene.who().clone(),
            table,
            waiting: Vec::new(),
            waiting_bytes: 0,
            queued: Tickets::default(),
            under_way: VecDeque::new(),
            sizes: VecDeque::new(),
            rows: 0,
            has_begun: false,
            shares: Arc::clone(&scene.reader.shares),
        }
    }

    /// Takes rows; blocks while enough are under way, or the limits of the namespace or of who inserts let no more come.
    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.queue(Some(batch))?;
        futures::executor::block_on(self.admit())?;
        while let Some(pause) = self.pause() {
            std::thread::sleep(pause);
        }
        Ok(())
    }

    /// As [`Self::push`], without a thread that waits.
    pub(crate) async fn push_later(self, batch: RecordBatch) -> Result<Appender> {
        self.later(Some(batch)).await
    }

    /// Appends what is left and waits for all of it; gives the rows appended.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.queue(None)?;
        futures::executor::block_on(async {
            self.admit().await?;
            self.settle_all().await
        })
    }

    /// As [`Self::finish`], without a thread that waits.
    pub(crate) async fn finish_later(self) -> Result<u64> {
        self.later(None).await?.settle_all().await
    }

    async fn later(self, batch: Option<RecordBatch>) -> Result<Appender> {
        let (shares, more) = (Arc::clone(&self.shares), batch.is_some());
        let mut appender = self;
        let mut appender = shares.run(Purpose::Rows, move || appender.queue(batch).map(|()| appender)).await??;
        appender.admit().await?;
        while more && let Some(pause) = appender.pause() {
            tokio::time::sleep(pause).await;
        }
        Ok(appender)
    }

    /// How long to wait before more rows are taken, for a second at most: limits may be changed meanwhile. A statement that has appended
    /// nothing yet is not held back: it may be refused.
    fn pause(&self) -> Option<Duration> {
        if !self.has_begun {
            return None;
        }
        self.engine.append_pause(&self.who, &self.table.namespace).map(|pause| pause.min(LONGEST_PAUSE))
    }

    /// Collects rows, and queues the pieces that are full; without rows, what is left. Waits for nothing.
    fn queue(&mut self, batch: Option<RecordBatch>) -> Result<()> {
        let Some(mut rest) = batch else { return self.flush() };
        while rest.num_rows() > 0 {
            let bytes = rest.get_array_memory_size().max(1);
            let fitting = match bytes.checked_sub(PIECE_BYTES) {
                None | Some(0) => rest.num_rows(),
                Some(_) => (rest.num_rows() * PIECE_BYTES / bytes).max(1),
            };
            let piece = rest.slice(0, fitting.min(rest.num_rows()));
            rest = rest.slice(piece.num_rows(), rest.num_rows() - piece.num_rows());
            let piece_bytes = bytes.min(PIECE_BYTES);
            if self.waiting_bytes + piece_bytes > PIECE_BYTES {
                self.flush()?;
            }
            self.waiting_bytes += piece_bytes;
            self.waiting.push(piece);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.waiting_bytes = 0;
        let batches = std::mem::take(&mut self.waiting);
        let Some(first) = batches.first() else { return Ok(()) };
        let batch = match batches.len() {
            1 => first.clone(),
            _ => concat_batches(&first.schema(), &batches).map_err(|error| Error::Execution(error.to_string()))?,
        };
        self.append(batch)
    }

    fn append(&mut self, batch: RecordBatch) -> Result<()> {
        let append = Append { table: self.table.id, partition: PartitionChoice::ByKey, batch: batch.clone() };
        // A statement is refused while there was too much, or it is carried out to its end.
        let queued = match self.has_begun {
            false => self.engine.enqueue(&self.who, append, None),
            true => self.engine.enqueue_paced(&self.who, append, None),
        };
        match queued {
            Ok(ticket) => {
                self.has_begun = true;
                self.queued.push(ticket);
                self.sizes.push_back(u64::try_from(batch.num_rows()).unwrap_or(u64::MAX));
                Ok(())
            }
            Err(EngineError::TooLarge { .. }) if batch.num_rows() > 1 => {
                let half = batch.num_rows() / 2;
                self.append(batch.slice(0, half))?;
                self.append(batch.slice(half, batch.num_rows() - half))
            }
            Err(error) => Err(self.after_some(error.into())),
        }
    }

    /// Waits until all of these have room, and until few enough are under way.
    async fn admit(&mut self) -> Result<()> {
        while let Some(admitted) = self.queued.next().await {
            let receipt = admitted.map_err(|error| self.after_some(error.into()))?;
            self.under_way.push_back(receipt);
            while self.under_way.len() > PIECES_UNDER_WAY
                && let Some(receipt) = self.under_way.pop_front()
            {
                self.settle(receipt).await?;
            }
        }
        Ok(())
    }

    async fn settle_all(mut self) -> Result<u64> {
        while let Some(receipt) = self.under_way.pop_front() {
            self.settle(receipt).await?;
        }
        Ok(self.rows)
    }

    async fn settle(&mut self, receipt: PendingReceipt) -> Result<()> {
        let rows = self.sizes.pop_front().unwrap_or(0);
        match receipt.await {
            Ok(_) => {
                self.rows += rows;
                Ok(())
            }
            Err(error) => Err(self.after_some(error.into())),
        }
    }

    /// An error after some pieces were appended says so: they stay.
    fn after_some(&self, error: Error) -> Error {
        if self.rows == 0 && self.under_way.is_empty() && self.queued.is_empty() {
            return error;
        }
        Error::Partial { rows: self.rows, source: Box::new(error) }
    }
}

/// The source of an INSERT without the pseudo-columns that the table may have been planned with.
pub(crate) fn own_columns(source: LogicalPlan, table: &TableInfo) -> Result<LogicalPlan> {
    let own = table.schema().fields().len();
    if source.schema().fields().len() <= own {
        return Ok(source);
    }
    let columns: Vec<_> = source.schema().columns().into_iter().take(own).map(Into::into).collect();
    let narrowed: Vec<datafusion::logical_expr::Expr> = columns;
    datafusion::logical_expr::LogicalPlanBuilder::from(source)
        .project(narrowed)
        .and_then(|builder| builder.build())
        .map_err(|error| from_datafusion(error, 0))
}
