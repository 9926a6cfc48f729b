//! A compiled continuous topic.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::Result as DfResult;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use millstream_engine::{BatchOperator, ContinuousPlan, ContinuousRun, ContinuousSource, InputColumn};

use super::close::Closing;
use super::define::Over;
use super::run::WindowRun;
use super::split::{Kept, split};
use crate::topic::{Operator, Stateless};
use crate::values;
use crate::windows::{WindowSpec, per_second};

/// Changes with the layout of what is saved.
const STATE_VERSION: u32 = 1;

/// What a plan is made of.
pub(super) struct Parts<'a> {
    pub(super) over: Over<'a>,
    /// What windows are made of.
    pub(super) select: &'a Stateless,
    /// The column of `select` with the event time.
    pub(super) time: usize,
    /// In ticks of that column.
    pub(super) spec: WindowSpec,
    /// The SELECT over it, analysed.
    pub(super) plan: LogicalPlan,
    pub(super) output: SchemaRef,
    pub(super) late: Option<SchemaRef>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct WindowPlan {
    sources: Vec<ContinuousSource>,
    output: SchemaRef,
    fingerprint: String,
    core: Arc<Core>,
}

/// What runs share.
pub(super) struct Core {
    pub(super) spec: WindowSpec,
    pub(super) unit: TimeUnit,
    /// Of the event time's column.
    pub(super) time: DataType,
    /// Gives the event time, then what panes keep.
    pub(super) operator: Operator,
    /// Where the operator's inputs stand among the source's.
    pub(super) inputs: Vec<usize>,
    pub(super) kept: Kept,
    pub(super) closing: Closing,
    /// Where late rows' columns stand among the source's inputs, and their schema.
    pub(super) late: Option<(Vec<usize>, SchemaRef)>,
    /// Windows that begin before it are left out.
    pub(super) begins_us: Option<i64>,
    pub(super) output: SchemaRef,
    /// How the plan above the panes reads.
    pub(super) shown: String,
    /// Conditions on rows, and what is kept of them.
    pub(super) below: String,
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("spec", &self.spec).field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl Core {
    /// Ticks of the event time's column in µs, saturated.
    pub(super) fn us(&self, ticks: i64) -> i64 {
        let us = i128::from(ticks) * 1_000_000 / i128::from(per_second(self.unit));
        i64::try_from(us).unwrap_or(if us < 0 { i64::MIN } else { i64::MAX })
    }

    /// µs in ticks of the event time's column.
    pub(super) fn ticks(&self, us: i64) -> i64 {
        let ticks = i128::from(us) * i128::from(per_second(self.unit)) / 1_000_000;
        i64::try_from(ticks).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX })
    }
}

impl WindowPlan {
    pub(super) fn compile(parts: Parts<'_>, state: &SessionState) -> DfResult<WindowPlan> {
        let split = split(
            parts.plan,
            parts.select,
            parts.time,
            parts.spec.pane() < parts.spec.size,
            &crate::query::one_thread(state),
        )?;
        let operator = Operator::compile(&split.below, false, state)?;
        let time = split.below.outputs.first().map_or(DataType::Null, |output| output.field.data_type().clone());
        let unit = match &time {
            DataType::Timestamp(unit, _) => *unit,
            other => return datafusion::common::internal_err!("the event time is of type {other}"),
        };
        let mut inputs = operator.inputs().to_vec();
        let mut place = |input: InputColumn| match inputs.iter().position(|known| *known == input) {
            Some(place) => place,
            None => {
                inputs.push(input);
                inputs.len() - 1
            }
        };
        let late = parts.late.as_ref().map(|late| {
            let own = (0..parts.over.schema.fields().len()).map(InputColumn::Field);
            let columns = own.chain([InputColumn::Partition, InputColumn::Offset]).map(&mut place).collect();
            (columns, Arc::clone(late))
        });
        let count = operator.inputs().len();
        let fingerprint = fingerprint(&split.kept, &split.below, parts.spec, &time);
        let shown = split.above.display_indent().to_string().replace(super::split::CLOSED, "closed window");
        let below = {
            let written = |expr: &Expr| values::written(expr.clone()).to_string();
            let filters: Vec<String> = split.below.filters.iter().map(written).collect();
            let outputs: Vec<String> = split.below.outputs.iter().map(|output| written(&output.expr)).collect();
            format!("where {}: {}", filters.join(" AND "), outputs.join(", "))
        };
        let closing = Closing::new(split.above, split.kept.closed(), Arc::clone(&parts.output), state)?;
        let core = Core {
            spec: parts.spec,
            unit,
            time,
            operator,
            inputs: (0..count).collect(),
            kept: split.kept,
            closing,
            late,
            begins_us: parts.over.begins_us,
            output: Arc::clone(&parts.output),
            shown,
            below,
        };
        Ok(WindowPlan {
            sources: vec![ContinuousSource { table: parts.over.table, inputs }],
            output: parts.output,
            fingerprint,
            core: Arc::new(core),
        })
    }

    /// The windows, in words: for EXPLAIN, as what follows.
    pub(crate) fn windows(&self) -> String {
        let WindowSpec { kind, size, step, offset } = self.core.spec;
        let us = |ticks: i64| self.core.us(ticks);
        format!(
            "{} of {} µs, a new end every {} µs, from {} µs after the epoch on; kept in panes of {} µs",
            kind.name(),
            us(size),
            us(step),
            us(offset),
            us(self.core.spec.pane())
        )
    }

    /// What is done to rows before they get to panes.
    pub(crate) fn below(&self) -> String {
        self.core.below.clone()
    }

    /// What panes keep.
    pub(crate) fn state(&self) -> String {
        match &self.core.kept {
            Kept::Rows { schema, .. } => {
                let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
                format!("rows of open windows: {}", names.join(", "))
            }
            Kept::Groups { grouping, .. } => {
                format!("partial aggregates by group, {} columns", grouping.state_schema().fields().len())
            }
        }
    }

    /// What is done to a window when it closes, one line a step.
    pub(crate) fn at_close(&self) -> &str {
        &self.core.shown
    }
}

/// Names what saved panes mean. What lies above them can change.
fn fingerprint(kept: &Kept, below: &Stateless, spec: WindowSpec, time: &DataType) -> String {
    let kind = match kept {
        Kept::Rows { .. } => "rows".to_owned(),
        // States of accumulators are no promise between releases.
        Kept::Groups { .. } => format!("groups of DataFusion {}", datafusion::DATAFUSION_VERSION),
    };
    let outputs = below.outputs.iter().map(|output| format!("{}: {}", output.expr, output.field.data_type()));
    let filters = below.filters.iter().map(ToString::to_string);
    let schema = kept.schema().fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
    let text: Vec<String> =
        filters.chain(["/".to_owned()]).chain(outputs).chain(["/".to_owned()]).chain(schema).collect();
    // FNV-1a: it must be the same wherever and whenever it is computed.
    let hash = text
        .join("\n")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("windows {STATE_VERSION}, {spec} of {time}, {kind}, {hash:016x}")
}

impl ContinuousPlan for WindowPlan {
    fn sources(&self) -> &[ContinuousSource] {
        &self.sources
    }

    fn output_schema(&self) -> &SchemaRef {
        &self.output
    }

    fn late_schema(&self) -> Option<&SchemaRef> {
        self.core.late.as_ref().map(|(_, schema)| schema)
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn begin(&self, cursor: Option<&[u8]>) -> millstream_engine::Result<Box<dyn ContinuousRun>> {
        WindowRun::begin(Arc::clone(&self.core), cursor).map(|run| Box::new(run) as Box<dyn ContinuousRun>)
    }
}
