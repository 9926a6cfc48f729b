//! Consumers: rows for tables, a verdict, and state that they have written.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef};
use millstream_engine::{
    BatchConsumer, BatchPosition, Consumed, ConsumerOutput, FailureKind, KeyedState, OperatorError, PluginInfo, Verdict,
};

use crate::contract::{WireAnswer, WirePosition, WireVerdict};
use crate::failure::{clip, failure};
use crate::instances::{Caller, Kind};
use crate::messages;

/// Batches that one answer may have.
const MAX_BATCHES: usize = 1_024;

#[derive(Debug)]
pub(crate) struct Consumer {
    /// Of the declared outputs.
    schemas: Vec<SchemaRef>,
}

impl Consumer {
    pub(crate) fn new(plugin: &PluginInfo) -> Consumer {
        Consumer { schemas: plugin.description.outputs.iter().map(|output| output.schema.clone()).collect() }
    }
}

/// A checked answer.
#[derive(Debug)]
pub(crate) struct CheckedAnswer {
    outputs: Vec<(usize, RecordBatch)>,
    verdict: Verdict,
    exceptions: Vec<(u32, Verdict)>,
}

impl Kind for Consumer {
    type Answer = WireAnswer;
    type Output = CheckedAnswer;

    fn check(&self, answer: WireAnswer, rows: usize) -> Result<CheckedAnswer, String> {
        if answer.outputs.len() > MAX_BATCHES {
            return Err(format!("it has {} batches, more than {MAX_BATCHES}", answer.outputs.len()));
        }
        let mut outputs = Vec::with_capacity(answer.outputs.len());
        for rows in answer.outputs {
            let output = usize::try_from(rows.output).ok();
            let found = output.and_then(|output| Some((output, self.schemas.get(output)?)));
            let (output, schema) =
                found.ok_or_else(|| format!("it has rows for output {} of {}", rows.output, self.schemas.len()))?;
            let batch = messages::read_batch(schema, rows.batch)
                .map_err(|why| format!("the rows of output {output}: {why}"))?;
            outputs.push((output, batch));
        }
        let exceptions: Vec<(u32, Verdict)> =
            answer.exceptions.into_iter().map(|exception| (exception.row, verdict(exception.verdict))).collect();
        if !exceptions.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err("its exceptions are out of order".to_owned());
        }
        match exceptions.last() {
            Some((row, _)) if usize::try_from(*row).is_ok_and(|row| row >= rows) => {
                Err(format!("it has an exception for row {row}, which is not there"))
            }
            _ => Ok(CheckedAnswer { outputs, verdict: verdict(answer.verdict), exceptions }),
        }
    }

    fn answer_bytes(answer: &WireAnswer) -> usize {
        answer.outputs.iter().map(|rows| rows.batch.len()).sum()
    }

    fn rows_out(output: &CheckedAnswer, _: usize) -> usize {
        output.outputs.iter().map(|(_, batch)| batch.num_rows()).sum()
    }
}

fn verdict(wire: WireVerdict) -> Verdict {
    match wire {
        WireVerdict::Done => Verdict::Done,
        WireVerdict::Retry(why) => Verdict::Retry(clip(&why)),
        WireVerdict::DeadLetter(why) => Verdict::DeadLetter(clip(&why)),
    }
}

/// A loaded consumer.
#[derive(Debug)]
pub(crate) struct WasmConsumer {
    caller: Caller<Consumer>,
}

impl WasmConsumer {
    pub(super) fn new(caller: Caller<Consumer>) -> WasmConsumer {
        WasmConsumer { caller }
    }

    pub(super) fn plugin(&self) -> &PluginInfo {
        self.caller.plugin()
    }
}

impl BatchConsumer for WasmConsumer {
    fn name(&self) -> &str {
        &self.plugin().name
    }

    fn parameters(&self) -> &[(String, DataType)] {
        &self.plugin().description.parameters
    }

    fn outputs(&self) -> &[ConsumerOutput] {
        &self.plugin().description.outputs
    }

    fn throttled(&self) -> Option<Duration> {
        self.caller.throttled()
    }

    fn consume(
        &self,
        input: &RecordBatch,
        position: &BatchPosition,
        state: KeyedState,
    ) -> Result<Consumed, OperatorError> {
        let batch = self.caller.batch(input.columns(), input.num_rows())?;
        let position = WirePosition {
            topic: position.topic.clone(),
            partition: position.partition,
            first_offset: position.first_offset,
            next_offset: position.next_offset,
        };
        let lost = || failure(FailureKind::Host, "the state was lost in the call");
        let mut kept = Some(state);
        let answered = self.caller.call_by(&batch, |instance| {
            let mut state = kept.take().ok_or_else(lost)?;
            // Of an instance that failed before.
            state.reset();
            let (answer, state) = instance.consume(&batch, &position, state);
            kept = state;
            answer
        });
        let CheckedAnswer { outputs, verdict, exceptions } = answered?;
        Ok(Consumed { outputs, verdict, exceptions, state: kept.ok_or_else(lost)? })
    }
}
