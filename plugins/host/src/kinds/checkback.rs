//! Checkback handlers: a verdict for each half message.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use millstream_engine::{CheckVerdict, CheckbackHandler, OperatorError, PluginInfo};

use crate::contract::WireCheckVerdict;
use crate::instances::{Caller, Kind};

#[derive(Debug)]
pub(crate) struct Checkback;

impl Kind for Checkback {
    type Answer = Vec<WireCheckVerdict>;
    type Output = Vec<CheckVerdict>;

    fn check(&self, verdicts: Vec<WireCheckVerdict>, rows: usize) -> Result<Vec<CheckVerdict>, String> {
        if verdicts.len() != rows {
            return Err(format!("it has {} verdicts", verdicts.len()));
        }
        let verdict = |wire: WireCheckVerdict| match wire {
            WireCheckVerdict::Commit => CheckVerdict::Commit,
            WireCheckVerdict::Rollback => CheckVerdict::Rollback,
            WireCheckVerdict::Unknown => CheckVerdict::Unknown,
        };
        Ok(verdicts.into_iter().map(verdict).collect())
    }

    fn answer_bytes(verdicts: &Vec<WireCheckVerdict>) -> usize {
        verdicts.len()
    }

    /// Those that are decided.
    fn rows_out(verdicts: &Vec<CheckVerdict>, _: usize) -> usize {
        verdicts.iter().filter(|verdict| **verdict != CheckVerdict::Unknown).count()
    }
}

/// A loaded checkback handler.
#[derive(Debug)]
pub(crate) struct WasmCheckback {
    caller: Caller<Checkback>,
}

impl WasmCheckback {
    pub(super) fn new(caller: Caller<Checkback>) -> WasmCheckback {
        WasmCheckback { caller }
    }

    pub(super) fn plugin(&self) -> &PluginInfo {
        self.caller.plugin()
    }
}

impl CheckbackHandler for WasmCheckback {
    fn name(&self) -> &str {
        &self.plugin().name
    }

    fn parameters(&self) -> &[(String, DataType)] {
        &self.plugin().description.parameters
    }

    fn check(&self, half_messages: &RecordBatch) -> Result<Vec<CheckVerdict>, OperatorError> {
        let answers = self.caller.call(half_messages.columns(), half_messages.num_rows())?;
        Ok(answers.into_iter().flat_map(|(_, verdicts)| verdicts).collect())
    }

    fn throttled(&self) -> Option<Duration> {
        self.caller.throttled()
    }
}
