//! The thread that makes commits visible, in their order, while the writer is at the next one.

use crossbeam_channel::{Receiver, Sender};

use super::plan::Answer;
use super::shared::{Sequencing, failed};
use super::sink::CommitSink;
use crate::log::rows::PublishedCommit;
use crate::model::Result;
use crate::platform::Events;
use crate::state::Record;

/// From the writer, in order.
#[derive(Debug)]
pub(super) enum Message {
    /// A commit that is as durable as its submissions ask. Without records: repeats and refusals to answer.
    Commit { published: PublishedCommit, answers: Vec<Answer> },
    /// All commits before lie in sealed extents.
    Rolled,
    /// Answered when everything before has been applied.
    Barrier(Sender<()>),
}

/// Runs until the writer has gone.
pub(super) fn run(sequencing: &Sequencing, events: &Events, sink: &dyn CommitSink, messages: &Receiver<Message>) {
    for message in messages {
        match message {
            Message::Commit { published, answers } => {
                if let Err(error) = commit(sequencing, sink, published, answers) {
                    events.push("log_failed", format!("a commit could not be applied: {error}"));
                    sequencing.queue.fail(&failed("apply", error));
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
    sequencing: &Sequencing,
    sink: &dyn CommitSink,
    published: PublishedCommit,
    answers: Vec<Answer>,
) -> Result<()> {
    let records = sequencing.rows.publish(published);
    let rows = records.iter().map(|(_, record)| match record {
        Record::Rows(rows) => u64::from(rows.rows),
        _ => 0,
    });
    sequencing.figures.rows_appended.add(rows.sum());
    if !records.is_empty() {
        sink.apply_commit(&records)?;
    }
    sequencing.figures.submissions.add(answers.iter().filter(|answer| answer.outcome.is_ok()).count() as u64);
    for answer in answers {
        // Whoever has stopped waiting needs no answer.
        let _ = answer.sender.send(answer.outcome);
    }
    if !records.is_empty() {
        sink.wake(&records);
    }
    Ok(())
}
