//! `sum` of integers and decimals, which DataFusion wraps. It is added up in 128 bits and checked once, at the end, so that
//! the answer does not depend on the order of the rows.

use std::collections::HashSet;
use std::mem::size_of_val;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, ListArray, PrimitiveArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, Field, FieldRef, Int64Type, UInt64Type};
use datafusion::common::{Result as DfResult, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::functions_aggregate::sum::Sum;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
};

use crate::types::to_sql;

/// Takes DataFusion's place under its name. Doubles, durations and intervals go on to it.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct ExactSum {
    inner: Sum,
}

fn is_exact(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::UInt64 | DataType::Decimal128(..))
}

/// What partial sums are kept as: no 2^63 integers come near its ends.
fn state_type(result: &DataType) -> DataType {
    match result {
        DataType::Decimal128(_, scale) => DataType::Decimal128(38, *scale),
        _ => DataType::Decimal128(38, 0),
    }
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        self.inner.return_type(types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> DfResult<Box<dyn Accumulator>> {
        let result = args.return_field.data_type();
        match (is_exact(result), args.is_distinct) {
            (true, false) => Ok(Box::new(Total { result: result.clone(), sum: 0, rows: 0 })),
            (true, true) => Ok(Box::new(DistinctTotal { result: result.clone(), values: HashSet::new() })),
            (false, _) => self.inner.accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DfResult<Vec<FieldRef>> {
        let state = state_type(args.return_type());
        match (is_exact(args.return_type()), args.is_distinct) {
            (true, false) => Ok(vec![Arc::new(Field::new(format_state_name(args.name, "sum"), state, true))]),
            (true, true) => {
                let item = Field::new_list_field(state, true);
                Ok(vec![Arc::new(Field::new_list(format_state_name(args.name, "sum distinct"), item, false))])
            }
            (false, _) => self.inner.state_fields(args),
        }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> DfResult<Box<dyn GroupsAccumulator>> {
        let result = args.return_field.data_type();
        match is_exact(result) {
            true => Ok(Box::new(Totals { result: result.clone(), sums: Vec::new(), seen: Vec::new() })),
            false => self.inner.create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> DfResult<Box<dyn Accumulator>> {
        let result = args.return_field.data_type();
        match is_exact(result) && !args.is_distinct {
            true => Ok(Box::new(Total { result: result.clone(), sum: 0, rows: 0 })),
            false => self.inner.create_sliding_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.reverse_expr()
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.order_sensitivity()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.set_monotonicity(data_type)
    }
}

/// Calls `take` with every value that is there, and its row.
fn each(array: &ArrayRef, mut take: impl FnMut(usize, i128) -> DfResult<()>) -> DfResult<()> {
    fn walk<T: ArrowPrimitiveType<Native: Into<i128>>>(
        array: &PrimitiveArray<T>,
        take: &mut impl FnMut(usize, i128) -> DfResult<()>,
    ) -> DfResult<()> {
        if array.null_count() == 0 {
            return array.values().iter().enumerate().try_for_each(|(row, value)| take(row, (*value).into()));
        }
        let values = array.iter().enumerate();
        values.filter_map(|(row, value)| Some((row, value?))).try_for_each(|(row, value)| take(row, value.into()))
    }
    match array.data_type() {
        DataType::Int64 => walk(array.as_primitive::<Int64Type>(), &mut take),
        DataType::UInt64 => walk(array.as_primitive::<UInt64Type>(), &mut take),
        DataType::Decimal128(..) => walk(array.as_primitive::<Decimal128Type>(), &mut take),
        DataType::Null => Ok(()),
        other => exec_err!("sum does not take {other}"),
    }
}

fn overflow(result: &DataType) -> datafusion::common::DataFusionError {
    exec_datafusion_err!("a sum is out of range for {}", to_sql(result))
}

fn plus(left: i128, right: i128, result: &DataType) -> DfResult<i128> {
    left.checked_add(right).ok_or_else(|| overflow(result))
}

/// Partial sums as they go from one step to the next.
fn states(sums: impl Iterator<Item = Option<i128>>, result: &DataType) -> ArrayRef {
    let sums: Decimal128Array = sums.collect();
    Arc::new(sums.with_data_type(state_type(result)))
}

/// Sums in the type of the answer.
fn answers(sums: impl Iterator<Item = Option<i128>>, result: &DataType) -> DfResult<ArrayRef> {
    let out = |sum: i128| exec_datafusion_err!("the sum {sum} is out of range for {}", to_sql(result));
    Ok(match result {
        DataType::Int64 => {
            let fit = |sum: i128| i64::try_from(sum).map_err(|_| out(sum));
            Arc::new(sums.map(|sum| sum.map(fit).transpose()).collect::<DfResult<PrimitiveArray<Int64Type>>>()?)
        }
        DataType::UInt64 => {
            let fit = |sum: i128| u64::try_from(sum).map_err(|_| out(sum));
            Arc::new(sums.map(|sum| sum.map(fit).transpose()).collect::<DfResult<PrimitiveArray<UInt64Type>>>()?)
        }
        DataType::Decimal128(precision, _) => {
            let sums: Decimal128Array = sums.collect();
            let sums = sums.with_data_type(result.clone());
            sums.validate_decimal_precision(*precision).map_err(|_| overflow(result))?;
            Arc::new(sums)
        }
        other => return exec_err!("sum does not give {other}"),
    })
}

/// One sum; rows may leave it again.
#[derive(Debug)]
struct Total {
    result: DataType,
    sum: i128,
    /// How many values are in it: without any, the sum is null.
    rows: u64,
}

impl Total {
    fn known(&self) -> Option<i128> {
        (self.rows > 0).then_some(self.sum)
    }
}

impl Accumulator for Total {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let Some(values) = values.first() else { return Ok(()) };
        let (mut sum, result) = (self.sum, &self.result);
        each(values, |_, value| plus(sum, value, result).map(|more| sum = more))?;
        self.sum = sum;
        self.rows += (values.len() - values.logical_null_count()) as u64;
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        self.update_batch(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let Some(values) = values.first() else { return Ok(()) };
        let (mut sum, result) = (self.sum, &self.result);
        each(values, |_, value| plus(sum, -value, result).map(|less| sum = less))?;
        self.sum = sum;
        self.rows -= (values.len() - values.logical_null_count()) as u64;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        ScalarValue::try_from_array(&answers([self.known()].into_iter(), &self.result)?, 0)
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::try_from_array(&states([self.known()].into_iter(), &self.result), 0)?])
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}

/// One sum of values that count once each.
#[derive(Debug)]
struct DistinctTotal {
    result: DataType,
    values: HashSet<i128>,
}

impl Accumulator for DistinctTotal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let Some(values) = values.first() else { return Ok(()) };
        each(values, |_, value| {
            self.values.insert(value);
            Ok(())
        })
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> DfResult<()> {
        let Some(lists) = states.first().and_then(|state| state.as_list_opt::<i32>()) else { return Ok(()) };
        lists.iter().flatten().try_for_each(|values| self.update_batch(&[values]))
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let mut sum = None;
        for value in &self.values {
            sum = Some(plus(sum.unwrap_or(0), *value, &self.result)?);
        }
        ScalarValue::try_from_array(&answers([sum].into_iter(), &self.result)?, 0)
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        let values = states(self.values.iter().copied().map(Some), &self.result);
        let item = Arc::new(Field::new_list_field(state_type(&self.result), true));
        let list = ListArray::new(item, OffsetBuffer::from_lengths([values.len()]), values, None);
        Ok(vec![ScalarValue::List(Arc::new(list))])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * 2 * size_of::<i128>()
    }
}

/// Many sums, one for each group.
#[derive(Debug)]
struct Totals {
    result: DataType,
    sums: Vec<i128>,
    seen: Vec<bool>,
}

impl Totals {
    fn take(&mut self, emit_to: EmitTo) -> impl Iterator<Item = Option<i128>> + use<> {
        let (sums, seen) = (emit_to.take_needed(&mut self.sums), emit_to.take_needed(&mut self.seen));
        sums.into_iter().zip(seen).map(|(sum, seen)| seen.then_some(sum))
    }
}

impl GroupsAccumulator for Totals {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total_groups: usize,
    ) -> DfResult<()> {
        self.sums.resize(total_groups, 0);
        self.seen.resize(total_groups, false);
        let Some(values) = values.first() else { return Ok(()) };
        let (sums, seen, result) = (&mut self.sums, &mut self.seen, &self.result);
        each(values, |row, value| {
            if filter.is_some_and(|filter| !filter.is_valid(row) || !filter.value(row)) {
                return Ok(());
            }
            let group = groups[row];
            sums[group] = plus(sums[group], value, result)?;
            seen[group] = true;
            Ok(())
        })
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total_groups: usize) -> DfResult<()> {
        self.update_batch(states, groups, None, total_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> DfResult<ArrayRef> {
        let sums = self.take(emit_to);
        answers(sums, &self.result)
    }

    fn state(&mut self, emit_to: EmitTo) -> DfResult<Vec<ArrayRef>> {
        let sums = self.take(emit_to);
        Ok(vec![states(sums, &self.result)])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> DfResult<Vec<ArrayRef>> {
        let Some(values) = values.first() else { return Ok(Vec::new()) };
        let mut each_row = vec![None; values.len()];
        each(values, |row, value| {
            let kept = filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
            each_row[row] = kept.then_some(value);
            Ok(())
        })?;
        Ok(vec![states(each_row.into_iter(), &self.result)])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<i128>() + self.seen.capacity()
    }
}
