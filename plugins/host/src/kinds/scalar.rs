//! Filters and functions as functions that SQL can call.

use std::time::Duration;

use arrow_array::{ArrayRef, new_empty_array};
use arrow_select::concat::concat;
use millstream_engine::{FailureKind, FunctionSignature, OperatorError, PluginInfo, ScalarFunction};

use crate::failure::failure;
use crate::instances::{Caller, Kind};

/// A loaded filter or function.
#[derive(Debug)]
pub(crate) struct Scalar<K> {
    caller: Caller<K>,
    signature: FunctionSignature,
}

impl<K: Kind> Scalar<K> {
    pub(super) fn new(caller: Caller<K>) -> Scalar<K> {
        let description = &caller.plugin().description;
        let signature = FunctionSignature {
            parameters: description.parameters.clone(),
            returns: description.returns.clone(),
            volatility: description.volatility,
        };
        Scalar { caller, signature }
    }

    pub(super) fn plugin(&self) -> &PluginInfo {
        self.caller.plugin()
    }
}

impl<K: Kind<Output = ArrayRef>> ScalarFunction for Scalar<K> {
    fn name(&self) -> &str {
        &self.plugin().name
    }

    fn signature(&self) -> &FunctionSignature {
        &self.signature
    }

    fn throttled(&self) -> Option<Duration> {
        self.caller.throttled()
    }

    fn call(&self, arguments: &[ArrayRef], rows: usize) -> Result<ArrayRef, OperatorError> {
        let answers = self.caller.call(arguments, rows)?;
        match &answers[..] {
            [] => Ok(new_empty_array(&self.signature.returns)),
            [(_, answer)] => Ok(answer.clone()),
            several => {
                let several: Vec<_> = several.iter().map(|(_, answer)| answer.as_ref()).collect();
                let joined = concat(&several);
                joined.map_err(|e| failure(FailureKind::BadOutput, format!("the answers don't join: {e}")))
            }
        }
    }
}
