//! `millstream produce`.

use std::io::Read;

use arrow::array::RecordBatch;
use arrow::datatypes::Fields;
use millstream_client::ProducerOptions;
use millstream_formats::csv::CsvOptions;
use millstream_formats::{BATCH_ROWS, Decoder, columns_named};
use tokio::sync::mpsc::error::TryRecvError;

use super::args::{InputFormat, ProduceArguments};
use super::client::{Client, DELIVERY_TIMEOUT, not_sent};
use super::exit::Failure;
use super::output::say;
use super::quote::name;
use super::reading::{Items, read_ahead};

/// What is read at once, and how many such pieces are read ahead of the network.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_AHEAD: usize = 16;

pub(crate) async fn run(arguments: ProduceArguments) -> Result<(), Failure> {
    let ProduceArguments { connection, table, input, delimiter, partition } = arguments;
    let client = Client::connect(&connection).await?;
    let columns = client.columns(&name(&table)).await?;
    let options = ProducerOptions {
        namespace: connection.namespace.clone(),
        delivery_timeout: DELIVERY_TIMEOUT,
        ..ProducerOptions::default()
    };
    let mut producer = client.inner().producer(&table, options);
    let mut input = Input::new(decoder(input, delimiter, columns.fields().clone())?, read_pieces());
    let mut rows = 0;
    let mut pending = Vec::new();
    while let Some(batch) = input.next().await? {
        rows += batch.num_rows();
        pending.push(producer.send_to(&batch, partition).await.map_err(not_sent)?);
        // Answers come in order, so a look at the oldest is enough to learn of an error soon.
        while let Some(answer) = pending.first_mut().and_then(futures::FutureExt::now_or_never) {
            answer.map_err(not_sent)?;
            pending.remove(0);
        }
    }
    for ack in pending {
        ack.await.map_err(not_sent)?;
    }
    say(&format!("{rows} rows into {table}\n"))
}

fn decoder(input: InputFormat, delimiter: u8, columns: Fields) -> Result<Decoder, Failure> {
    let decoder = match input {
        InputFormat::Json => Decoder::json(columns),
        InputFormat::Csv => {
            let options = CsvOptions { header: true, delimiter };
            Decoder::csv(options, Box::new(move |names| columns_named(names, &columns)))
        }
    };
    decoder.map_err(Failure::failed)
}

/// Rows as they come.
struct Input {
    decoder: Decoder,
    pieces: Items<Vec<u8>>,
    ended: bool,
}

impl Input {
    fn new(decoder: Decoder, pieces: Items<Vec<u8>>) -> Input {
        Input { decoder, pieces, ended: false }
    }

    /// All rows that are whole, up to a batch; waits for the first. What is half there waits for the rest of it.
    async fn next(&mut self) -> Result<Option<RecordBatch>, Failure> {
        while !self.ended && self.decoder.rows() < BATCH_ROWS {
            let piece = match self.decoder.rows() {
                0 => self.pieces.recv().await,
                _ => match self.pieces.try_recv() {
                    Ok(piece) => Some(piece),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => None,
                },
            };
            match piece {
                Some(piece) => self.decoder.feed(&piece?).map_err(Failure::failed)?,
                None => {
                    self.decoder.end().map_err(Failure::failed)?;
                    self.ended = true;
                }
            }
        }
        self.decoder.take().map_err(Failure::failed)
    }
}

fn read_pieces() -> Items<Vec<u8>> {
    read_ahead(PIECES_AHEAD, |send| {
        let mut input = std::io::stdin().lock();
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let piece = match input.read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => Ok(buffer.get(..read).unwrap_or_default().to_vec()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => Err(Failure::failed(format!("cannot read standard input: {error}"))),
            };
            let failed = piece.is_err();
            if send.blocking_send(piece).is_err() || failed {
                return;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Field, Int64Type};

    use super::*;

    fn columns() -> Fields {
        Fields::from(vec![Field::new("id", DataType::Int64, true), Field::new("word", DataType::Utf8, true)])
    }

    /// The batches that come of pieces, each of which is there before the next batch is asked for.
    fn batches(format: InputFormat, pieces: &[&str]) -> Result<Vec<RecordBatch>, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (send, receive) = tokio::sync::mpsc::channel(1);
            let mut input = Input::new(decoder(format, b',', columns())?, receive);
            let mut found = Vec::new();
            for piece in pieces {
                send.send(Ok(piece.as_bytes().to_vec())).await.unwrap();
                while let Some(next) = futures::FutureExt::now_or_never(input.next()) {
                    found.extend(next?);
                }
            }
            drop(send);
            while let Some(batch) = input.next().await? {
                found.push(batch);
            }
            Ok(found)
        })
    }

    #[test]
    fn rows_are_given_as_they_come() {
        let found = batches(InputFormat::Json, &["{\"id\":1}\n\n", "{\"word\":\"a\",", "\"id\":2}{\"id\":3}"]).unwrap();
        assert_eq!(found.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(found[1].column(0).as_primitive::<Int64Type>().values(), &[2, 3]);
        let refused = batches(InputFormat::Json, &["{\"id\":1}\n{\"di\":1}"]).unwrap_err().to_string();
        assert_eq!(refused, "line 2: there is no column \"di\"; there are id, word");
        let refused = batches(InputFormat::Json, &["{\"id\":1}\n{\"id\":"]).unwrap_err().to_string();
        assert_eq!(refused, "line 2: the text ends in the middle of a row");
    }

    #[test]
    fn a_text_over_two_lines_in_two_reads_is_one_row() {
        let found = batches(InputFormat::Csv, &["word,id\n\"a\n", "b\",1\nc,2", "\n"]).unwrap();
        let words =
            found.iter().flat_map(|batch| batch.column(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>());
        assert_eq!(words.collect::<Vec<_>>(), ["a\nb", "c"]);
        assert!(batches(InputFormat::Csv, &["nope\n1\n"]).unwrap_err().to_string().contains("nope"));
    }
}
