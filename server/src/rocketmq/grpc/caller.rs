//! Who calls, and what the call is carried out with.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use millstream_engine::CallerAddress;
use tonic::metadata::MetadataMap;

use super::bounded::Dialled;
use super::credentials::{self, text};
use super::door::MessagingDoor;
use super::proto::{Address, AddressScheme, Code, Endpoints};
use super::status::{Done, Failed};
use crate::net::sent::Sent;
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::tables::Tables;
use crate::rocketmq::trace::Who;

const CLIENT_ID: &str = "x-mq-client-id";
const NAMESPACE: &str = "x-mq-namespace";
const TIMEOUT: &str = "grpc-timeout";
/// No client is called by a longer name.
const MAX_CLIENT_ID_BYTES: usize = 255;

/// One call's client.
pub(super) struct Caller {
    pub(super) door: Arc<MessagingDoor>,
    pub(super) tables: Tables,
    pub(super) client_id: String,
    /// Where names are that name none themselves; empty where the client says nothing.
    pub(super) namespace: String,
    pub(super) address: Option<SocketAddr>,
    pub(super) dialled: Option<Endpoints>,
    /// How long the client waits for the answer.
    pub(super) timeout: Option<Duration>,
    /// The call's answer, as the network sees it.
    pub(super) sent: Arc<Sent>,
}

impl Caller {
    pub(super) async fn of(door: &Arc<MessagingDoor>, metadata: &MetadataMap, extensions: &Extensions) -> Done<Caller> {
        let client_id = text(metadata, CLIENT_ID)?.unwrap_or_default();
        if client_id.is_empty() {
            return Err(Failed::new(Code::ClientIdRequired, format!("the call has no {CLIENT_ID} in its metadata")));
        }
        if client_id.len() > MAX_CLIENT_ID_BYTES {
            let message = format!("{CLIENT_ID} has {} bytes, more than {MAX_CLIENT_ID_BYTES}", client_id.len());
            return Err(Failed::new(Code::BadRequest, message));
        }
        let sent = extensions.get::<Arc<Sent>>().cloned();
        let sent = sent.ok_or_else(|| Failed::new(Code::InternalServerError, "the call has come around the door"))?;
        let ip = sent.peer.address.map(|address| address.ip().to_canonical());
        let from = CallerAddress { ip, door: "rocketmq-grpc" };
        let who = credentials::caller(&door.door, metadata, from).await.inspect_err(|failed| {
            if failed.code == Code::Unauthorized {
                door.door.net.count_unauthenticated();
            }
        })?;
        door.door.engine.connect(&who, &sent.peer.places)?;
        Ok(Caller {
            door: Arc::clone(door),
            tables: Tables { engine: door.door.engine.clone(), who, settings: door.settings.clone() },
            client_id: client_id.to_owned(),
            namespace: text(metadata, NAMESPACE)?.unwrap_or_default().to_owned(),
            address: sent.peer.address,
            dialled: dialled(extensions),
            timeout: text(metadata, TIMEOUT)?.and_then(timeout),
            sent,
        })
    }

    /// The user, and what the client calls itself.
    pub(super) fn name(&self) -> (&str, &str) {
        (self.tables.who.name(), &self.client_id)
    }

    /// This client as a consumer of a group.
    pub(super) fn as_consumer(&self, group: &ScopedName) -> Who {
        Who::of(group, &self.client_id, self.address)
    }

    /// By the log's time.
    pub(super) fn now_ms(&self) -> i64 {
        self.tables.engine.now_us().div_euclid(1_000)
    }
}

fn dialled(extensions: &Extensions) -> Option<Endpoints> {
    let Dialled(authority) = extensions.get::<Dialled>()?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let scheme = match host.parse() {
        Ok(std::net::IpAddr::V4(_)) => AddressScheme::IPv4,
        Ok(std::net::IpAddr::V6(_)) => AddressScheme::IPv6,
        Err(_) => AddressScheme::DomainName,
    };
    let address = Address { host: host.to_owned(), port: authority.port_u16()?.into() };
    Some(Endpoints { scheme: scheme.into(), addresses: vec![address] })
}

/// As gRPC writes it: a number of at most eight digits, and its unit.
fn timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number.checked_mul(3_600)?)),
        "M" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read() {
        assert_eq!(timeout("3S"), Some(Duration::from_secs(3)));
        assert_eq!(timeout("250m"), Some(Duration::from_millis(250)));
        assert_eq!(timeout("2H"), Some(Duration::from_secs(7_200)));
        for wrong in ["", "S", "-1S", "1x", "é", "99999999999999999999H"] {
            assert_eq!(timeout(wrong), None, "{wrong:?}");
        }
    }
}
