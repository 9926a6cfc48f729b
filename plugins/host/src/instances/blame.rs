//! What failed in a call of a guest, told apart: its own error, a trap, the time, the memory, the answer, or us.

use millstream_engine::{FailureKind, OperatorError};
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::failure::{StartError, clip, failure};
use crate::guest::Guest;

/// The failure of starting an instance.
pub(crate) fn start_failure(error: &wasmtime::Error, guest: &mut Guest) -> StartError {
    if error.is::<PoolConcurrencyLimitError>() {
        return StartError::NoRoom;
    }
    let lacked = guest.lacked_memory();
    let error = call_failure("starting", error, guest);
    lacked.map_or(StartError::Failed(error.clone()), |bytes| StartError::NoMemory { error, bytes })
}

/// The failure of a call that ended in `error`, which the instance does not survive.
pub(crate) fn call_failure(doing: &str, error: &wasmtime::Error, guest: &mut Guest) -> OperatorError {
    let said = guest.take_last_error().map(|line| format!(": {line}")).unwrap_or_default();
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::Interrupt) {
        return failure(FailureKind::Timeout, format!("{doing} took longer than its time limit{said}"));
    }
    if let Some(why) = guest.denied_by_others() {
        return failure(FailureKind::Host, format!("{doing} needs more memory, and {why}{said}"));
    }
    if guest.was_denied_memory() {
        let limit = guest.memory_limit();
        return failure(
            FailureKind::Memory,
            format!("{doing} needs more than the memory limit of {limit} bytes{said}"),
        );
    }
    match trap {
        Some(trap) => failure(FailureKind::Trap, format!("{doing} trapped: {trap}{said}")),
        // Not a trap: wasmtime refused what the guest gave it (a pointer outside its memory, text that is not UTF-8).
        None => failure(FailureKind::BadOutput, format!("{doing} broke the contract: {}", error.root_cause())),
    }
}

/// The failure of a call that the guest has answered with an error. Interpreters tell of memory that they are refused as of
/// any other error; the rows are not at fault for it.
pub(crate) fn answered_failure(doing: &str, text: &str, guest: &Guest) -> OperatorError {
    let text = clip(text);
    if let Some(why) = guest.denied_by_others() {
        return failure(FailureKind::Host, format!("{doing} needs more memory, and {why}: {text}"));
    }
    if !guest.was_denied_memory() {
        return failure(FailureKind::Data, text);
    }
    let limit = guest.memory_limit();
    failure(FailureKind::Memory, format!("{doing} needs more than the memory limit of {limit} bytes: {text}"))
}
