//! `millstream produce`.

use std::io::BufRead;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use millstream_client::ProducerOptions;

use super::Failure;
use super::args::{InputFormat, ProduceArguments};
use super::client::{Client, DELIVERY_TIMEOUT};
use super::files::BATCH_ROWS;
use super::quote::name;
use super::reading::{Items, read_ahead};

/// Lines read ahead of the network.
const LINES_AHEAD: usize = BATCH_ROWS;
/// A longer line is no row.
const MAX_LINE_BYTES: usize = 8 << 20;
/// Lines of one batch hold about this much at most.
const BATCH_BYTES: usize = 1 << 20;

pub(crate) async fn run(arguments: ProduceArguments) -> Result<(), Failure> {
    let ProduceArguments { connection, table, input, partition } = arguments;
    let client = Client::connect(&connection).await?;
    let columns = client.columns(&name(&table)).await?;
    let options = ProducerOptions {
        namespace: connection.namespace.clone(),
        delivery_timeout: DELIVERY_TIMEOUT,
        ..ProducerOptions::default()
    };
    let mut producer = client.inner().producer(&table, options);
    let mut lines = read_lines();
    let mut form = match input {
        InputFormat::Json => Form::Json(columns),
        InputFormat::Csv => Form::Csv { columns, header: None },
    };
    let (mut rows, mut line) = (0, 1);
    let mut pending = Vec::new();
    while let Some(text) = next_lines(&mut lines).await? {
        let count = text.len();
        let batch = form.batch(&text).map_err(|reason| Failure::failed(format!("line {line} or after: {reason}")))?;
        line += count;
        let Some(batch) = batch else { continue };
        rows += batch.num_rows();
        pending.push(producer.send_to(&batch, partition).await?);
        // Answers come in order, so a look at the oldest is enough to learn of an error soon.
        while let Some(answer) = pending.first_mut().and_then(futures::FutureExt::now_or_never) {
            answer?;
            pending.remove(0);
        }
    }
    for ack in pending {
        ack.await?;
    }
    super::say(&format!("{rows} rows into {table}\n"))
}

/// How lines become rows.
enum Form {
    Json(SchemaRef),
    Csv { columns: SchemaRef, header: Option<SchemaRef> },
}

impl Form {
    /// The rows of some lines; `None` if they hold none.
    fn batch(&mut self, lines: &[String]) -> Result<Option<RecordBatch>, String> {
        match self {
            Form::Json(columns) => json(lines, columns),
            Form::Csv { columns, header } => {
                let (schema, rows) = match (&header, lines.split_first()) {
                    (Some(schema), _) => (Arc::clone(schema), lines),
                    (None, Some((first, rows))) => (Arc::clone(header.insert(csv_header(first, columns)?)), rows),
                    (None, None) => return Ok(None),
                };
                csv(rows, &schema)
            }
        }
    }
}

fn json(lines: &[String], columns: &SchemaRef) -> Result<Option<RecordBatch>, String> {
    for (index, line) in lines.iter().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let row: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).map_err(|error| format!("row {}: {error}", index + 1))?;
        if let Some(name) = row.keys().find(|name| columns.field_with_name(name).is_err()) {
            let known: Vec<_> = columns.fields().iter().map(|field| field.name().as_str()).collect();
            return Err(format!("row {}: there is no column {name:?}; there are {}", index + 1, known.join(", ")));
        }
    }
    let mut decoder = arrow_json::ReaderBuilder::new(Arc::clone(columns))
        .with_batch_size(lines.len().max(1))
        .build_decoder()
        .map_err(|error| error.to_string())?;
    for line in lines {
        decoder.decode(line.as_bytes()).and_then(|_| decoder.decode(b"\n")).map_err(|error| error.to_string())?;
    }
    decoder.flush().map_err(|error| error.to_string())
}

fn csv_header(line: &str, columns: &SchemaRef) -> Result<SchemaRef, String> {
    let names = arrow_csv::reader::Format::default().with_header(true);
    let (header, _) = names.infer_schema(line.as_bytes(), Some(0)).map_err(|error| error.to_string())?;
    let fields = header
        .fields()
        .iter()
        .map(|field| columns.field_with_name(field.name()).cloned().map_err(|error| error.to_string()))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(arrow::datatypes::Schema::new(fields)))
}

fn csv(lines: &[String], schema: &SchemaRef) -> Result<Option<RecordBatch>, String> {
    let mut decoder =
        arrow_csv::ReaderBuilder::new(Arc::clone(schema)).with_batch_size(lines.len().max(1)).build_decoder();
    for line in lines {
        decoder.decode(line.as_bytes()).and_then(|_| decoder.decode(b"\n")).map_err(|error| error.to_string())?;
    }
    decoder.flush().map_err(|error| error.to_string())
}

fn read_lines() -> Items<String> {
    read_ahead(LINES_AHEAD, |send| {
        let mut input = std::io::stdin().lock();
        loop {
            let line = match read_line(&mut input) {
                Ok(Some(line)) => Ok(line),
                Ok(None) => return,
                Err(error) => Err(Failure::failed(format!("cannot read standard input: {error}"))),
            };
            let failed = line.is_err();
            if send.blocking_send(line).is_err() || failed {
                return;
            }
        }
    })
}

fn read_line(input: &mut impl BufRead) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    let limit = MAX_LINE_BYTES as u64 + 1;
    if std::io::Read::take(&mut *input, limit).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.len() > MAX_LINE_BYTES {
        return Err(std::io::Error::other(format!("a line has more than {MAX_LINE_BYTES} bytes")));
    }
    if line.ends_with(b"\n") {
        line.pop();
    }
    String::from_utf8(line).map(Some).map_err(std::io::Error::other)
}

/// All lines that wait, up to a batch; waits for the first.
async fn next_lines(lines: &mut Items<String>) -> Result<Option<Vec<String>>, Failure> {
    let Some(first) = lines.recv().await.transpose()? else { return Ok(None) };
    let mut bytes = first.len();
    let mut batch = vec![first];
    while batch.len() < BATCH_ROWS && bytes < BATCH_BYTES {
        let Ok(line) = lines.try_recv() else { break };
        let line = line?;
        bytes += line.len();
        batch.push(line);
    }
    Ok(Some(batch))
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};

    use super::*;

    fn columns() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("word", DataType::Utf8, true)]))
    }

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn json_rows() {
        let mut form = Form::Json(columns());
        let batch = form.batch(&lines("{\"id\":1}\n\n{\"word\":\"a\",\"id\":2}")).unwrap().unwrap();
        assert_eq!(batch.column(0).as_primitive::<Int64Type>().values(), &[1, 2]);
        assert!(form.batch(&lines("{\"di\":1}")).unwrap_err().contains("no column \"di\"; there are id, word"));
        assert!(form.batch(&lines("{\"id\":1}\n{\"id\":")).unwrap_err().starts_with("row 2"));
        assert!(form.batch(&lines("{\"id\":\"x\"}")).is_err());
    }

    #[test]
    fn csv_rows_follow_one_header() {
        let mut form = Form::Csv { columns: columns(), header: None };
        let first = form.batch(&lines("word,id\na,1")).unwrap().unwrap();
        let second = form.batch(&lines("b,2\nc,3")).unwrap().unwrap();
        assert_eq!((first.num_rows(), second.num_rows()), (1, 2));
        assert_eq!(second.column(1).as_primitive::<Int64Type>().values(), &[2, 3]);
        let mut form = Form::Csv { columns: columns(), header: None };
        assert!(form.batch(&lines("nope\n1")).unwrap_err().contains("nope"));
    }
}
