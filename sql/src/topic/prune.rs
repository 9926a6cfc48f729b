//! Skipping chunks by their statistics, through DataFusion's pruning predicate.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array, new_null_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::{PruningPredicate, PruningPredicateBuilder};
use millstream_engine::{ChunkStatistics, ColumnStatistics};

/// A predicate over the bounds of an operator's inputs.
#[derive(Debug)]
pub(super) struct Pruner {
    predicate: Arc<PruningPredicate>,
}

impl Pruner {
    /// `None` if no chunk could ever be skipped.
    pub(super) fn new(predicate: Arc<dyn PhysicalExpr>, schema: SchemaRef) -> Option<Pruner> {
        PruningPredicateBuilder::new().with_file_schema(schema).build(predicate).map(|predicate| Pruner { predicate })
    }

    /// For each chunk whether no row of it can match.
    pub(super) fn prune(&self, chunks: &[ChunkStatistics]) -> Vec<bool> {
        let statistics = Chunks { chunks, schema: self.predicate.schema() };
        match self.predicate.prune(&statistics) {
            Ok(keep) if keep.len() == chunks.len() => keep.into_iter().map(|keep| !keep).collect(),
            // Statistics that can't be compared skip nothing.
            _ => vec![false; chunks.len()],
        }
    }

    /// The predicate on bounds, as text.
    pub(super) fn describe(&self) -> String {
        self.predicate.predicate_expr().to_string()
    }
}

struct Chunks<'a> {
    chunks: &'a [ChunkStatistics],
    schema: &'a SchemaRef,
}

impl Chunks<'_> {
    fn bounds(&self, column: &Column, bound: fn(&ColumnStatistics) -> Option<&ArrayRef>) -> Option<ArrayRef> {
        let index = self.schema.index_of(&column.name).ok()?;
        let data_type = self.schema.field(index).data_type();
        // Bounds of floats leave NaN out, but comparisons do not: NaN is above every number, or below when negative.
        if matches!(data_type, DataType::Float16 | DataType::Float32 | DataType::Float64) {
            return None;
        }
        let unknown = new_null_array(data_type, 1);
        let known = |chunk: &ChunkStatistics| {
            let value = chunk.columns.get(index)?.as_ref().and_then(bound)?;
            (value.len() == 1 && value.data_type() == data_type).then(|| Arc::clone(value))
        };
        let values: Vec<ArrayRef> =
            self.chunks.iter().map(|chunk| known(chunk).unwrap_or_else(|| Arc::clone(&unknown))).collect();
        concat(&values.iter().map(AsRef::as_ref).collect::<Vec<_>>()).ok()
    }
}

impl PruningStatistics for Chunks<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |statistics| statistics.min.as_ref())
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bounds(column, |statistics| statistics.max.as_ref())
    }

    fn num_containers(&self) -> usize {
        self.chunks.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let index = self.schema.index_of(&column.name).ok()?;
        let count = |chunk: &ChunkStatistics| chunk.columns.get(index)?.as_ref()?.null_count;
        Some(Arc::new(self.chunks.iter().map(count).collect::<UInt64Array>()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.chunks.iter().map(|chunk| Some(chunk.row_count)).collect::<UInt64Array>()))
    }

    /// False where a chunk has none of the values.
    fn contained(&self, column: &Column, values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        let index = self.schema.index_of(&column.name).ok()?;
        let texts: Vec<&[u8]> = values.iter().map(bytes).collect::<Option<_>>()?;
        let contained = |chunk: &ChunkStatistics| {
            let known = chunk.columns.get(index)?.as_ref()?.values.as_ref()?;
            (!texts.iter().any(|text| known.may_have(text))).then_some(false)
        };
        Some(self.chunks.iter().map(contained).collect())
    }
}

fn bytes(value: &ScalarValue) -> Option<&[u8]> {
    match value {
        ScalarValue::Utf8(Some(text)) => Some(text.as_bytes()),
        ScalarValue::Binary(Some(bytes)) => Some(bytes),
        _ => None,
    }
}
