//! Transforms: batches of another schema, each row with the row it comes from.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use millstream_engine::{
    BatchTransform, Error, Evaluated, FailureKind, OperatorError, PluginInfo, Result as EngineResult, RowMap,
};

use crate::contract::WireOutput;
use crate::failure::failure;
use crate::instances::{Caller, Kind};
use crate::messages;

#[derive(Debug, Clone)]
pub(crate) struct Transform {
    schema: SchemaRef,
}

impl Transform {
    pub(crate) fn new(plugin: &PluginInfo) -> EngineResult<Transform> {
        let DataType::Struct(fields) = &plugin.description.returns else {
            let message = format!("plugin {:?} is recorded without the columns that it gives", plugin.name);
            return Err(Error::Internal(message));
        };
        Ok(Transform { schema: Arc::new(Schema::new(fields.clone())) })
    }
}

impl Kind for Transform {
    type Answer = WireOutput;
    /// The rows, and the row of the input that each comes from.
    type Output = (RecordBatch, Vec<u32>);

    fn check(&self, answer: WireOutput, rows: usize) -> Result<(RecordBatch, Vec<u32>), String> {
        let WireOutput { batch, rows: origins } = answer;
        let batch = messages::read_batch(&self.schema, batch)?;
        if batch.num_rows() != origins.len() {
            return Err(format!("{} rows come with the origins of {}", batch.num_rows(), origins.len()));
        }
        if !origins.is_sorted() {
            return Err("the origins of its rows are out of order".to_owned());
        }
        match origins.last() {
            Some(last) if usize::try_from(*last).is_ok_and(|last| last >= rows) => {
                Err(format!("a row comes from row {last}, which is not there"))
            }
            _ => Ok((batch, origins)),
        }
    }

    fn answer_bytes(answer: &WireOutput) -> usize {
        answer.batch.len() + answer.rows.len() * size_of::<u32>()
    }

    fn rows_out((batch, _): &(RecordBatch, Vec<u32>), _: usize) -> usize {
        batch.num_rows()
    }
}

/// A loaded transform.
#[derive(Debug)]
pub(crate) struct WasmTransform {
    caller: Caller<Transform>,
    schema: SchemaRef,
}

impl WasmTransform {
    pub(super) fn new(caller: Caller<Transform>, kind: Transform) -> WasmTransform {
        WasmTransform { caller, schema: kind.schema }
    }

    pub(super) fn plugin(&self) -> &PluginInfo {
        self.caller.plugin()
    }
}

impl BatchTransform for WasmTransform {
    fn name(&self) -> &str {
        &self.plugin().name
    }

    fn parameters(&self) -> &[(String, DataType)] {
        &self.plugin().description.parameters
    }

    fn output_schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn throttled(&self) -> Option<Duration> {
        self.caller.throttled()
    }

    fn transform(&self, arguments: &[ArrayRef], rows: usize) -> Result<Evaluated, OperatorError> {
        let answers = self.caller.call(arguments, rows)?;
        let (mut first, mut batches, mut origins) = (0_u32, Vec::with_capacity(answers.len()), Vec::new());
        for (rows, (batch, of_part)) in answers {
            batches.push(batch);
            origins.extend(of_part.into_iter().map(|row| first.saturating_add(row)));
            first = first.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        }
        let batch = match &batches[..] {
            [one] => one.clone(),
            several => concat_batches(&self.schema, several)
                .map_err(|e| failure(FailureKind::BadOutput, format!("the answers don't join: {e}")))?,
        };
        Ok(Evaluated { batch, rows: RowMap::Indices(origins) })
    }
}
