//! Continuous topics: what SQL compiles of one, and what the engine drives.
//!
//! The engine reads the sources from one commit instant to the next, judges how far event time has come, and keeps what a run saves;
//! the run has the windows. A run is a pure function of what it is given: how rows are cut into batches, and when state is saved or read
//! back, has no say in what comes out.

use std::fmt;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;

use super::operator::InputColumn;
use crate::model::{OperatorError, Result, TableId};

/// A table that a continuous topic reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinuousSource {
    pub table: TableId,
    /// The columns that [`ContinuousRun::push`] takes, in their order. Nothing else is decoded.
    pub inputs: Vec<InputColumn>,
}

/// Names a piece of saved state. Pieces of one operator and window are read back in the order of their sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateKey {
    pub operator: u16,
    /// Where the window, or the pane that windows share, begins; µs.
    pub window_us: i64,
    pub sequence: u32,
}

/// How far event time had come just before rows were committed: a run of rows that were committed with the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    pub rows: usize,
    /// `i64::MIN` where nothing is known yet.
    pub watermark_us: i64,
}

/// What [`ContinuousRun::push`] tells.
#[derive(Debug, Clone, Default)]
pub struct Pushed {
    /// Rows, or parts of rows where a row is in several windows, that came too late for their window.
    pub late: u64,
    /// Them, of [`ContinuousPlan::late_schema`], if they are kept.
    pub late_rows: Option<RecordBatch>,
}

/// A part of what closes.
#[derive(Debug, Clone)]
pub struct Closed {
    pub rows: RecordBatch,
    /// State that is void from now on: all pieces of these operators and windows.
    pub dropped: Vec<(u16, i64)>,
    /// Where a run goes on that is begun anew, if it has to be told. Whether there is more says the next call alone. A window that was
    /// closed in part needs its state still.
    pub cursor: Option<Bytes>,
}

/// A compiled continuous topic.
pub trait ContinuousPlan: Send + Sync + fmt::Debug {
    fn sources(&self) -> &[ContinuousSource];
    fn output_schema(&self) -> &SchemaRef;
    /// Columns of late rows; `None` where they are dropped.
    fn late_schema(&self) -> Option<&SchemaRef>;
    /// Names what saved state means. State that was saved under another one is not understood.
    fn fingerprint(&self) -> &str;
    /// Begins without state; `cursor` as [`Closed::cursor`] last was.
    fn begin(&self, cursor: Option<&[u8]>) -> Result<Box<dyn ContinuousRun>>;
}

/// A continuous topic at work.
pub trait ContinuousRun: Send + fmt::Debug {
    /// Takes back what was saved. Called before anything else, with all pieces that were not dropped, in the order of their keys.
    fn restore(&mut self, key: StateKey, piece: &[u8]) -> Result<()>;
    /// Takes rows of a source, by its place in [`ContinuousPlan::sources`]; `judged` adds up to the batch's rows. An error leaves the run
    /// undefined: it is thrown away, and begun anew from what is saved.
    fn push(&mut self, source: usize, rows: &RecordBatch, judged: &[Judged]) -> Result<Pushed, OperatorError>;
    /// The least watermark at which [`Self::close`] has something to give; `None` if no window is open.
    fn next_close_us(&self) -> Option<i64>;
    /// Closes what ends at or below the watermark, a part of about `max_bytes` at a time, until there is none: `None`. Windows close in
    /// the order of their ends, and the rows of one in an order of their own that is always the same.
    fn close(&mut self, watermark_us: i64, max_bytes: usize) -> Result<Option<Closed>, OperatorError>;
    /// State that has come since it was last asked, in pieces of 256 KiB at most; a piece with a key that was there replaces it.
    /// Pieces that it makes void are given as `None`. A window that was closed in part is saved as any that is open.
    fn save(&mut self) -> Result<Vec<(StateKey, Option<Bytes>)>, OperatorError>;
    /// Memory that the open windows take, about, and how many there are.
    fn open(&self) -> OpenWindows;
}

/// How much is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OpenWindows {
    pub windows: u64,
    pub bytes: u64,
}
