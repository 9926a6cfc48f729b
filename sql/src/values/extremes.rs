//! `min` and `max` of floating-point numbers in groups, where DataFusion's never leave a NaN, and never come to one.

use std::mem::size_of;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use datafusion::common::{Result as DfResult, ScalarValue, exec_err};
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, SetMonotonicity, Signature,
    StatisticsArgs,
};

/// `min` and `max`, in DataFusion's place. All but groups of floating-point numbers goes on to it.
pub(super) fn functions() -> [AggregateUDF; 2] {
    [(min_udaf(), false), (max_udaf(), true)]
        .map(|(inner, greatest)| AggregateUDF::new_from_impl(Extreme { inner, greatest }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Extreme {
    inner: Arc<AggregateUDF>,
    greatest: bool,
}

impl AggregateUDFImpl for Extreme {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        self.inner.inner().return_type(types)
    }

    fn coerce_types(&self, types: &[DataType]) -> DfResult<Vec<DataType>> {
        self.inner.inner().coerce_types(types)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> DfResult<Box<dyn Accumulator>> {
        self.inner.inner().accumulator(args)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> DfResult<Vec<FieldRef>> {
        self.inner.inner().state_fields(args)
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        self.inner.inner().groups_accumulator_supported(args)
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> DfResult<Box<dyn GroupsAccumulator>> {
        let result = args.return_field.data_type();
        match result {
            DataType::Float32 | DataType::Float64 => {
                let (result, greatest) = (result.clone(), self.greatest);
                Ok(Box::new(Extremes { result, greatest, found: Vec::new() }))
            }
            _ => self.inner.inner().create_groups_accumulator(args),
        }
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> DfResult<Box<dyn Accumulator>> {
        self.inner.inner().create_sliding_accumulator(args)
    }

    fn is_descending(&self) -> Option<bool> {
        self.inner.inner().is_descending()
    }

    fn value_from_stats(&self, args: &StatisticsArgs) -> Option<ScalarValue> {
        self.inner.inner().value_from_stats(args)
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        self.inner.inner().order_sensitivity()
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        self.inner.inner().reverse_expr()
    }

    fn set_monotonicity(&self, data_type: &DataType) -> SetMonotonicity {
        self.inner.inner().set_monotonicity(data_type)
    }
}

/// The least or the greatest number of each group, in the order that has NaN above all.
#[derive(Debug)]
struct Extremes {
    result: DataType,
    greatest: bool,
    /// As DOUBLE, which holds every REAL.
    found: Vec<Option<f64>>,
}

impl Extremes {
    fn see(&mut self, group: usize, value: f64) {
        let Some(found) = self.found.get_mut(group) else { return };
        let takes_its_place = |known: f64| match self.greatest {
            true => value.total_cmp(&known).is_gt(),
            false => value.total_cmp(&known).is_lt(),
        };
        if found.is_none_or(takes_its_place) {
            *found = Some(value);
        }
    }

    fn take(&mut self, emit_to: EmitTo) -> ArrayRef {
        let found = emit_to.take_needed(&mut self.found);
        match self.result {
            DataType::Float32 => {
                Arc::new(found.into_iter().map(|one| one.map(|one| one as f32)).collect::<Float32Array>())
            }
            _ => Arc::new(found.into_iter().collect::<Float64Array>()),
        }
    }
}

impl GroupsAccumulator for Extremes {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total_groups: usize,
    ) -> DfResult<()> {
        self.found.resize(total_groups, None);
        let Some(values) = values.first() else { return Ok(()) };
        let kept =
            |row: usize| values.is_valid(row) && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        let rows = groups.iter().enumerate().filter(|(row, _)| kept(*row));
        match values.data_type() {
            DataType::Float32 => {
                let values = values.as_primitive::<Float32Type>();
                rows.for_each(|(row, group)| self.see(*group, values.value(row).into()));
            }
            DataType::Float64 => {
                let values = values.as_primitive::<Float64Type>();
                rows.for_each(|(row, group)| self.see(*group, values.value(row)));
            }
            other => return exec_err!("{other} is no floating-point type"),
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], total_groups: usize) -> DfResult<()> {
        self.update_batch(states, groups, None, total_groups)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> DfResult<ArrayRef> {
        Ok(self.take(emit_to))
    }

    fn state(&mut self, emit_to: EmitTo) -> DfResult<Vec<ArrayRef>> {
        Ok(vec![self.take(emit_to)])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> DfResult<Vec<ArrayRef>> {
        let Some(values) = values.first() else { return Ok(Vec::new()) };
        Ok(vec![match filter {
            None => Arc::clone(values),
            Some(filter) => {
                let passed = arrow::compute::prep_null_mask_filter(filter);
                arrow::compute::nullif(values, &arrow::compute::not(&passed)?)?
            }
        }])
    }

    fn size(&self) -> usize {
        self.found.capacity() * size_of::<Option<f64>>()
    }
}
