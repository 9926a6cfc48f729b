//! `millstream export`.

use futures::StreamExt;
use millstream_client::Rows;

use super::args::ExportArguments;
use super::client::Client;
use super::exit::Failure;
use super::files::{FileSink, format_of};
use super::output::say;
use super::quote::name;

pub(crate) async fn run(arguments: ExportArguments) -> Result<(), Failure> {
    let ExportArguments { connection, source, file, query } = arguments;
    // With --query, the one place left is the file's.
    let (statement, file) = match (query, source, file) {
        (Some(query), Some(file), None) => (query, std::path::PathBuf::from(file)),
        (None, Some(source), Some(file)) => (format!("SELECT * FROM {}", name(&source)), file),
        _ => return Err(Failure::usage("say a table and a file, or --query SQL and a file")),
    };
    let format = format_of(&file)?;
    let client = Client::connect(&connection).await?;
    let Rows { schema, mut batches } = client.query(&statement).await?;
    let failed = |error: millstream_formats::Error| Failure::failed(format!("{}: {error}", file.display()));
    let mut sink = FileSink::create(&file, format, &schema).map_err(failed)?;
    let mut rows = 0;
    while let Some(batch) = batches.next().await.transpose()? {
        rows += batch.num_rows();
        sink.write(&batch).map_err(failed)?;
    }
    sink.finish().map_err(failed)?;
    say(&format!("{rows} rows into {}\n", file.display()))
}
