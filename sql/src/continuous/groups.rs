//! Partial aggregates: DataFusion's groups and accumulators, from rows or from other partial aggregates.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::{DFSchema, DataFusionError, Result as DfResult, internal_err};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{EmitTo, Expr, GroupsAccumulator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};
use datafusion::physical_plan::aggregates::group_values::{GroupValues, new_group_values};
use datafusion::physical_plan::aggregates::order::GroupOrdering;

/// What is grouped by, and what is computed of each group.
#[derive(Debug)]
pub(super) struct Grouping {
    keys: SchemaRef,
    aggregates: Vec<One>,
    state: SchemaRef,
}

#[derive(Debug)]
struct One {
    function: Arc<AggregateFunctionExpr>,
    filter: Option<Arc<dyn PhysicalExpr>>,
    /// How many columns its state has.
    states: usize,
}

impl Grouping {
    /// The first `keys` columns of `input` are grouped by; `aggregates` are over all of them. `None` if one of them has no
    /// accumulators for groups.
    pub(super) fn new(input: Schema, keys: usize, aggregates: Vec<AggregateFunction>) -> DfResult<Option<Grouping>> {
        let schema = DFSchema::try_from(input.clone())?;
        let (props, context) = (ExecutionProps::new(), PhysicalPlanningContext::default());
        let mut fields: Vec<Field> = input.fields().iter().take(keys).map(|field| field.as_ref().clone()).collect();
        let keys = Arc::new(Schema::new(fields.clone()));
        let mut known = Vec::with_capacity(aggregates.len());
        for call in aggregates {
            let name = format!("a{}", known.len());
            let expr = Expr::AggregateFunction(call);
            let lowered =
                LoweredAggregateBuilder::new(&expr, &schema, &input, &props, &context).with_name(name).build()?;
            if !lowered.aggregate.groups_accumulator_supported() {
                return Ok(None);
            }
            let states = lowered.aggregate.state_fields()?;
            for state in &states {
                fields.push(Field::new(format!("s{}", fields.len()), state.data_type().clone(), true));
            }
            known.push(One { function: lowered.aggregate, filter: lowered.filter, states: states.len() });
        }
        Ok(Some(Grouping { keys, aggregates: known, state: Arc::new(Schema::new(fields)) }))
    }

    /// The columns of partial aggregates: keys, then the states of each aggregate.
    pub(super) fn state_schema(&self) -> &SchemaRef {
        &self.state
    }
}

/// Groups at work.
pub(super) struct GroupTable {
    grouping_keys: usize,
    /// `None` where there is nothing to group by: there is one group.
    values: Option<Box<dyn GroupValues>>,
    accumulators: Vec<Box<dyn GroupsAccumulator>>,
    total: usize,
    indices: Vec<usize>,
}

impl fmt::Debug for GroupTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupTable").field("groups", &self.total).finish_non_exhaustive()
    }
}

impl GroupTable {
    pub(super) fn new(grouping: &Grouping) -> DfResult<GroupTable> {
        let keys = grouping.keys.fields().len();
        let values = match keys {
            0 => None,
            _ => Some(new_group_values(Arc::clone(&grouping.keys), &GroupOrdering::None)?),
        };
        let accumulators =
            grouping.aggregates.iter().map(|one| one.function.create_groups_accumulator()).collect::<DfResult<_>>()?;
        Ok(GroupTable { grouping_keys: keys, values, accumulators, total: 0, indices: Vec::new() })
    }

    pub(super) fn bytes(&self) -> usize {
        let values = self.values.as_ref().map_or(0, |values| values.size());
        self.accumulators.iter().map(|accumulator| accumulator.size()).sum::<usize>() + values
    }

    fn intern(&mut self, batch: &RecordBatch) -> DfResult<()> {
        match &mut self.values {
            None => {
                self.indices.clear();
                self.indices.resize(batch.num_rows(), 0);
                self.total = self.total.max(usize::from(batch.num_rows() > 0));
            }
            Some(values) => {
                let keys: Vec<ArrayRef> = batch.columns().iter().take(self.grouping_keys).cloned().collect();
                values.intern(&keys, &mut self.indices)?;
                self.total = values.len();
            }
        }
        Ok(())
    }

    /// Adds rows of the grouping's input.
    pub(super) fn add(&mut self, grouping: &Grouping, rows: &RecordBatch) -> DfResult<()> {
        self.intern(rows)?;
        for (one, accumulator) in grouping.aggregates.iter().zip(&mut self.accumulators) {
            let arguments = one
                .function
                .expressions()
                .iter()
                .map(|expr| expr.evaluate(rows)?.into_array(rows.num_rows()))
                .collect::<DfResult<Vec<_>>>()?;
            let filter =
                one.filter.as_ref().map(|expr| expr.evaluate(rows)?.into_array(rows.num_rows())).transpose()?;
            let filter: Option<&BooleanArray> = match &filter {
                None => None,
                Some(filter) => match filter.as_boolean_opt() {
                    Some(filter) => Some(filter),
                    None => return internal_err!("a FILTER is of type {}", filter.data_type()),
                },
            };
            accumulator.update_batch(&arguments, &self.indices, filter, self.total)?;
        }
        Ok(())
    }

    /// Adds partial aggregates.
    pub(super) fn merge(&mut self, grouping: &Grouping, states: &RecordBatch) -> DfResult<()> {
        self.intern(states)?;
        let mut next = self.grouping_keys;
        for (one, accumulator) in grouping.aggregates.iter().zip(&mut self.accumulators) {
            let columns: Vec<ArrayRef> = states.columns().iter().skip(next).take(one.states).cloned().collect();
            next += one.states;
            accumulator.merge_batch(&columns, &self.indices, self.total)?;
        }
        Ok(())
    }

    fn keys(&mut self) -> DfResult<Vec<ArrayRef>> {
        self.values.as_mut().map_or(Ok(Vec::new()), |values| values.emit(EmitTo::All))
    }

    /// The partial aggregates; nothing is left.
    pub(super) fn into_states(mut self, grouping: &Grouping) -> DfResult<RecordBatch> {
        let mut columns = self.keys()?;
        for accumulator in &mut self.accumulators {
            columns.extend(accumulator.state(EmitTo::All)?);
        }
        batch(columns, self.total, &grouping.state)
    }

    /// Groups' keys, then the value of each aggregate.
    pub(super) fn into_values(mut self) -> DfResult<(Vec<ArrayRef>, usize)> {
        let mut columns = self.keys()?;
        for accumulator in &mut self.accumulators {
            columns.push(accumulator.evaluate(EmitTo::All)?);
        }
        Ok((columns, self.total))
    }
}

fn batch(columns: Vec<ArrayRef>, rows: usize, schema: &SchemaRef) -> DfResult<RecordBatch> {
    let cast_to = |(column, field): (&ArrayRef, &Arc<Field>)| match column.data_type() == field.data_type() {
        true => Ok(Arc::clone(column)),
        false => cast(column, field.data_type()).map_err(DataFusionError::from),
    };
    let columns = columns.iter().zip(schema.fields()).map(cast_to).collect::<DfResult<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
