//! How long a statement may take, from its beginning to its last row: what the server allows, or less if the client says so.

use std::time::Duration;

use futures::StreamExt;
use millstream_protocol::STATEMENT_TIMEOUT_METADATA;
use millstream_sql::{Error, Outcome};
use tokio::time::Instant;

/// When a statement must be over; never, unless somebody has said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    /// For a statement that begins now. `allowed` is zero where the server sets no limit; `asked` is what the client's header
    /// says. An error says what is wrong with that.
    pub(crate) fn new(allowed: Duration, asked: Option<&[u8]>) -> Result<Deadline, String> {
        let asked = asked.map(|text| std::str::from_utf8(text).ok().and_then(|text| text.trim().parse::<u64>().ok()));
        let asked = match asked {
            None => Duration::ZERO,
            Some(Some(millis)) => Duration::from_millis(millis),
            Some(None) => return Err(format!("{STATEMENT_TIMEOUT_METADATA} is not a number of milliseconds")),
        };
        let limit = [allowed, asked].into_iter().filter(|limit| !limit.is_zero()).min();
        // What lies beyond what the clock can say is no limit.
        Ok(Deadline(limit.and_then(|limit| Some((Instant::now().checked_add(limit)?, limit)))))
    }

    /// Ends `work` when it takes too long. What it has written stays.
    pub(crate) async fn within<T, E: From<Error>>(self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        match self.0 {
            None => work.await,
            Some((at, limit)) => match tokio::time::timeout_at(at, work).await {
                Ok(done) => done,
                Err(_) => Err(too_long(limit).into()),
            },
        }
    }

    /// The same for the rows that a statement gives, which it begins to make when it has a `turn`.
    pub(crate) fn bound(self, outcome: Outcome) -> Outcome {
        match (outcome, self.0) {
            (Outcome::Rows { schema, stream }, Some((at, limit))) => {
                let rows = futures::stream::unfold(Some(stream), move |stream| async move {
                    let mut stream = stream?;
                    match tokio::time::timeout_at(at, stream.next()).await {
                        Ok(next) => next.map(|batch| (batch, Some(stream))),
                        Err(_) => Some((Err(too_long(limit)), None)),
                    }
                });
                Outcome::Rows { schema, stream: rows.fuse().boxed() }
            }
            (outcome, _) => outcome,
        }
    }
}

fn too_long(limit: Duration) -> Error {
    Error::TooLong { limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shorter_limit_holds() {
        let limit = |allowed: u64, asked: Option<&str>| {
            let deadline = Deadline::new(Duration::from_millis(allowed), asked.map(str::as_bytes));
            deadline.map(|deadline| deadline.0.map(|(_, limit)| limit.as_millis()))
        };
        assert_eq!(limit(0, None), Ok(None));
        assert_eq!(limit(0, Some("0")), Ok(None));
        assert_eq!(limit(500, None), Ok(Some(500)));
        assert_eq!(limit(500, Some("0")), Ok(Some(500)), "a client can't do away with it");
        assert_eq!(limit(500, Some(" 20 ")), Ok(Some(20)));
        assert_eq!(limit(500, Some("9000")), Ok(Some(500)));
        assert_eq!(limit(0, Some("9000")), Ok(Some(9000)));
        assert!(limit(0, Some("18446744073709551615")).is_ok(), "beyond what clocks say is no limit");
        for text in ["", "x", "-1", "1.5", "1s"] {
            assert!(limit(0, Some(text)).unwrap_err().contains(STATEMENT_TIMEOUT_METADATA), "{text:?}");
        }
    }
}
