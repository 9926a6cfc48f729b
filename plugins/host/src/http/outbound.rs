//! Sending requests: one client for all plugins, which goes nowhere but to addresses that were looked at.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use millstream_engine::{Error, Result};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Request, Response, redirect};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use url::Host;

use super::networks::Networks;
use super::request::{MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_HEADERS};
use crate::contract::{WireHeader, WireHttpError, WireResponse};
use crate::failure::clip;

/// Requests of all plugins that are under way at once.
const MAX_AT_ONCE: usize = 64;
/// Names that are looked up at once. A look-up can't be interrupted, and holds its thread until the system answers.
const MAX_LOOKUPS: usize = 16;
/// A host with several addresses is tried at the next one when one does not answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const IDLE_PER_HOST: usize = 8;
/// What servers see where a plugin says nothing else.
const USER_AGENT: &str = concat!("millstream/", env!("CARGO_PKG_VERSION"));

/// Sends requests, on threads of its own.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
    client: Client,
    places: Arc<Semaphore>,
    networks: Arc<Networks>,
}

/// A request that failed, as the guest is told and as the operator is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failed {
    pub(super) error: WireHttpError,
    /// More than the guest should know.
    pub(super) detail: Option<String>,
}

impl From<WireHttpError> for Failed {
    fn from(error: WireHttpError) -> Failed {
        Failed { error, detail: None }
    }
}

impl Outbound {
    pub(crate) fn start(networks: &Networks) -> Result<Outbound> {
        let networks = Arc::new(networks.clone());
        let failed = |why: String| Error::Internal(format!("requests of plugins can't be sent: {why}"));
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(MAX_LOOKUPS)
            .thread_name("plugin-http")
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let client = Client::builder()
            // A proxy would be told where to go, and go there unlooked at.
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .http1_only()
            .dns_resolver(Arc::new(Resolver { networks: networks.clone() }))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| failed(chain(&error)))?;
        let places = Arc::new(Semaphore::new(MAX_AT_ONCE));
        Ok(Outbound { runtime: Some(runtime), client, places, networks })
    }

    /// Sends a request and reads the whole answer, from any thread. What is not done at `until` is broken off.
    pub(super) fn send(&self, request: Request, until: Instant) -> Result<WireResponse, Failed> {
        self.check_address(&request)?;
        let Some(runtime) = &self.runtime else { return Err(unreachable("the server is stopping".to_owned())) };
        let (tell, told) = sync_channel(1);
        let (client, places) = (self.client.clone(), self.places.clone());
        let task = runtime.spawn(async move {
            // Whoever waited may have gone.
            let _ = tell.send(exchange(&client, &places, request).await);
        });
        let answer = told.recv_timeout(until.saturating_duration_since(Instant::now()));
        task.abort();
        answer.unwrap_or_else(|_| Err(WireHttpError::TimedOut.into()))
    }

    /// Addresses that stand in the URL itself are not resolved.
    fn check_address(&self, request: &Request) -> Result<(), Failed> {
        let address: IpAddr = match request.url().host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err(WireHttpError::Invalid("the URL has no host".to_owned()).into()),
        };
        if self.networks.allow(address) {
            return Ok(());
        }
        Err(Refused { name: address.to_string(), addresses: vec![address] }.into())
    }
}

impl Drop for Outbound {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which may not be waited for everywhere.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn exchange(client: &Client, places: &Semaphore, request: Request) -> Result<WireResponse, Failed> {
    let place = places.acquire().await;
    let _place = place.map_err(|_| unreachable("the server is stopping".to_owned()))?;
    let response = client.execute(request).await.map_err(failed)?;
    let status = response.status().as_u16();
    let headers = headers_of(&response)?;
    let body = body_of(response).await?;
    Ok(WireResponse { status, headers, body })
}

fn headers_of(response: &Response) -> Result<Vec<WireHeader>, WireHttpError> {
    let headers = response.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return Err(WireHttpError::TooLarge);
    }
    let header = |(name, value): (&reqwest::header::HeaderName, &reqwest::header::HeaderValue)| WireHeader {
        name: name.as_str().to_owned(),
        value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
    };
    Ok(headers.iter().map(header).collect())
}

async fn body_of(mut response: Response) -> Result<Vec<u8>, Failed> {
    let declared = response.content_length().unwrap_or(0);
    if declared > MAX_BODY_BYTES as u64 {
        return Err(WireHttpError::TooLarge.into());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(WireHttpError::TooLarge.into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Looks names up, and gives those addresses alone that may be reached: what was looked at is what is connected to.
struct Resolver {
    networks: Arc<Networks>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = self.networks.clone();
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let allowed: Vec<SocketAddr> = found.iter().copied().filter(|found| networks.allow(found.ip())).collect();
            if allowed.is_empty() && !found.is_empty() {
                let addresses = found.iter().map(SocketAddr::ip).collect();
                return Err(Refused { name: name.as_str().to_owned(), addresses }.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// A host none of whose addresses may be reached.
#[derive(Debug)]
struct Refused {
    name: String,
    addresses: Vec<IpAddr>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(ToString::to_string).collect();
        write!(f, "{:?} is {}, which is no address of the public internet", self.name, addresses.join(", "))
    }
}

impl StdError for Refused {}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Failed {
        let text = format!("{:?} stands for no address that plugins may reach", clip(&refused.name));
        let detail = format!("{refused}; plugin_http_allow says which other networks may be reached");
        Failed { error: WireHttpError::Denied(text), detail: Some(detail) }
    }
}

fn unreachable(why: String) -> Failed {
    WireHttpError::Unreachable(why).into()
}

fn failed(error: reqwest::Error) -> Failed {
    if let Some(Refused { name, addresses }) = cause(&error) {
        return Refused { name: name.clone(), addresses: addresses.clone() }.into();
    }
    let timed_out = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    if error.is_timeout() || cause(&error).is_some_and(timed_out) {
        return WireHttpError::TimedOut.into();
    }
    if cause(&error).is_some_and(hyper::Error::is_parse_too_large) {
        return WireHttpError::TooLarge.into();
    }
    unreachable(clip(&chain(&error.without_url())))
}

/// What of a type lies behind an error.
fn cause<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    std::iter::successors(Some(error), |&error| error.source()).find_map(|error| error.downcast_ref())
}

fn chain(error: &(dyn StdError + 'static)) -> String {
    let texts = std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string);
    texts.collect::<Vec<_>>().join(": ")
}
