//! A connection, and SQL over it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::Any;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightData, FlightDescriptor, Ticket};
use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderValue};
use prost::Message;
use tonic::transport::{Channel, Endpoint};

use crate::batch::{batches_of, schema_of};
use crate::wire::{Incoming, Method, Requests};
use crate::{Consumer, ConsumerOptions, Error, Producer, ProducerOptions, Result, protocol, wire};

/// Where a server listens unless told otherwise.
pub const DEFAULT_URL: &str = "grpc://127.0.0.1:8081";
const DEFAULT_NAMESPACE: &str = "public";
/// gRPC metadata that names the namespace of a call.
const NAMESPACE_METADATA: &str = "millstream-namespace";
/// Larger messages than any that the server sends.
const MAX_MESSAGE_BYTES: usize = 128 << 20;
/// HTTP/2 data arrives in frames of up to this size. Each takes a read and a write of its own, so that a message of rows
/// should fit one; the default is 16 KiB.
const MAX_FRAME_BYTES: u32 = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The type of the command that loads a plugin, and the pieces that its module is sent in.
const CREATE_PLUGIN_TYPE: &str = "type.googleapis.com/millstream.v1.CreatePlugin";
const PIECE_BYTES: usize = 1 << 20;

/// Record batches as they arrive.
pub type BatchStream = Pin<Box<dyn Stream<Item = Result<RecordBatch>> + Send>>;

/// A connection to one server. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    url: Arc<str>,
    /// Where SQL looks up unqualified names.
    namespace: Arc<str>,
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
    /// Connects to `grpc://host:port`.
    pub async fn connect(url: &str) -> Result<Client> {
        let channel = endpoint(url)?.connect().await.map_err(|error| unreachable(url, &error))?;
        Ok(Client { channel, url: url.into(), namespace: DEFAULT_NAMESPACE.into() })
    }

    /// The address it was given.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same connection with another namespace for the unqualified names of SQL statements; `public` is the default.
    pub fn with_namespace(&self, namespace: &str) -> Client {
        Client { namespace: namespace.into(), ..self.clone() }
    }

    /// Runs one statement. A statement without rows gives what the server says of it, as one row.
    pub async fn query(&self, sql: &str) -> Result<Rows> {
        let mut service = self.sql_service();
        let info = service.execute(sql.to_owned(), None).await.map_err(|error| self.flight_error(error))?;
        let schema = schema_of(&info.schema)?;
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
        let ticket = ticket.ok_or_else(|| Error::protocol("a query without an endpoint"))?;
        let messages = self.get(&ticket).await.map_err(|status| Error::from_status(&self.url, &status))?;
        let client = self.clone();
        let batches = batches_of(messages.map_err(FlightError::from));
        let batches = batches.map(move |batch| batch.map_err(|error| client.flight_error(error)));
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
        let mut request = tonic::Request::new(futures::stream::iter(std::iter::once(first).chain(pieces)));
        let namespace = self.namespace.parse().map_err(|_| {
            Error::InvalidInput(format!("namespace {:?} can't be sent as gRPC metadata", &*self.namespace))
        })?;
        request.metadata_mut().insert(NAMESPACE_METADATA, namespace);
        let failed = |status: tonic::Status| Error::from_status(&self.url, &status);
        let mut answers = self.service().do_put(request).await.map_err(failed)?.into_inner();
        let answer = answers.message().await.map_err(failed)?;
        let answer = answer.ok_or_else(|| Error::protocol("CREATE PLUGIN without an answer"))?;
        protocol::StatementDone::decode(answer.app_metadata).map(|done| done.message).map_err(Error::protocol)
    }

    /// Appends to a table.
    pub fn producer(&self, table: &str, options: ProducerOptions) -> Producer {
        Producer::start(self.clone(), table, options)
    }

    /// Joins a consumer group for these topics.
    pub async fn consumer<T: AsRef<str>>(&self, options: ConsumerOptions, topics: &[T]) -> Result<Consumer> {
        Consumer::join(self.clone(), options, topics.iter().map(|topic| topic.as_ref().to_owned()).collect()).await
    }

    /// The messages behind a ticket. Not by tonic's client, which takes a call that was cut off for one that has ended.
    async fn get(&self, ticket: &Ticket) -> std::result::Result<Incoming<FlightData>, tonic::Status> {
        let mut metadata = HeaderMap::new();
        if *self.namespace != *DEFAULT_NAMESPACE {
            let namespace = HeaderValue::from_str(&self.namespace);
            let unsendable = |_| tonic::Status::invalid_argument("the namespace can't be sent as gRPC metadata");
            metadata.insert(NAMESPACE_METADATA, namespace.map_err(unsendable)?);
        }
        wire::call(self.channel.clone(), Method::DoGet, metadata, Requests::ticket(ticket), MAX_MESSAGE_BYTES).await
    }

    /// A call that carries rows.
    pub(crate) async fn call<M: Message + Default>(
        &self,
        method: Method,
        requests: impl Stream<Item = FlightData> + Send + 'static,
    ) -> std::result::Result<Incoming<M>, tonic::Status> {
        wire::call(self.channel.clone(), method, HeaderMap::new(), Requests::stream(requests), MAX_MESSAGE_BYTES).await
    }

    pub(crate) fn service(&self) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    fn sql_service(&self) -> FlightSqlServiceClient<Channel> {
        let mut service = FlightSqlServiceClient::new_from_inner(self.service());
        if *self.namespace != *DEFAULT_NAMESPACE {
            service.set_header(NAMESPACE_METADATA, &*self.namespace);
        }
        service
    }

    fn arrow_error(&self, error: &arrow::error::ArrowError) -> Error {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(status) = error.downcast_ref::<tonic::Status>() {
                return Error::from_status(&self.url, status);
            }
            if let Some(FlightError::Tonic(status)) = error.downcast_ref::<FlightError>() {
                return Error::from_status(&self.url, status);
            }
            cause = error.source();
        }
        Error::protocol(error)
    }

    fn flight_error(&self, error: FlightError) -> Error {
        match error {
            FlightError::Tonic(status) => Error::from_status(&self.url, &status),
            FlightError::Arrow(error) => self.arrow_error(&error),
            other => Error::protocol(other),
        }
    }
}

fn endpoint(url: &str) -> Result<Endpoint> {
    let address = ["grpc://", "grpc+tcp://", "http://"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let address = address.filter(|address| !address.is_empty());
    let address =
        address.ok_or_else(|| Error::InvalidInput(format!("url {url:?} is not of the form grpc://host:port")))?;
    let endpoint = Endpoint::from_shared(format!("http://{address}"))
        .map_err(|error| Error::InvalidInput(format!("url {url:?}: {error}")))?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .max_frame_size(MAX_FRAME_BYTES)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(8 << 20)
        .initial_connection_window_size(16 << 20))
}

fn unreachable(url: &str, error: &tonic::transport::Error) -> Error {
    let mut reason = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        reason = format!("{reason}: {error}");
        cause = error.source();
    }
    Error::Unreachable { url: url.to_owned(), reason }
}
