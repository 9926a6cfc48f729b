//! `poll('topic', 'group', max_rows, wait_ms, …)`: consuming without our client library.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result as DfResult, ScalarValue};
use datafusion::datasource::source_as_provider;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, LogicalPlan, TableType};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use datafusion::sql::sqlparser::ast::{Expr as Sql, FunctionArg, FunctionArgExpr, Value};
use millstream_engine::{AutoOffsetReset, ConsumerConfig, Delivery, NamedPoll, TopicInfo};
use tokio::runtime::Handle;

use crate::convert::into_datafusion;
use crate::names::{fold, ident_position};
use crate::query::Reader;
use crate::shares::Purpose;
use crate::{Error, Result, pseudo};

/// The function's name.
pub(crate) const NAME: &str = "poll";
/// Its parameters in order; the first four are required.
const PARAMETERS: [&str; 7] =
    ["topic", "group", "max_rows", "wait_ms", "client_id", "auto_offset_reset", "session_timeout_ms"];
/// The pseudo-columns that it has; a delivery carries no append times.
pub(crate) const HIDDEN: [&str; 2] = [pseudo::NAMES[0], pseudo::NAMES[1]];
/// The longest one call waits.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Puts named arguments in their places, with NULL for those left out: DataFusion knows places only.
pub(crate) fn place_arguments(arguments: &mut Vec<FunctionArg>) -> Result<()> {
    let mut places: Vec<Option<FunctionArg>> = vec![None; PARAMETERS.len()];
    for (index, argument) in std::mem::take(arguments).into_iter().enumerate() {
        let (place, argument, position) = match argument {
            FunctionArg::Named { name, arg, .. } => {
                let position = ident_position(&name);
                let name = fold(&name);
                let Some(place) = PARAMETERS.iter().position(|known| *known == name) else {
                    let message = format!("poll has no argument {name}; it takes {}", PARAMETERS.join(", "));
                    return Err(Error::Invalid { message, position });
                };
                (place, FunctionArg::Unnamed(arg), position)
            }
            other => (index, other, None),
        };
        match places.get_mut(place) {
            Some(free @ None) => *free = Some(argument),
            Some(Some(_)) => {
                let message = format!("argument {} of poll is given twice", PARAMETERS[place]);
                return Err(Error::Invalid { message, position });
            }
            None => {
                let message = format!("poll takes {}", PARAMETERS.join(", "));
                return Err(Error::Invalid { message, position });
            }
        }
    }
    let null = || FunctionArg::Unnamed(FunctionArgExpr::Expr(Sql::Value(Value::Null.into())));
    *arguments = places.into_iter().map(|argument| argument.unwrap_or_else(null)).collect();
    Ok(())
}

/// What the calls of the function in a plan consume, and as which members.
pub(crate) fn members(plan: &LogicalPlan) -> Vec<(ConsumerConfig, Arc<TopicInfo>)> {
    let mut found = Vec::new();
    let walked = plan.apply_with_subqueries(|step| {
        if let LogicalPlan::TableScan(scan) = step
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(poll) = provider.downcast_ref::<PollTable>()
        {
            found.push((poll.config.clone(), Arc::clone(&poll.topic)));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(walked.is_ok(), "the walk itself cannot fail");
    found
}

/// The table function, for one session.
#[derive(Debug)]
pub(crate) struct PollFunction {
    pub(crate) reader: Reader,
    pub(crate) namespace: String,
    pub(crate) with_pseudo: bool,
}

impl TableFunctionImpl for PollFunction {
    fn call_with_args(&self, args: TableFunctionArgs) -> DfResult<Arc<dyn TableProvider>> {
        self.bind(args.exprs()).map_err(into_datafusion)
    }
}

impl PollFunction {
    /// Reads the arguments and the topic's schema; nothing is polled yet.
    fn bind(&self, arguments: &[Expr]) -> Result<Arc<dyn TableProvider>> {
        let invalid = |message: String| Error::Invalid { message, position: None };
        let text = |index: usize| match arguments.get(index) {
            Some(Expr::Literal(value, _)) if value.is_null() => Ok(None),
            Some(Expr::Literal(ScalarValue::Utf8(text) | ScalarValue::Utf8View(text), _)) => Ok(text.clone()),
            None => Ok(None),
            Some(_) => Err(invalid(format!("{} of poll is a string in quotes", PARAMETERS[index]))),
        };
        let number = |index: usize| match arguments.get(index) {
            Some(Expr::Literal(value, _)) if value.is_null() => Ok(None),
            Some(Expr::Literal(ScalarValue::Int64(Some(number)), _)) if *number >= 0 => Ok(Some(number.unsigned_abs())),
            None => Ok(None),
            Some(_) => Err(invalid(format!("{} of poll is a whole number from 0", PARAMETERS[index]))),
        };
        let required = |index: usize| {
            invalid(format!("poll takes {}; {} is missing", PARAMETERS[..4].join(", "), PARAMETERS[index]))
        };
        let topic = text(0)?.ok_or_else(|| required(0))?;
        let group_id = text(1)?.ok_or_else(|| required(1))?;
        let max_rows = number(2)?.ok_or_else(|| required(2))?;
        let wait_ms = number(3)?.ok_or_else(|| required(3))?;
        if max_rows == 0 {
            return Err(invalid("max_rows of poll is at least 1".to_owned()));
        }
        let auto_offset_reset = match text(5)?.as_deref() {
            None | Some("latest") => AutoOffsetReset::Latest,
            Some("earliest") => AutoOffsetReset::Earliest,
            Some("none") => AutoOffsetReset::None,
            Some(other) => {
                return Err(invalid(format!("auto_offset_reset is earliest, latest or none, not {other:?}")));
            }
        };
        let mut config = ConsumerConfig {
            namespace: self.namespace.clone(),
            group_id,
            client_id: text(4)?.unwrap_or_default(),
            auto_offset_reset,
            enable_auto_commit: false,
            max_poll_rows: usize::try_from(max_rows).unwrap_or(usize::MAX),
            ..ConsumerConfig::default()
        };
        if let Some(timeout) = number(6)? {
            config.session_timeout = Duration::from_millis(timeout);
        }
        let topic = self.reader.engine.topic(&self.reader.who, &self.namespace, &topic)?;
        let schema = match self.with_pseudo {
            true => Arc::new(extend(&topic.output_schema)),
            false => Arc::clone(&topic.output_schema),
        };
        let wait = Duration::from_millis(wait_ms).min(MAX_WAIT);
        Ok(Arc::new(PollTable { reader: self.reader.clone(), config, topic, wait, schema }))
    }
}

/// The topic's columns with those pseudo-columns that it has no column of that name for.
fn extend(schema: &Schema) -> Schema {
    let known = pseudo::fields().into_iter().filter(|field| HIDDEN.contains(&field.name().as_str()));
    let missing = known.filter(|field| schema.field_with_name(field.name()).is_err());
    Schema::new(schema.fields().iter().map(|field| field.as_ref().clone()).chain(missing).collect::<Vec<_>>())
}

#[derive(Debug, Clone)]
struct PollTable {
    reader: Reader,
    config: ConsumerConfig,
    topic: Arc<TopicInfo>,
    wait: Duration,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for PollTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let projection = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&projection)?);
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Arc::new(PollExec { table: self.clone(), projection, properties: Arc::new(properties) }))
    }
}

/// Polls when it is executed.
#[derive(Debug)]
struct PollExec {
    table: PollTable,
    projection: Vec<usize>,
    properties: Arc<PlanProperties>,
}

impl ExecutionPlan for PollExec {
    fn name(&self) -> &str {
        "Poll"
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

    fn execute(&self, _: usize, _: Arc<TaskContext>) -> DfResult<SendableRecordBatchStream> {
        let mut builder = RecordBatchReceiverStream::builder(self.schema(), 1);
        let (table, projection, channel) = (self.table.clone(), self.projection.clone(), builder.tx());
        builder.spawn(async move {
            let schema = Arc::clone(&table.schema);
            for delivery in poll(table).await.map_err(into_datafusion)? {
                if delivery.batch.num_rows() == 0 {
                    continue;
                }
                let batch = delivered(&delivery, &schema)?.project(&projection)?;
                if channel.send(Ok(batch)).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
        Ok(builder.build())
    }
}

/// Polls. A thread is held while rows are looked for, and none while they are waited for.
async fn poll(table: PollTable) -> Result<Vec<Delivery>> {
    let PollTable { reader, config, topic, wait, .. } = table;
    let shares = Arc::clone(&reader.shares);
    let begin = move || {
        let rows = config.max_poll_rows;
        let poll = reader.engine.begin_poll_named(&reader.who, config, &topic.name, rows, wait)?;
        Ok::<_, Error>(UnderWay(Some(poll)))
    };
    // The first poll of a client joins the group, which waits for the log.
    let mut poll = shares.run(Purpose::Statement, begin).await??;
    loop {
        let step = move || {
            let next = poll.0.as_mut().and_then(NamedPoll::step);
            (poll, next)
        };
        let next;
        (poll, next) = shares.run(Purpose::Rows, step).await?;
        let Some(mut next) = next else { break };
        let longest = next.longest;
        // Either way the next step says how it stands.
        let _ = tokio::time::timeout(longest, next.changed()).await;
    }
    let finish = move || poll.0.take().map_or(Ok(Vec::new()), NamedPoll::finish);
    Ok(shares.run(Purpose::Rows, finish).await??)
}

/// Ends off the threads of queries, when its query is broken off: that takes the group's lock.
struct UnderWay(Option<NamedPoll>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(poll) = self.0.take()
            && let Ok(threads) = Handle::try_current()
        {
            drop(threads.spawn_blocking(move || drop(poll)));
        }
    }
}

impl DisplayAs for PollExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Poll: topic={}, group={}", self.table.topic.name, self.table.config.group_id)
    }
}

/// A delivery's rows with the pseudo-columns of `schema`.
fn delivered(delivery: &Delivery, schema: &SchemaRef) -> DfResult<RecordBatch> {
    let rows = delivery.batch.num_rows();
    let mut columns = delivery.batch.columns().to_vec();
    for field in schema.fields().iter().skip(columns.len()) {
        let column: ArrayRef = match field.name().as_str() {
            "_partition" => {
                let partition = i32::try_from(delivery.partition).unwrap_or(i32::MAX);
                Arc::new(Int32Array::from_value(partition, rows))
            }
            _ => {
                let offset = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
                Arc::new(Int64Array::from_iter_values(delivery.offsets.iter().map(offset)))
            }
        };
        columns.push(column);
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
