//! A stream's newest answers. They are in memory as they lie in the state store, one after the other: thousands of producers at work
//! are to fit between two checkpoints.

use crate::model::{Appended, Error, Result};

/// Answers kept for each stream.
const WINDOW: usize = 128;
/// Runs of rows kept over a window, so that batches spread over very many partitions do not hold much memory.
const WINDOW_RUNS: usize = 4_096;

/// An answer to a sequence.
type Answer = (u64, Vec<Appended>);

/// Sequences rise by one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::state) struct Window {
    answers: Vec<u8>,
    count: usize,
    /// Runs of rows in all of them.
    runs: usize,
    last: u64,
}

impl Window {
    /// Takes back as many answers as there were.
    pub(super) fn parse(count: usize, bytes: &[u8]) -> Result<Window, String> {
        let mut window = Window { answers: bytes.to_vec(), count, ..Window::default() };
        let mut rest = bytes;
        for _ in 0..count {
            let ((sequence, answer), behind) = take(rest).map_err(|error| error.to_string())?;
            (window.last, window.runs) = (sequence, window.runs + answer.len());
            rest = behind;
        }
        if rest.is_empty() { Ok(window) } else { Err(format!("{} bytes too many", rest.len())) }
    }

    /// What [`Self::parse`] takes back.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.answers
    }

    /// Memory that it takes.
    pub(super) fn capacity(&self) -> usize {
        self.answers.capacity()
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The newest sequence.
    pub(in crate::state) fn last(&self) -> Option<u64> {
        (!self.is_empty()).then_some(self.last)
    }

    /// The oldest sequence.
    pub(super) fn first(&self) -> Option<u64> {
        self.iter().next().map(|(sequence, _)| sequence)
    }

    /// The answer that lies `back` before the newest.
    pub(super) fn before_last(&self, back: u64) -> Option<Vec<Appended>> {
        let at = self.count.checked_sub(usize::try_from(back).ok()?.checked_add(1)?)?;
        self.iter().nth(at).map(|(_, answer)| answer)
    }

    /// Adds the newest, and lets go of what is beyond the window.
    pub(super) fn push(&mut self, sequence: u64, answer: &[Appended]) -> Result<()> {
        let encoded = postcard::to_extend(&(sequence, answer), std::mem::take(&mut self.answers));
        self.answers = encoded.map_err(|error| Error::Internal(format!("an answer could not be encoded: {error}")))?;
        (self.count, self.runs, self.last) = (self.count + 1, self.runs + answer.len(), sequence);
        let mut rest = self.answers.as_slice();
        while self.count > WINDOW || (self.runs > WINDOW_RUNS && self.count > 1) {
            let Ok(((_, oldest), behind)) = take(rest) else { break };
            (self.count, self.runs) = (self.count - 1, self.runs.saturating_sub(oldest.len()));
            rest = behind;
        }
        let gone = self.answers.len() - rest.len();
        self.answers.drain(..gone);
        Ok(())
    }

    fn iter(&self) -> impl Iterator<Item = Answer> {
        let mut rest = self.answers.as_slice();
        std::iter::from_fn(move || {
            let (answer, behind) = take(rest).ok()?;
            rest = behind;
            Some(answer)
        })
    }
}

fn take(bytes: &[u8]) -> Result<(Answer, &[u8]), postcard::Error> {
    postcard::take_from_bytes(bytes)
}
