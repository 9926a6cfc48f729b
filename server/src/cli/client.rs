//! The commands' connection to the server.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use futures::StreamExt;
use millstream_client::{Error, ErrorKind, Rows};

use super::args::Connection;
use super::exit::Failure;
use super::output::{output, say, unwritable};
use crate::format::{Format, RowSink};

/// How long a command that sends rows stands by a server that does not answer: somebody is waiting for the command.
pub(crate) const DELIVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection that is known to work: the server has answered.
pub(crate) struct Client {
    inner: millstream_client::Client,
}

impl Client {
    pub(crate) async fn connect(connection: &Connection) -> Result<Client, Failure> {
        let credentials = connection.login.credentials()?;
        let inner = millstream_client::Client::connect_with(&connection.url, &connection.tls.options()).await?;
        let inner = match credentials {
            Some(credentials) => inner.with_credentials(credentials)?,
            None => inner,
        };
        Ok(Client { inner: inner.with_namespace(&connection.namespace) })
    }

    /// The client library's connection.
    pub(crate) fn inner(&self) -> &millstream_client::Client {
        &self.inner
    }

    /// Begins a statement.
    pub(crate) async fn query(&self, statement: &str) -> Result<Rows, Failure> {
        Ok(self.inner.query(statement).await?)
    }

    /// Executes a statement to its end and gives its rows.
    pub(crate) async fn run(&self, statement: &str) -> Result<Vec<arrow::array::RecordBatch>, Failure> {
        Ok(self.inner.sql(statement).await?)
    }

    /// The columns of a table or topic.
    pub(crate) async fn columns(&self, quoted_name: &str) -> Result<SchemaRef, Failure> {
        Ok(self.query(&format!("SELECT * FROM {quoted_name} LIMIT 0")).await?.schema)
    }

    /// Executes a statement and prints its rows. Of a statement that gives none, people are told what it did.
    pub(crate) async fn print(&self, statement: &str, format: Format) -> Result<(), Failure> {
        let Rows { schema, mut batches } = self.query(statement).await?;
        if format == Format::Table && is_confirmation(&schema) {
            while let Some(batch) = batches.next().await.transpose()? {
                let messages = batch.column(1).as_string::<i32>();
                messages.iter().flatten().try_for_each(|message| say(&format!("{message}\n")))?;
            }
            return Ok(());
        }
        let mut sink = RowSink::new(output(), format, &schema).map_err(unwritable)?;
        while let Some(batch) = batches.next().await.transpose()? {
            sink.write(&batch).map_err(unwritable)?;
        }
        sink.finish().map_err(unwritable)
    }
}

/// Tells people what a statement did; programs get it as a row.
pub(crate) fn print_done(message: String, format: Format) -> Result<(), Failure> {
    if format == Format::Table {
        return say(&format!("{message}\n"));
    }
    let columns: [(&str, ArrayRef); 2] =
        [("rows", Arc::new(Int64Array::from(vec![0]))), ("message", Arc::new(StringArray::from(vec![message])))];
    let row = RecordBatch::try_from_iter(columns).map_err(Failure::failed)?;
    let mut sink = RowSink::new(output(), format, &row.schema()).map_err(unwritable)?;
    sink.write(&row).and_then(|()| sink.finish()).map_err(unwritable)
}

/// What the server sends for a statement without rows.
fn is_confirmation(schema: &SchemaRef) -> bool {
    let shape: Vec<_> =
        schema.fields().iter().map(|field| (field.name().as_str(), field.data_type(), field.is_nullable())).collect();
    shape == [("rows", &DataType::Int64, false), ("message", &DataType::Utf8, false)]
}

/// An error of sending rows: what can't be sent is the fault of the rows, not of the command.
pub(crate) fn not_sent(error: Error) -> Failure {
    match &error {
        Error::InvalidInput(_) => Failure::failed(error),
        _ => error.into(),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match &error {
            Error::Unreachable { .. } => Failure::unreachable(error),
            Error::InvalidInput(_) => Failure::usage(error),
            _ if error.kind() == ErrorKind::Internal => {
                Failure::failed(format!("{error} (this looks like a defect; please report it)"))
            }
            _ => Failure::failed(error),
        }
    }
}
