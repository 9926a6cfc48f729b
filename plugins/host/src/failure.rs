//! Failures and their texts.

use millstream_engine::{FailureKind, OperatorError};

/// Longer texts from a guest are cut.
const MAX_TEXT: usize = 1_024;

/// Why an instance did not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// Every slot for instances is taken; some may be idle.
    #[error("every slot for plugin instances is taken")]
    NoRoom,
    /// The namespace, or the server, has not the memory that it takes, which is this much at least; other instances may give
    /// theirs back.
    #[error("{error}")]
    NoMemory { error: OperatorError, bytes: u64 },
    #[error(transparent)]
    Failed(#[from] OperatorError),
}

impl From<StartError> for OperatorError {
    fn from(error: StartError) -> OperatorError {
        match error {
            StartError::NoRoom => failure(FailureKind::Host, "every slot for plugin instances is taken"),
            StartError::NoMemory { error, .. } | StartError::Failed(error) => error,
        }
    }
}

pub(crate) fn failure(kind: FailureKind, message: impl Into<String>) -> OperatorError {
    OperatorError::new(kind, message)
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
