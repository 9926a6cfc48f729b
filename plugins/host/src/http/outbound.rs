//! Sending requests: one client for all plugins, which goes nowhere but to addresses that were looked at.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use millstream_engine::{Error, Result};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Request, Response, redirect};
use tokio::runtime::{Builder, Runtime};
use url::Host;

use super::networks::{Networks, Reach};
use super::request::{MAX_BODY_BYTES, MAX_HEADER_BYTES, MAX_HEADERS};
use crate::contract::{WireHeader, WireHttpError, WireResponse};
use crate::failure::clip;
use crate::tenants::Tenant;
use crate::turns::{Turn, Turns};

/// Requests of all plugins that are under way at once. A namespace has no more of them than it leaves to others.
const MAX_AT_ONCE: usize = 64;
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
    places: Arc<Turns>,
    reach: Arc<Reach>,
}

/// The addresses of a name. It takes as long as the system likes.
type LookUp = fn(&str) -> io::Result<Vec<IpAddr>>;

tokio::task_local! {
    /// Of the request that this task is about.
    static PLACE: Arc<Turn>;
}

/// A request that failed, as the guest is told and as the operator is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failed {
    pub(crate) error: WireHttpError,
    /// More than the guest should know.
    pub(crate) detail: Option<String>,
}

impl From<WireHttpError> for Failed {
    fn from(error: WireHttpError) -> Failed {
        Failed { error, detail: None }
    }
}

impl Outbound {
    pub(crate) fn start(allow: &Networks, deny: &Networks) -> Result<Outbound> {
        Outbound::start_with(allow, deny, look_up)
    }

    fn start_with(allow: &Networks, deny: &Networks, look_up: LookUp) -> Result<Outbound> {
        let reach = Arc::new(Reach::new(allow, deny));
        let failed = |why: String| Error::Internal(format!("requests of plugins can't be sent: {why}"));
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            // Each request looks one name up at a time, and keeps its place until that has ended.
            .max_blocking_threads(MAX_AT_ONCE)
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
            .dns_resolver(Arc::new(Resolver { reach: reach.clone(), look_up }))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .user_agent(USER_AGENT)
            .build()
            .map_err(|error| failed(chain(&error)))?;
        let places = Turns::new(MAX_AT_ONCE);
        Ok(Outbound { runtime: Some(runtime), client, places, reach })
    }

    /// Sends a request of a namespace and reads the whole answer, from any thread. What is not done at `until` is broken off.
    pub(super) fn send(&self, tenant: &Tenant, request: Request, until: Instant) -> Result<WireResponse, Failed> {
        self.check_address(&request)?;
        let Some(runtime) = &self.runtime else { return Err(unreachable("the server is stopping".to_owned())) };
        let place = self.places.wait(&tenant.requests, 1, until).map_err(|_| WireHttpError::TimedOut)?;
        let (tell, told) = sync_channel(1);
        let client = self.client.clone();
        let task = runtime.spawn(PLACE.scope(Arc::new(place), async move {
            // Whoever waited may have gone.
            let _ = tell.send(exchange(&client, request).await);
        }));
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
        if self.reach.allows(address) {
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

async fn exchange(client: &Client, request: Request) -> Result<WireResponse, Failed> {
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

fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Looks names up, and gives those addresses alone that may be reached: what was looked at is what is connected to.
struct Resolver {
    reach: Arc<Reach>,
    look_up: LookUp,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, look_up) = (self.reach.clone(), self.look_up);
        // A look-up can't be interrupted. It holds its request's place, also when the request has been given up: a namespace
        // whose names nobody answers for waits for itself.
        let place = PLACE.try_with(Arc::clone).ok();
        Box::pin(async move {
            let asked = name.as_str().to_owned();
            let looking = tokio::task::spawn_blocking(move || {
                let found = look_up(&asked);
                drop(place);
                found
            });
            let found = looking.await??;
            let allowed = reach.among(&found);
            if allowed.is_empty() && !found.is_empty() {
                return Err(Refused { name: name.as_str().to_owned(), addresses: found }.into());
            }
            Ok(Box::new(allowed.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
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
        write!(
            f,
            "{:?} is {}, which is no address of the public internet beyond this machine",
            self.name,
            addresses.join(", ")
        )
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::thread;

    use parking_lot::{Condvar, Mutex};

    use super::*;
    use crate::tenants::Tenants;

    static ANSWERED: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

    /// Nobody answers for names that end in `.mute`.
    fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
        let mut answered = ANSWERED.0.lock();
        while name.ends_with(".mute") && !*answered {
            ANSWERED.1.wait(&mut answered);
        }
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    }

    /// Comes in the end, so that a server whose client has failed does not wait for one.
    struct LastClient(SocketAddr);

    impl Drop for LastClient {
        fn drop(&mut self) {
            let _ = TcpStream::connect(self.0);
        }
    }

    fn get(outbound: &Outbound, tenant: &Tenant, url: &str, patience: Duration) -> Result<WireResponse, Failed> {
        let request = Request::new(reqwest::Method::GET, url.parse().expect("a URL"));
        outbound.send(tenant, request, Instant::now() + patience)
    }

    #[test]
    fn a_namespace_whose_names_nobody_answers_for_stops_no_other() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let port = address.port();
        let allow = "127.0.0.0/8".parse().expect("a network");
        let outbound = Outbound::start_with(&allow, &Networks::default(), look_up).expect("it starts");
        let tenants = Tenants::new();
        let (mute, other) = (tenants.get("mute"), tenants.get("other"));
        thread::scope(|scope| {
            let _last = LastClient(address);
            scope.spawn(|| {
                let (mut stream, _) = listener.accept().expect("one comes");
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
            });
            // More than there are places for, and given up before any is answered.
            for n in 0..2 * MAX_AT_ONCE {
                let (outbound, mute) = (&outbound, &mute);
                scope.spawn(move || {
                    let failed = get(outbound, mute, &format!("http://n{n}.mute:{port}/"), Duration::from_secs(2));
                    assert_eq!(failed.expect_err("nobody answers").error, WireHttpError::TimedOut);
                });
            }
            let patience = Instant::now() + Duration::from_secs(20);
            while mute.requests.running() < MAX_AT_ONCE / 2 {
                assert!(Instant::now() < patience, "they are not under way");
                thread::yield_now();
            }
            let answer = get(&outbound, &other, &format!("http://ok.example:{port}/"), Duration::from_secs(20));
            assert_eq!(answer.expect("an answer").body, b"hi");
        });
        assert_eq!(mute.requests.running(), MAX_AT_ONCE / 2, "their look-ups keep their places");
        *ANSWERED.0.lock() = true;
        ANSWERED.1.notify_all();
        let patience = Instant::now() + Duration::from_secs(20);
        while mute.requests.running() > 0 {
            assert!(Instant::now() < patience, "places are not given back");
            thread::yield_now();
        }
    }
}
