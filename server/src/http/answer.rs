//! The body of an answer with rows. It ends only where its query has said that it is over: an end that comes about in any
//! other way (a reader who is late, a panic, a server that stops) breaks the connection off without the last chunk, which
//! every client reports as an incomplete answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_ipc::writer::StreamWriter;
use axum::body::Bytes;
use futures::{Stream, StreamExt};
use millstream_formats::json;
use millstream_sql::BatchStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Encoded pieces that may wait for a slow reader.
const PIECES_AHEAD: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    JsonLines,
    ArrowStream,
}

/// The pieces of one answer. Dropping it ends the query.
pub(super) struct Answer {
    pieces: mpsc::Receiver<Item>,
    over: bool,
    _query: JoinSet<()>,
}

enum Item {
    Piece(Bytes),
    Failed(io::Error),
    End,
}

impl Answer {
    /// Begins to encode rows on the runtime of queries. A piece that nobody takes within `read_timeout` breaks the answer off.
    pub(super) fn start(
        queries: &Handle,
        format: Format,
        schema: SchemaRef,
        rows: BatchStream,
        read_timeout: Duration,
    ) -> Answer {
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        let mut query = JoinSet::new();
        query.spawn_on(
            async move {
                let last = match encode(format, &schema, rows, &sender, read_timeout).await {
                    Ok(true) => Item::End,
                    Ok(false) => return,
                    Err(error) => Item::Failed(error),
                };
                // The reader may have gone, or be late once more: without this item the answer is broken off as well.
                let _ = sender.send_timeout(last, read_timeout).await;
            },
            queries,
        );
        Answer { pieces, over: false, _query: query }
    }

    /// All of it, for a client that could not tell its end; `None` if it has more than `limit` bytes.
    pub(super) async fn whole(mut self, limit: usize) -> io::Result<Option<Bytes>> {
        let mut whole = Vec::new();
        while let Some(piece) = self.next().await {
            let piece = piece?;
            if whole.len() + piece.len() > limit {
                return Ok(None);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Some(whole.into()))
    }
}

impl Stream for Answer {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let item = ready!(self.pieces.poll_recv(context));
        self.over = !matches!(item, Some(Item::Piece(_)));
        Poll::Ready(match item {
            Some(Item::Piece(piece)) => Some(Ok(piece)),
            Some(Item::Failed(error)) => Some(Err(error)),
            Some(Item::End) => None,
            // The task is gone without a word: its reader was late, it panicked, or the server stops.
            None => Some(Err(io::Error::other("the answer was broken off before its end"))),
        })
    }
}

/// Encodes batch by batch; false if nobody reads any more.
async fn encode(
    format: Format,
    schema: &SchemaRef,
    mut rows: BatchStream,
    sender: &mpsc::Sender<Item>,
    read_timeout: Duration,
) -> io::Result<bool> {
    let mut encoder = Encoder::new(format, schema)?;
    loop {
        let batch = tokio::select! {
            () = sender.closed() => return Ok(false),
            batch = rows.next() => batch,
        };
        let piece = match batch {
            Some(Ok(batch)) => encoder.encode(&batch)?,
            Some(Err(error)) => {
                tracing::warn!(%error, "a query failed after its first rows were sent");
                return Err(io::Error::other(error));
            }
            None => break,
        };
        if sender.send_timeout(Item::Piece(piece), read_timeout).await.is_err() {
            return Ok(false);
        }
    }
    let end = encoder.finish()?;
    Ok(end.is_empty() || sender.send_timeout(Item::Piece(end), read_timeout).await.is_ok())
}

enum Encoder {
    JsonLines,
    ArrowStream(Box<StreamWriter<Vec<u8>>>),
}

impl Encoder {
    fn new(format: Format, schema: &SchemaRef) -> io::Result<Encoder> {
        Ok(match format {
            Format::JsonLines => Encoder::JsonLines,
            Format::ArrowStream => {
                Encoder::ArrowStream(Box::new(StreamWriter::try_new(Vec::new(), schema).map_err(io::Error::other)?))
            }
        })
    }

    fn encode(&mut self, batch: &RecordBatch) -> io::Result<Bytes> {
        match self {
            Encoder::JsonLines => {
                let mut out = Vec::new();
                json::write_rows(&mut out, batch);
                Ok(out.into())
            }
            Encoder::ArrowStream(writer) => {
                writer.write(batch).map_err(io::Error::other)?;
                Ok(std::mem::take(writer.get_mut()).into())
            }
        }
    }

    fn finish(self) -> io::Result<Bytes> {
        match self {
            Encoder::JsonLines => Ok(Bytes::new()),
            Encoder::ArrowStream(mut writer) => {
                writer.finish().map_err(io::Error::other)?;
                Ok(std::mem::take(writer.get_mut()).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Int64Array;
    use arrow::datatypes::{DataType, Field, Schema};
    use futures::stream;

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
    }

    fn batch() -> millstream_sql::Result<RecordBatch> {
        Ok(RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from(vec![1]))]).unwrap())
    }

    /// What a reader gets who looks at the answer only once its query has gone, in lines; and whether it ended as whole.
    async fn read(format: Format, rows: BatchStream, read_timeout: Duration) -> (usize, bool) {
        let mut answer = Answer::start(&Handle::current(), format, schema(), rows, read_timeout);
        while !answer.pieces.is_closed() {
            tokio::task::yield_now().await;
        }
        let (mut pieces, mut whole) = (0, true);
        while let Some(piece) = answer.next().await {
            pieces += usize::from(piece.is_ok());
            whole &= piece.is_ok();
        }
        (pieces, whole)
    }

    #[tokio::test]
    async fn only_an_answer_that_was_sent_to_its_end_ends_as_whole() {
        const SOON: Duration = Duration::from_millis(1);
        const LATE: Duration = Duration::from_secs(600);
        for format in [Format::JsonLines, Format::ArrowStream] {
            let rows = |rows: Vec<_>| stream::iter(rows).boxed();
            let (_, whole) = read(format, stream::repeat_with(batch).boxed(), SOON).await;
            assert!(!whole, "a reader who was late: {format:?}");

            let panics = stream::repeat_with(batch).take(1).chain(stream::once(async { panic!("on purpose") }));
            assert_eq!(read(format, panics.boxed(), LATE).await, (1, false), "a query that panics: {format:?}");

            let broken = millstream_sql::Error::Internal("on purpose".to_owned());
            assert_eq!(read(format, rows(vec![batch(), Err(broken)]), LATE).await, (1, false), "an error: {format:?}");

            let ending = usize::from(format == Format::ArrowStream);
            assert_eq!(read(format, rows(vec![]), LATE).await, (ending, true), "{format:?}");
            let one = Answer::start(&Handle::current(), format, schema(), rows(vec![batch()]), LATE);
            assert!(one.whole(1 << 20).await.unwrap().is_some_and(|whole| !whole.is_empty()));
        }
    }

    #[test]
    fn a_runtime_that_stops_breaks_its_answers_off() {
        let queries = tokio::runtime::Runtime::new().unwrap();
        let rows = stream::repeat_with(batch).take(1).chain(stream::pending()).boxed();
        let mut answer = Answer::start(queries.handle(), Format::JsonLines, schema(), rows, Duration::from_secs(600));
        assert!(futures::executor::block_on(answer.next()).is_some_and(|piece| piece.is_ok()));
        queries.shutdown_background();
        assert!(futures::executor::block_on(answer.next()).is_some_and(|piece| piece.is_err()));
        assert!(futures::executor::block_on(answer.next()).is_none());
    }

    #[tokio::test]
    async fn a_whole_answer_has_a_limit() {
        let rows = stream::repeat_with(batch).take(10).boxed();
        let answer = Answer::start(&Handle::current(), Format::JsonLines, schema(), rows, Duration::from_secs(600));
        assert!(answer.whole(20).await.unwrap().is_none());
    }
}
