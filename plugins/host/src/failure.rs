//! What failed, told apart: the guest's own error, a trap, the time, the memory, the answer, or us.

use millstream_engine::{FailureKind, OperatorError};
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::guest::Guest;

/// Longer texts from a guest are cut.
const MAX_TEXT: usize = 1_024;

/// Why an instance did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Every slot for instances is taken; some may be idle.
    #[error("every slot for plugin instances is taken")]
    NoRoom,
    /// The namespace has not the memory that it takes; other instances may give theirs back.
    #[error("{0}")]
    NoMemory(OperatorError),
    #[error(transparent)]
    Failed(#[from] OperatorError),
}

impl From<StartError> for OperatorError {
    fn from(error: StartError) -> OperatorError {
        match error {
            StartError::NoRoom => failure(FailureKind::Host, "every slot for plugin instances is taken"),
            StartError::NoMemory(error) | StartError::Failed(error) => error,
        }
    }
}

pub(crate) fn failure(kind: FailureKind, message: impl Into<String>) -> OperatorError {
    OperatorError::new(kind, message)
}

/// The failure of starting an instance.
pub(crate) fn start_failure(error: &wasmtime::Error, guest: &mut Guest) -> StartError {
    if error.is::<PoolConcurrencyLimitError>() {
        return StartError::NoRoom;
    }
    let lacks_memory = guest.denied_by_namespace().is_some();
    let failure = call_failure("starting", error, guest);
    if lacks_memory { StartError::NoMemory(failure) } else { StartError::Failed(failure) }
}

/// The failure of a call that ended in `error`, which the instance does not survive.
pub(crate) fn call_failure(doing: &str, error: &wasmtime::Error, guest: &mut Guest) -> OperatorError {
    let said = guest.take_last_error().map(|line| format!(": {line}")).unwrap_or_default();
    let trap = error.downcast_ref::<Trap>();
    if trap == Some(&Trap::Interrupt) {
        return failure(FailureKind::Timeout, format!("{doing} took longer than its time limit{said}"));
    }
    if let Some(why) = guest.denied_by_namespace() {
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
    if let Some(why) = guest.denied_by_namespace() {
        return failure(FailureKind::Host, format!("{doing} needs more memory, and {why}: {text}"));
    }
    if !guest.was_denied_memory() {
        return failure(FailureKind::Data, text);
    }
    let limit = guest.memory_limit();
    failure(FailureKind::Memory, format!("{doing} needs more than the memory limit of {limit} bytes: {text}"))
}

/// A guest's text, cut to what a message should hold, on one line.
pub(crate) fn clip(text: &str) -> String {
    let mut clipped: String =
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).scan(0, within(MAX_TEXT)).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}

fn within(limit: usize) -> impl FnMut(&mut usize, char) -> Option<char> {
    move |used, c| {
        *used += c.len_utf8();
        (*used <= limit).then_some(c)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_at_a_character_and_kept_on_one_line() {
        assert_eq!(clip("two\nlines"), "two lines");
        let long = "é".repeat(MAX_TEXT);
        let cut = clip(&long);
        assert!(cut.len() <= MAX_TEXT + '…'.len_utf8() && cut.ends_with("é…"));
    }
}
