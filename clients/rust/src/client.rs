//! A connection to a server, as applications have it.

use std::pin::Pin;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::error::FlightError;
use arrow_flight::sql::Any;
use arrow_flight::{FlightData, FlightDescriptor};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use millstream_protocol as protocol;
use prost::Message;

use crate::batch::{batches_of, schema_of};
use crate::connection::Connection;
use crate::consumer::Consumer;
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::options::ConsumerOptions;
use crate::producer::{Producer, ProducerOptions};
use crate::tls::TlsOptions;

/// Where a server listens unless told otherwise.
pub const DEFAULT_URL: &str = "grpc://127.0.0.1:8081";

/// The type of the command that loads a plugin, and the pieces that its module is sent in.
const CREATE_PLUGIN_TYPE: &str = "type.googleapis.com/millstream.v1.CreatePlugin";
const PIECE_BYTES: usize = 1 << 20;

/// Record batches as they arrive.
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// A connection to one server. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    connection: Connection,
}

/// Rows of a query.
pub struct Rows {
    pub schema: SchemaRef,
    pub batches: BatchStream,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Client {
    /// Connects to `grpc://host:port`, or by TLS to `grpc+tls://host:port`, whose certificate a CA of this machine has issued.
    pub async fn connect(url: &str) -> Result<Client> {
        Client::connect_with(url, &TlsOptions::default()).await
    }

    /// The same with other certificates to trust, or one to show. Options with a URL that is not by TLS are an error.
    pub async fn connect_with(url: &str, tls: &TlsOptions) -> Result<Client> {
        Ok(Client { connection: Connection::open(url, tls).await? })
    }

    /// The address it was given.
    pub fn url(&self) -> &str {
        self.connection.url()
    }

    /// The same connection with another namespace for the unqualified names of SQL statements; `public` is the default.
    pub fn with_namespace(&self, namespace: &str) -> Client {
        Client { connection: self.connection.with_namespace(namespace) }
    }

    /// The same connection with gRPC metadata that is sent with every call from here on: by statements, producers and
    /// consumers.
    pub fn with_metadata(&self, name: &str, value: &str) -> Result<Client> {
        Ok(Client { connection: self.connection.with_metadata(name, value)? })
    }

    /// The same connection with what is shown with every call from here on: by statements, producers and consumers. What can't be
    /// sent is refused here. Whether the server takes it is seen with the first call, whose error is then of the kind
    /// [`Unauthenticated`](crate::ErrorKind::Unauthenticated).
    pub fn with_credentials(&self, credentials: Credentials) -> Result<Client> {
        let connection = self.connection.with_credentials(credentials);
        connection.authorization().map_err(|status| self.failed(&status))?;
        Ok(Client { connection })
    }

    /// Runs one statement. A statement without rows gives what the server says of it, as one row.
    pub async fn query(&self, sql: &str) -> Result<Rows> {
        let mut service = self.connection.sql_service().map_err(|status| self.failed(&status))?;
        let info = service.execute(sql.to_owned(), None).await.map_err(|error| self.connection.flight_error(error))?;
        let schema = schema_of(&info.schema)?;
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
        let ticket = ticket.ok_or_else(|| Error::protocol("a query without an endpoint"))?;
        let messages = self.connection.get(&ticket).await.map_err(|status| self.failed(&status))?;
        let connection = self.connection.clone();
        let batches = batches_of(messages.map_err(FlightError::from));
        let batches = batches.map(move |batch| batch.map_err(|error| connection.flight_error(error)));
        Ok(Rows { schema, batches: Box::pin(batches) })
    }

    /// Runs one statement to its end and gives all its rows.
    pub async fn sql(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        self.query(sql).await?.batches.try_collect().await
    }

    /// Loads a plugin: a statement `CREATE PLUGIN … FROM UPLOAD …` with the module beside it, of at most 64 MiB. Gives what the
    /// server says of it.
    pub async fn create_plugin(&self, statement: &str, module: Bytes) -> Result<String> {
        let create = protocol::CreatePlugin { statement: statement.to_owned() };
        let command = Any { type_url: CREATE_PLUGIN_TYPE.to_owned(), value: create.encode_to_vec().into() };
        let first = FlightData::new().with_descriptor(FlightDescriptor::new_cmd(command.encode_to_vec()));
        let pieces = (0..module.len()).step_by(PIECE_BYTES).map(move |start| {
            FlightData::new().with_app_metadata(module.slice(start..module.len().min(start + PIECE_BYTES)))
        });
        let messages = futures::stream::iter(std::iter::once(first).chain(pieces));
        let request = self.connection.request(messages).map_err(|status| self.failed(&status))?;
        let answers = self.connection.service().do_put(request).await;
        let mut answers = answers.map_err(|status| self.failed(&status))?.into_inner();
        let answer = answers.message().await.map_err(|status| self.failed(&status))?;
        let answer = answer.ok_or_else(|| Error::protocol("CREATE PLUGIN without an answer"))?;
        protocol::StatementDone::decode(answer.app_metadata).map(|done| done.message).map_err(Error::protocol)
    }

    /// Appends to a table.
    pub fn producer(&self, table: &str, options: ProducerOptions) -> Producer {
        Producer::start(self.connection.clone(), table, options)
    }

    /// Joins a consumer group for these topics.
    pub async fn consumer<T: AsRef<str>>(&self, options: ConsumerOptions, topics: &[T]) -> Result<Consumer> {
        let topics = topics.iter().map(|topic| topic.as_ref().to_owned()).collect();
        Consumer::join(self.connection.clone(), options, topics).await
    }

    fn failed(&self, status: &tonic::Status) -> Error {
        Error::from_status(self.connection.url(), status)
    }
}
