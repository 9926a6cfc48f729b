//! One request, and what it is carried out with.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, Uri};
use millstream_engine::CallerAddress;
use percent_encoding::percent_decode_str;

use super::credentials;
use super::fault::{Done, Fault, MALFORMED_XML};
use super::xml;
use crate::config::{Config, RocketmqSettings};
use crate::door::{Door, Rooms};
use crate::net::collect::{Collected, NotCollected, collect};
use crate::net::ingress::NoRoom;
use crate::net::sent::Sent;
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::tables::Tables;
use crate::work::Waits;

const MAX_NAME_BYTES: usize = 255;

/// What all requests share.
#[derive(Debug)]
pub(super) struct MqHttp {
    rooms: Rooms,
    settings: RocketmqSettings,
    /// What messages say of where they are stored.
    store_host: SocketAddr,
    body_limit_bytes: usize,
}

impl MqHttp {
    pub(super) fn new(config: &Config, rooms: Rooms) -> MqHttp {
        let settings = config.rocketmq.clone();
        let store_host = settings.advertise.unwrap_or(config.http);
        MqHttp { rooms, settings, store_host, body_limit_bytes: config.http_body_limit_bytes }
    }
}

pub(super) struct Call {
    pub(super) door: Door,
    pub(super) tables: Tables,
    pub(super) topic: ScopedName,
    pub(super) store_host: SocketAddr,
    /// The answer, as the network sees it.
    pub(super) sent: Arc<Sent>,
    query: Vec<(String, String)>,
    body_limit_bytes: usize,
    headers: HeaderMap,
    body: Body,
}

impl Call {
    pub(super) fn read(mq: &MqHttp, request: Request) -> Done<Call> {
        let opening = || Fault::unavailable("the store is still being opened; retry later");
        let door = mq.rooms.get().ok_or_else(opening)?.clone();
        let sent = request.extensions().get::<Arc<Sent>>().cloned();
        let sent = sent.ok_or_else(|| Fault::internal("the request has come around the door"))?;
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let Query(query) = query.map_err(|error| Fault::invalid(format!("the query of the URL: {error}")))?;
        let topic = topic(request.uri());
        let (parts, body) = request.into_parts();
        let engine = door.engine.clone();
        let ip = sent.peer.address.map(|address| address.ip().to_canonical());
        let from = CallerAddress { ip, door: "rocketmq-http" };
        let who =
            credentials::caller(&door.authenticator, &parts, from).inspect_err(|_| door.net.count_unauthenticated())?;
        engine.connect(&who, &sent.peer.places)?;
        let (tables, headers) = (Tables { engine, who, settings: mq.settings.clone() }, parts.headers);
        let (store_host, body_limit_bytes) = (mq.store_host, mq.body_limit_bytes);
        let unread = ScopedName::parse("");
        let mut call = Call { door, tables, topic: unread, store_host, sent, query, body_limit_bytes, headers, body };
        call.topic = call.scoped("topic", &topic)?;
        Ok(call)
    }

    /// A parameter of the URL; `None` where it is missing or empty.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A number within bounds.
    pub(super) fn number(&self, name: &str, bounds: std::ops::RangeInclusive<u64>) -> Done<Option<u64>> {
        let Some(text) = self.parameter(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        let (least, most) = bounds.into_inner();
        number.map(Some).ok_or_else(|| Fault::invalid(format!("{name} is {least} to {most}, not {text:.40?}")))
    }

    /// The group that consumes.
    pub(super) fn consumer(&self) -> Done<ScopedName> {
        let name = self.parameter("consumer").ok_or_else(|| Fault::invalid("the URL names no consumer"))?;
        let group = self.scoped("consumer", name)?;
        if group.namespace == self.topic.namespace {
            return Ok(group);
        }
        Err(Fault::invalid(format!(
            "consumer {:?} and topic {:?} are in different namespaces",
            group.name, self.topic.name
        )))
    }

    /// What the URL names, in the namespace that it names (`ns`).
    fn scoped(&self, what: &str, name: &str) -> Done<ScopedName> {
        if name.len() > MAX_NAME_BYTES {
            let bytes = name.len();
            return Err(Fault::invalid(format!(
                "a {what}'s name has at most {MAX_NAME_BYTES} bytes; this one has {bytes}"
            )));
        }
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err(Fault::invalid(format!("the {what}'s name is empty, or has control characters")));
        }
        Ok(match self.parameter("ns") {
            Some(namespace) => ScopedName { namespace: namespace.to_owned(), name: name.to_owned() },
            None => ScopedName::parse(name),
        })
    }

    /// The texts within the root of the document that is the body.
    pub(super) async fn texts(&mut self, root: &'static str) -> Done<Vec<(String, String)>> {
        let body = self.collected().await?;
        let headers = std::mem::take(&mut self.headers);
        let read = move || {
            credentials::check_body(&headers, &body.bytes)?;
            let wrong = |why: String| Fault::new(MALFORMED_XML, format!("the request is no <{root}>: {why}"));
            let text = std::str::from_utf8(&body.bytes).map_err(|error| wrong(error.to_string()))?;
            xml::texts(text, root).map_err(wrong)
        };
        self.door.work.run(Waits::Computes, read).await?
    }

    /// The body, for which there was room.
    async fn collected(&mut self) -> Done<Collected> {
        let limit = self.body_limit_bytes;
        let body = std::mem::take(&mut self.body);
        collect(body, &self.sent.peer, limit).await.map_err(|refused| match refused {
            NotCollected::TooLarge => {
                Fault::too_large(format!("the request has more than {limit} bytes (http_body_limit_bytes)"))
            }
            NotCollected::Late => Fault::late("the request did not come in time (receive_timeout_ms)"),
            NotCollected::NoRoom => Fault::busy(NoRoom::MESSAGE),
            NotCollected::Broken(message) => Fault::new(MALFORMED_XML, format!("the request broke off: {message}")),
        })
    }
}

/// As it stands in the path, between the slashes. Clients don't write `%` as `%25`, and so it stands for itself where no two digits follow.
fn topic(uri: &Uri) -> String {
    let path = uri.path().strip_prefix("/topics/").unwrap_or_default();
    let path = path.strip_suffix("/messages").unwrap_or(path);
    percent_decode_str(path).decode_utf8().map_or_else(|_| path.to_owned(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_read_from_paths() {
        let of = |path: &'static str| topic(&Uri::from_static(path));
        assert_eq!(of("/topics/orders/messages?ns=a"), "orders");
        assert_eq!(of("/topics/%25DLQ%25g/messages"), "%DLQ%g");
        assert_eq!(of("/topics/%C3%A9/messages"), "é");
        assert_eq!((of("/topics/%DLQ%g/messages"), of("/topics/%FF/messages")), ("%DLQ%g".into(), "%FF".into()));
    }
}
