//! What was done, item by item: progress while it goes on, a list at the end.

use std::io::IsTerminal;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use indicatif::{ProgressBar, ProgressDrawTarget};

use super::plan::{Item, Outcome};
use crate::cli::exit::Failure;
use crate::cli::output::{output, unwritable};
use crate::format::{Format, RowSink};

pub(super) struct Report {
    progress: ProgressBar,
    done: Vec<(Item, Outcome)>,
}

impl Report {
    pub(super) fn begin(items: usize) -> Report {
        let target = match std::io::stderr().is_terminal() {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        Report { progress: ProgressBar::with_draw_target(u64::try_from(items).ok(), target), done: Vec::new() }
    }

    /// So many items more.
    pub(super) fn expect(&self, items: usize) {
        self.progress.inc_length(u64::try_from(items).unwrap_or(0));
    }

    pub(super) fn add(&mut self, item: Item, outcome: Outcome) {
        self.progress.inc(1);
        self.done.push((item, outcome));
    }

    /// Writes the list. With items that failed it is an error, which counts them.
    pub(super) fn finish(self, format: Format) -> Result<(), Failure> {
        self.progress.finish_and_clear();
        let column = |of: &dyn Fn(&Item, &Outcome) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(self.done.iter().map(|(item, outcome)| of(item, outcome))))
        };
        let rows = RecordBatch::try_from_iter([
            ("item", column(&|item, _| item.what.to_owned())),
            ("name", column(&|item, _| item.named.clone())),
            ("outcome", column(&|_, outcome| outcome.name().to_owned())),
            ("remark", column(&remark)),
        ]);
        let rows = rows.map_err(Failure::failed)?;
        let mut sink = RowSink::new(output(), format, &rows.schema()).map_err(unwritable)?;
        sink.write(&rows).and_then(|()| sink.finish()).map_err(unwritable)?;
        match self.done.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed(_))).count() {
            0 => Ok(()),
            failed => Err(Failure::failed(format!("{failed} of {} items could not be migrated", self.done.len()))),
        }
    }
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Outcome::Made => "made",
            Outcome::WouldMake => "would be made",
            Outcome::Exists(_) => "is there",
            Outcome::Skipped(_) => "skipped",
            Outcome::Failed(_) => "failed",
        }
    }
}

fn remark(item: &Item, outcome: &Outcome) -> String {
    let of_outcome = match outcome {
        Outcome::Made | Outcome::WouldMake => "",
        Outcome::Skipped(why) => why,
        Outcome::Exists(why) | Outcome::Failed(why) => why,
    };
    [of_outcome, &item.remark].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}
