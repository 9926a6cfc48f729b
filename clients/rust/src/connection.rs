//! The connection to one server, and the calls that are made over it.

use std::sync::Arc;
use std::time::Duration;

use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightData, Ticket};
use futures::Stream;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use millstream_protocol::framing::Incoming;
use millstream_protocol::{DEFAULT_NAMESPACE, NAMESPACE_METADATA};
use prost::Message;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::call::{Method, Requests, call};
use crate::credentials::Credentials;
use crate::error::{Error, Result};
use crate::tls::{Dial, TlsOptions};

/// Larger messages than any that the server sends.
const MAX_MESSAGE_BYTES: usize = 128 << 20;
/// HTTP/2 data arrives in frames of up to this size. Each takes a read and a write of its own, so that a message of rows
/// should fit one; the default is 16 KiB.
const MAX_FRAME_BYTES: u32 = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Cheap to clone; clones share the socket.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    channel: Channel,
    url: Arc<str>,
    /// Where SQL looks up unqualified names.
    namespace: Arc<str>,
    /// Sent with every call.
    metadata: HeaderMap,
    credentials: Option<Credentials>,
}

impl Connection {
    pub(crate) async fn open(url: &str, tls: &TlsOptions) -> Result<Connection> {
        let (secure, endpoint) = endpoint(url)?;
        let opened = match secure {
            true => endpoint.connect_with_connector(Dial::new(tls)?).await,
            false => {
                tls.refuse_in_plaintext(url)?;
                endpoint.connect().await
            }
        };
        let channel = opened.map_err(|error| unreachable(url, &error))?;
        let (url, namespace) = (url.into(), DEFAULT_NAMESPACE.into());
        Ok(Connection { channel, url, namespace, metadata: HeaderMap::new(), credentials: None })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn with_namespace(&self, namespace: &str) -> Connection {
        Connection { namespace: namespace.into(), ..self.clone() }
    }

    pub(crate) fn with_metadata(&self, name: &str, value: &str) -> Result<Connection> {
        let unsendable = || Error::InvalidInput(format!("{name:?} can't be sent as gRPC metadata"));
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| unsendable())?;
        // Credentials stay out of what is printed for debugging.
        value.set_sensitive(true);
        let mut with = self.clone();
        with.metadata.insert(name, value);
        Ok(with)
    }

    pub(crate) fn with_credentials(&self, credentials: Credentials) -> Connection {
        Connection { credentials: Some(credentials), ..self.clone() }
    }

    /// What a call that begins now shows for who makes it.
    pub(crate) fn authorization(&self) -> Result<Option<HeaderValue>, Status> {
        self.credentials.as_ref().map(Credentials::header).transpose()
    }

    /// Whether a call that was refused for what it had shown would show something else now.
    pub(crate) fn has_other_than(&self, shown: Option<&HeaderValue>) -> bool {
        self.authorization().is_ok_and(|now| now.as_ref() != shown)
    }

    fn headers(&self) -> Result<HeaderMap, Status> {
        let mut headers = self.metadata.clone();
        if let Some(authorization) = self.authorization()? {
            headers.insert(AUTHORIZATION, authorization);
        }
        Ok(headers)
    }

    /// The messages behind a ticket. Not by tonic's client, which takes a call that was cut off for one that has ended.
    pub(crate) async fn get(&self, ticket: &Ticket) -> Result<Incoming<FlightData>, Status> {
        let mut metadata = self.headers()?;
        if *self.namespace != *DEFAULT_NAMESPACE {
            metadata.insert(NAMESPACE_METADATA, self.namespace_value()?);
        }
        call(self.channel.clone(), Method::DoGet, metadata, Requests::ticket(ticket), MAX_MESSAGE_BYTES).await
    }

    /// A call that carries rows.
    pub(crate) async fn call<M: Message + Default>(
        &self,
        method: Method,
        requests: impl Stream<Item = FlightData> + Send + 'static,
    ) -> Result<Incoming<M>, Status> {
        let (channel, metadata) = (self.channel.clone(), self.headers()?);
        call(channel, method, metadata, Requests::stream(requests), MAX_MESSAGE_BYTES).await
    }

    /// A request of tonic's client.
    pub(crate) fn request<T>(&self, messages: T) -> Result<tonic::Request<T>, Status> {
        let mut metadata = self.headers()?;
        metadata.insert(NAMESPACE_METADATA, self.namespace_value()?);
        let metadata = tonic::metadata::MetadataMap::from_headers(metadata);
        Ok(tonic::Request::from_parts(metadata, tonic::Extensions::default(), messages))
    }

    pub(crate) fn service(&self) -> FlightServiceClient<Channel> {
        FlightServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES)
    }

    pub(crate) fn sql_service(&self) -> Result<FlightSqlServiceClient<Channel>, Status> {
        let mut service = FlightSqlServiceClient::new_from_inner(self.service());
        for (name, value) in &self.headers()? {
            // It was made of text.
            service.set_header(name.as_str(), value.to_str().unwrap_or_default());
        }
        if *self.namespace != *DEFAULT_NAMESPACE {
            service.set_header(NAMESPACE_METADATA, &*self.namespace);
        }
        Ok(service)
    }

    fn namespace_value(&self) -> Result<HeaderValue, Status> {
        HeaderValue::from_str(&self.namespace).map_err(|_| {
            Status::invalid_argument(format!("namespace {:?} can't be sent as gRPC metadata", &*self.namespace))
        })
    }

    pub(crate) fn flight_error(&self, error: FlightError) -> Error {
        match error {
            FlightError::Tonic(status) => Error::from_status(&self.url, &status),
            FlightError::Arrow(error) => self.arrow_error(&error),
            other => Error::protocol(other),
        }
    }

    fn arrow_error(&self, error: &arrow::error::ArrowError) -> Error {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = cause {
            if let Some(status) = error.downcast_ref::<Status>() {
                return Error::from_status(&self.url, status);
            }
            if let Some(FlightError::Tonic(status)) = error.downcast_ref::<FlightError>() {
                return Error::from_status(&self.url, status);
            }
            cause = error.source();
        }
        Error::protocol(error)
    }
}

/// What URLs begin with, and whether that is TLS.
const SCHEMES: [(&str, bool); 5] =
    [("grpc://", false), ("grpc+tcp://", false), ("http://", false), ("grpc+tls://", true), ("https://", true)];

/// Whether the server is reached by TLS, and where.
fn endpoint(url: &str) -> Result<(bool, Endpoint)> {
    let found = SCHEMES.iter().find_map(|(scheme, secure)| Some((*secure, url.strip_prefix(scheme)?)));
    let (secure, address) = found.filter(|(_, address)| !address.is_empty()).ok_or_else(|| {
        Error::InvalidInput(format!("url {url:?} is not of the form grpc://host:port or grpc+tls://host:port"))
    })?;
    let scheme = if secure { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
        .map_err(|error| Error::InvalidInput(format!("url {url:?}: {error}")))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .max_frame_size(MAX_FRAME_BYTES)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .initial_stream_window_size(8 << 20)
        .initial_connection_window_size(16 << 20);
    Ok((secure, endpoint))
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
