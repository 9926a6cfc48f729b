//! The leaf of a query plan: scans that block on threads for it, in slices, and a bounded channel between them and the query.
//! A scan whose reader is slow, or has taken enough, holds no thread.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DfResult, Statistics};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use millstream_engine::{BatchOperator, Error as EngineError, Offset, PartitionId, Scan, ScanRequest, TopicId};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::catalog::Reader;
use crate::convert::into_datafusion;
use crate::shares::Purpose;

/// Batches that wait between a scan and its reader.
const CHANNEL_BATCHES: usize = 2;
/// How long a scan keeps its thread while others want one.
const SLICE: Duration = Duration::from_millis(50);

/// What one partition held when the query was planned.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) partition: PartitionId,
    /// Rows, and what evaluates them, in the order of offsets. All give the same columns.
    pub(super) runs: Vec<(Range<Offset>, Arc<dyn BatchOperator>)>,
}

/// Reads the table's partitions, several at once, each in the order of its offsets.
#[derive(Debug)]
pub(super) struct ScanExec {
    reader: Reader,
    /// Of the table or topic that is read.
    name: Arc<str>,
    topic: TopicId,
    operator: Arc<dyn BatchOperator>,
    /// The parts of each df_partition.
    groups: Vec<Vec<Part>>,
    event_time_us: Option<Range<i64>>,
    limit: Option<usize>,
    /// No row is filtered out.
    exact: bool,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    #[expect(clippy::too_many_arguments, reason = "one caller, and each argument is a field")]
    pub(super) fn new(
        reader: Reader,
        name: Arc<str>,
        topic: TopicId,
        operator: Arc<dyn BatchOperator>,
        parts: Vec<Part>,
        event_time_us: Option<Range<i64>>,
        limit: Option<usize>,
        threads: usize,
        exact: bool,
    ) -> ScanExec {
        let count = parts.len().clamp(1, threads.max(1));
        let mut groups = vec![Vec::new(); count];
        for (index, part) in parts.into_iter().enumerate() {
            groups[index % count].push(part);
        }
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(operator.output_schema())),
            Partitioning::UnknownPartitioning(count),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        let properties = Arc::new(properties);
        ScanExec { reader, name, topic, operator, groups, event_time_us, limit, exact, properties }
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &str {
        "StreamScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> DfResult<TreeNodeRecursion>,
    ) -> DfResult<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, df_partition: usize, _: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let mut builder =
            RecordBatchReceiverStream::builder(Arc::clone(self.operator.output_schema()), CHANNEL_BATCHES);
        let parts = self.groups.get(df_partition).cloned().unwrap_or_default();
        let runs = parts.into_iter().flat_map(|Part { partition, runs }| {
            runs.into_iter().map(move |(rows, operator)| Run { partition, rows, operator })
        });
        let task = Task {
            reader: self.reader.clone(),
            name: Arc::clone(&self.name),
            topic: self.topic,
            runs: runs.collect(),
            scan: None,
            event_time_us: self.event_time_us.clone(),
            rows_left: self.limit.unwrap_or(usize::MAX),
            channel: builder.tx(),
        };
        builder.spawn(task.run());
        Ok(builder.build())
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> DfResult<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(self.operator.output_schema());
        if self.exact && self.limit.is_none() {
            let groups = match args.partition() {
                None => self.groups.iter().flatten().collect::<Vec<_>>(),
                Some(index) => self.groups.get(index).into_iter().flatten().collect(),
            };
            let rows: u64 = groups.iter().flat_map(|part| &part.runs).map(|(rows, _)| rows.end - rows.start).sum();
            statistics.num_rows = usize::try_from(rows).map_or(Precision::Absent, Precision::Exact);
        }
        Ok(Arc::new(statistics))
    }
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.operator.inputs().len();
        let partitions: usize = self.groups.iter().map(Vec::len).sum();
        write!(f, "StreamScan: topic={}, partitions={partitions}, columns_read={columns}", self.topic)?;
        if let Some(range) = &self.event_time_us {
            write!(f, ", event_time_us={}..{}", range.start, range.end)?;
        }
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        Ok(())
    }
}

/// One df_partition's reading.
struct Task {
    reader: Reader,
    name: Arc<str>,
    topic: TopicId,
    /// What is still to be read. The first one begins where it was read to.
    runs: VecDeque<Run>,
    /// Of the first run, once it is begun.
    scan: Option<Scan>,
    event_time_us: Option<Range<i64>>,
    rows_left: usize,
    channel: Sender<DfResult<RecordBatch>>,
}

/// Rows of one partition, and what evaluates them.
struct Run {
    partition: PartitionId,
    rows: Range<Offset>,
    operator: Arc<dyn BatchOperator>,
}

/// How a slice ended.
enum Slice {
    /// All is read, or nobody wants more.
    Done,
    /// The channel is full: this waits for its reader.
    Full(RecordBatch),
    /// Others have their turn.
    Over,
}

impl Task {
    async fn run(self) -> DfResult<()> {
        let (shares, channel) = (Arc::clone(&self.reader.shares), self.channel.clone());
        let mut task = self;
        loop {
            let read = move || {
                let slice = task.slice();
                (task, slice)
            };
            let slice;
            (task, slice) = shares.run(Purpose::Scan, read).await.map_err(into_datafusion)?;
            match slice? {
                Slice::Done => return Ok(()),
                Slice::Over => {}
                // Nobody wants more if it can't be sent, which the next slice sees.
                Slice::Full(batch) => drop(channel.send(Ok(batch)).await),
            }
        }
    }

    /// Reads until the channel is full or the slice is over. Blocks on disks.
    fn slice(&mut self) -> DfResult<Slice> {
        let begun = Instant::now();
        while self.rows_left > 0 && !self.channel.is_closed() {
            let chunk = match self.next() {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok(Slice::Done),
                Err(error) => return Err(into_datafusion(error)),
            };
            let rows = chunk.num_rows().min(self.rows_left);
            if rows > 0 {
                self.rows_left -= rows;
                if let Err(TrySendError::Full(Ok(batch))) = self.channel.try_send(Ok(chunk.slice(0, rows))) {
                    return Ok(Slice::Full(batch));
                }
            }
            if begun.elapsed() >= SLICE {
                return Ok(Slice::Over);
            }
        }
        Ok(Slice::Done)
    }

    /// The next chunk; `None` after the last one.
    fn next(&mut self) -> Result<Option<RecordBatch>, EngineError> {
        while let Some(run) = self.runs.front_mut() {
            if run.rows.is_empty() {
                (self.scan, _) = (None, self.runs.pop_front());
                continue;
            }
            let chunk = match &mut self.scan {
                Some(scan) => scan.next().transpose(),
                None => {
                    let request = ScanRequest {
                        topic: self.topic,
                        ranges: Some(vec![(run.partition, run.rows.clone())]),
                        event_time_us: self.event_time_us.clone(),
                        operator: Arc::clone(&run.operator),
                    };
                    let scan = self.reader.engine.scan(&self.reader.who, request);
                    scan.and_then(|scan| self.scan.insert(scan).next().transpose())
                }
            };
            match chunk {
                Ok(Some(chunk)) => {
                    run.rows.start = chunk.range.end;
                    return Ok(Some(chunk.batch));
                }
                // What lies behind the last chunk can't match.
                Ok(None) => run.rows.start = run.rows.end,
                // Retention moved on while the query ran: what is gone is gone.
                Err(EngineError::OffsetOutOfRange { start, .. }) if start > run.rows.start => {
                    (self.scan, run.rows.start) = (None, start);
                }
                Err(EngineError::Evaluation { partition, offset, source, .. }) => {
                    return Err(EngineError::Evaluation { topic: self.name.to_string(), partition, offset, source });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
