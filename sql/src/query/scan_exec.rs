//! The leaf of a query plan: blocking scans on threads of their own, a bounded channel between them and the query.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

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
use millstream_engine::{BatchOperator, Error as EngineError, Offset, PartitionId, ScanRequest, TableId};
use tokio::sync::mpsc::Sender;

use super::catalog::Reader;
use crate::convert::into_datafusion;

/// Batches that wait between a scan and its reader.
const CHANNEL_BATCHES: usize = 2;

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
    table: TableId,
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
        table: TableId,
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
        ScanExec { reader, name, table, operator, groups, event_time_us, limit, exact, properties }
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
        let task = Task {
            reader: self.reader.clone(),
            name: Arc::clone(&self.name),
            table: self.table,
            parts: self.groups.get(df_partition).cloned().unwrap_or_default(),
            event_time_us: self.event_time_us.clone(),
            rows_left: self.limit.unwrap_or(usize::MAX),
            channel: builder.tx(),
        };
        builder.spawn_blocking(move || task.run());
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
        write!(f, "StreamScan: table={}, partitions={partitions}, columns_read={columns}", self.table)?;
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
    table: TableId,
    parts: Vec<Part>,
    event_time_us: Option<Range<i64>>,
    rows_left: usize,
    channel: Sender<DfResult<RecordBatch>>,
}

impl Task {
    fn run(mut self) -> DfResult<()> {
        for Part { partition, runs } in std::mem::take(&mut self.parts) {
            for (rows, operator) in runs {
                if !self.read(partition, rows, &operator)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Reads rows of one partition; false once nobody wants more.
    fn read(
        &mut self,
        partition: PartitionId,
        rows: Range<Offset>,
        operator: &Arc<dyn BatchOperator>,
    ) -> DfResult<bool> {
        let mut from = rows.start;
        while from < rows.end {
            let request = ScanRequest {
                table: self.table,
                ranges: Some(vec![(partition, from..rows.end)]),
                event_time_us: self.event_time_us.clone(),
                operator: Arc::clone(operator),
            };
            match self.forward(request, &mut from) {
                Ok(true) => return Ok(true),
                Ok(false) => return Ok(false),
                // Retention moved on while the query ran: what is gone is gone.
                Err(EngineError::OffsetOutOfRange { start, .. }) if start > from => from = start,
                Err(EngineError::Evaluation { partition, offset, source, .. }) => {
                    let topic = self.name.to_string();
                    return Err(into_datafusion(EngineError::Evaluation { topic, partition, offset, source }));
                }
                Err(error) => return Err(into_datafusion(error)),
            }
        }
        Ok(true)
    }

    fn forward(&mut self, request: ScanRequest, from: &mut Offset) -> Result<bool, EngineError> {
        if self.rows_left == 0 {
            return Ok(false);
        }
        for chunk in self.reader.engine.scan(&self.reader.who, request)? {
            let chunk = chunk?;
            *from = chunk.range.end;
            let rows = chunk.batch.num_rows().min(self.rows_left);
            if rows == 0 {
                if self.channel.is_closed() {
                    return Ok(false);
                }
                continue;
            }
            self.rows_left -= rows;
            if self.channel.blocking_send(Ok(chunk.batch.slice(0, rows))).is_err() || self.rows_left == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
