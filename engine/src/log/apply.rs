//! The thread that makes commits visible, in their order, while the writer is at the next one.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::CommitSink;
use super::core::{Core, failed};
use super::files::LogFile;
use super::layout::Published;
use super::plan::Answer;
use crate::model::Result;
use crate::platform::Events;
use crate::state::Record;

/// From the writer, in order.
#[derive(Debug)]
pub(super) enum Message {
    /// A commit that is as durable as its submissions ask; `file` is where it lies. Without records: repeats to answer.
    Commit { published: Published, file: Arc<LogFile>, answers: Vec<Answer> },
    /// All commits before lie in sealed files.
    Rolled,
    /// Answered when everything before has been applied.
    Barrier(Sender<()>),
}

/// Runs until the writer has gone.
pub(super) fn run(core: &Core, events: &Events, sink: &dyn CommitSink, messages: &Receiver<Message>) {
    for message in messages {
        match message {
            Message::Commit { published, file, answers } => {
                if let Err(error) = commit(core, sink, published, &file, answers) {
                    events.push("log_failed", format!("a commit could not be applied: {error}"));
                    core.queue.fail(&failed("apply", error));
                    return;
                }
            }
            Message::Rolled => {
                if let Err(error) = sink.checkpoint() {
                    events.push("checkpoint_failed", error.to_string());
                }
            }
            Message::Barrier(passed) => {
                // A writer that does not wait any more has failed, and says so itself.
                let _ = passed.send(());
            }
        }
    }
}

/// Frames first, then the state that makes readers look for them, then the answers. Listeners come last: there may be
/// many, and nobody who has written waits for those who read.
fn commit(
    core: &Core,
    sink: &dyn CommitSink,
    published: Published,
    file: &LogFile,
    answers: Vec<Answer>,
) -> Result<()> {
    let rows = published.records.iter().map(|(_, record)| match record {
        Record::Rows(rows) => u64::from(rows.rows),
        _ => 0,
    });
    core.figures.rows_appended.add(rows.sum());
    file.publish(published.entries);
    core.tail.push(published.frames);
    if !published.records.is_empty() {
        sink.apply_commit(&published.records)?;
    }
    core.figures.submissions.add(answers.len() as u64);
    for answer in answers {
        // Whoever has stopped waiting needs no answer.
        let _ = answer.sender.send(Ok(answer.receipt));
    }
    if !published.records.is_empty() {
        sink.wake(&published.records);
    }
    Ok(())
}
