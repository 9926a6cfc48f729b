//! Statements take turns: each that makes rows holds a batch and what it scans, whoever reads them and however slowly.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use millstream_sql::{BatchStream, Outcome};

use super::pool::Part;
use super::sent::Sent;

/// How long a statement waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(60);

/// A statement's outcome, whose rows are made in its turn, and which gives it back when it has no more or its reader does
/// nothing.
pub(crate) fn in_turn(outcome: Outcome, reader: &Arc<Sent>) -> Outcome {
    match outcome {
        Outcome::Rows { schema, stream } => {
            let rows = InTurn { rows: Some(stream), reader: Arc::clone(reader), turn: None };
            Outcome::Rows { schema, stream: rows.stream() }
        }
        done => done,
    }
}

struct InTurn {
    rows: Option<BatchStream>,
    reader: Arc<Sent>,
    turn: Option<Part>,
}

impl InTurn {
    fn stream(self) -> BatchStream {
        let steps = futures::stream::unfold(self, |mut this| async move {
            let mut rows = this.rows.take()?;
            if this.turn.is_none() {
                let turn = tokio::time::timeout(TURN_TIMEOUT, this.reader.peer.net.turns.take(1)).await.ok();
                if turn.is_none() {
                    return Some((Err(no_turn()), this));
                }
                this.turn = turn;
                this.reader.has_turn(true);
            }
            match rows.next().await {
                Some(batch) => {
                    this.rows = Some(rows);
                    Some((batch, this))
                }
                None => None,
            }
        });
        steps.boxed()
    }
}

impl Drop for InTurn {
    fn drop(&mut self) {
        // What it scans goes before its turn does.
        self.rows = None;
        self.reader.has_turn(false);
    }
}

fn no_turn() -> millstream_sql::Error {
    let message = "too many statements are making rows (running_statements); try again later".to_owned();
    millstream_engine::Error::Busy(message).into()
}
