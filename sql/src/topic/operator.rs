//! A [`Stateless`] compiled: physical expressions evaluated directly on the engine's batches.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{FilterBuilder, prep_null_mask_filter};
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DataFusionError, Result as DfResult};
use datafusion::execution::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};
use millstream_engine::{BatchOperator, ChunkStatistics, Evaluated, InputColumn, OperatorError, RowMap};

use super::prune::Pruner;
use super::stateless::Stateless;
use crate::convert::into_operator;
use crate::threads::evaluating;
use crate::{pseudo, values};

/// Filters first, one after the other, each followed by dropping the columns that only it needed; then the output
/// expressions, on the rows that are left.
#[derive(Debug)]
pub(crate) struct Operator {
    inputs: Vec<InputColumn>,
    output: SchemaRef,
    filters: Vec<Filter>,
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    pruner: Option<Pruner>,
    identity: bool,
    /// How many expressions stand inside of one another.
    depth: usize,
}

#[derive(Debug)]
struct Filter {
    predicate: Arc<dyn PhysicalExpr>,
    /// The columns of this filter's batch that are still needed after it.
    keep: Vec<usize>,
}

impl Operator {
    /// Compiles. `identity` says that the rows are the newest schema's, unchanged, so that encoded bytes can be sent on.
    pub(crate) fn compile(stateless: &Stateless, identity: bool, state: &SessionState) -> DfResult<Operator> {
        let places = places(&stateless.input);
        let layouts = layouts(stateless, &places);
        let mut props = ExecutionProps::new();
        props.mark_start_execution(Arc::clone(state.config_options()));
        // Made once for all expressions over a layout: tables may have thousands of columns.
        let schema_of = |layout: &[usize]| DFSchema::try_from(project(&stateless.input, layout));
        let compile = |expr: &Expr, schema: &DFSchema| -> DfResult<Arc<dyn PhysicalExpr>> {
            let expr = values::evaluable(expr.clone(), schema)?;
            create_physical_expr(&expr, schema, &props, &PhysicalPlanningContext::default())
        };
        let mut filters = Vec::with_capacity(stateless.filters.len());
        for (step, filter) in stateless.filters.iter().enumerate() {
            let (here, next) = (&layouts[step], &layouts[step + 1]);
            let keep = next.iter().filter_map(|column| here.binary_search(column).ok()).collect();
            filters.push(Filter { predicate: compile(filter, &schema_of(here)?)?, keep });
        }
        let schema = schema_of(&layouts[stateless.filters.len()])?;
        let outputs = stateless.outputs.iter();
        let layout = &layouts[stateless.filters.len()];
        let expressions = outputs
            .map(|output| match place_in(layout, &output.expr, &places) {
                Some((name, index)) => Ok(Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>),
                None => compile(&output.expr, &schema),
            })
            .collect::<DfResult<Vec<_>>>()?;
        let first = &layouts[0];
        let whole = stateless.filters.iter().cloned().reduce(Expr::and);
        let pruner = match whole {
            None => None,
            Some(whole) => {
                Pruner::new(compile(&whole, &schema_of(first)?)?, Arc::new(project(&stateless.input, first)))
            }
        };
        let inputs = first.iter().map(|index| pseudo::input(*index, stateless.columns)).collect();
        let all = filters.iter().map(|filter| &filter.predicate).chain(&expressions);
        let depth = all.map(depth).max().unwrap_or(0);
        Ok(Operator { inputs, output: stateless.output_schema(), filters, expressions, pruner, identity, depth })
    }

    /// What chunks are tested for before they are opened, as text; `None` if nothing can be skipped.
    pub(crate) fn prunable(&self) -> Option<String> {
        self.pruner.as_ref().map(Pruner::describe)
    }

    fn run(&self, input: &RecordBatch) -> DfResult<Evaluated> {
        let mut batch = input.clone();
        let mut rows: Option<Vec<u32>> = None;
        for filter in &self.filters {
            let mask = mask(&filter.predicate, &batch)?;
            let kept = batch.project(&filter.keep)?;
            let selected = mask.true_count();
            if selected == mask.len() {
                batch = kept;
                continue;
            }
            let positions = mask.values().set_indices_u32();
            rows = Some(match rows {
                None => positions.collect(),
                Some(before) => positions.filter_map(|position| before.get(position as usize).copied()).collect(),
            });
            batch = match selected {
                0 => kept.slice(0, 0),
                _ => FilterBuilder::new(&mask).optimize().build().filter_record_batch(&kept)?,
            };
        }
        let count = batch.num_rows();
        let mut columns = Vec::with_capacity(self.expressions.len());
        for expression in &self.expressions {
            columns.push(expression.evaluate(&batch)?.into_array(count)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.output), columns, &options)?;
        Ok(Evaluated { batch, rows: rows.map_or(RowMap::Every, RowMap::Indices) })
    }
}

impl BatchOperator for Operator {
    fn inputs(&self) -> &[InputColumn] {
        &self.inputs
    }

    fn output_schema(&self) -> &SchemaRef {
        &self.output
    }

    fn prune(&self, chunks: &[ChunkStatistics]) -> Vec<bool> {
        match &self.pruner {
            Some(pruner) => pruner.prune(chunks),
            None => vec![false; chunks.len()],
        }
    }

    fn evaluate(&self, input: &RecordBatch) -> Result<Evaluated, OperatorError> {
        // The engine sees to it that a panic in an expression takes no reader's thread with it.
        evaluating(self.depth, || self.run(input)).map_err(into_operator)
    }

    fn is_identity(&self) -> bool {
        self.identity
    }
}

fn depth(expr: &Arc<dyn PhysicalExpr>) -> usize {
    1 + expr.children().into_iter().map(depth).max().unwrap_or(0)
}

/// Where each column of the input stands; of several of one name the first. DataFusion and arrow look through all of them each
/// time that they are asked.
fn places(input: &Schema) -> HashMap<&str, usize> {
    let mut places = HashMap::with_capacity(input.fields().len());
    for (index, field) in input.fields().iter().enumerate() {
        places.entry(field.name().as_str()).or_insert(index);
    }
    places
}

/// The name and place in a batch of an expression that is a column and nothing more.
fn place_in<'a>(layout: &[usize], expr: &'a Expr, places: &HashMap<&str, usize>) -> Option<(&'a str, usize)> {
    let Expr::Column(column) = expr else { return None };
    let place = layout.binary_search(places.get(column.name.as_str())?).ok()?;
    Some((&column.name, place))
}

/// Which columns of the input each filter's batch has, and, last, the outputs' batch; sorted.
fn layouts(stateless: &Stateless, places: &HashMap<&str, usize>) -> Vec<Vec<usize>> {
    let mut needed = BTreeSet::new();
    let add = |expr: &Expr, needed: &mut BTreeSet<usize>| {
        needed.extend(expr.column_refs().into_iter().filter_map(|column| places.get(column.name.as_str())));
    };
    for output in &stateless.outputs {
        add(&output.expr, &mut needed);
    }
    let mut layouts = vec![needed.iter().copied().collect::<Vec<_>>()];
    for filter in stateless.filters.iter().rev() {
        add(filter, &mut needed);
        layouts.push(needed.iter().copied().collect());
    }
    layouts.reverse();
    // A batch needs a column to have rows by; the offset costs nothing to make.
    if let Some(first) = layouts.first_mut()
        && first.is_empty()
    {
        first.push(stateless.columns + 1);
    }
    layouts
}

fn project(schema: &Schema, layout: &[usize]) -> Schema {
    Schema::new(layout.iter().map(|index| schema.field(*index).clone()).collect::<Vec<Field>>())
}

/// The rows that pass: null is false.
fn mask(predicate: &Arc<dyn PhysicalExpr>, batch: &RecordBatch) -> DfResult<BooleanArray> {
    let answer = predicate.evaluate(batch)?.into_array(batch.num_rows())?;
    let Some(mask) = answer.as_any().downcast_ref::<BooleanArray>() else {
        return Err(DataFusionError::Plan(format!("a condition is of type {}, not Boolean", answer.data_type())));
    };
    Ok(match mask.null_count() {
        0 => mask.clone(),
        _ => prep_null_mask_filter(mask),
    })
}
