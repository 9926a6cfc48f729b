//! Requests over HTTP, as guests import them.

mod figures;
mod networks;
mod outbound;
mod request;
mod sites;

use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_engine::PluginInfo;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::contract::{HTTP, Level, WireHttpError, WireRequest, WireResponse};
use crate::guest::Guest;
use figures::kind_of;
use outbound::Failed;
use sites::Site;

pub(crate) use figures::Requests;
pub use networks::Networks;
pub(crate) use outbound::Outbound;
pub(crate) use sites::{ANY, MAX_SITES, Site as HttpSite, check_asked, check_grants};

/// Requests that one call of a plugin may send.
pub(crate) const REQUESTS_PER_CALL: u32 = 1_000;

/// Of the time that is left to a call, what a request leaves over, at most: a guest that is told that it took too long can
/// still answer.
const SPARE: Duration = Duration::from_millis(100);

/// What one plugin version may send requests to, and with what.
#[derive(Debug)]
pub(crate) struct Http {
    sites: Vec<Site>,
    outbound: Arc<Outbound>,
}

impl Http {
    pub(crate) fn new(plugin: &PluginInfo, outbound: Arc<Outbound>) -> Http {
        Http { sites: sites::allowed(&plugin.description.http_hosts, &plugin.http_hosts), outbound }
    }

    fn send(&self, request: WireRequest, deadline: Instant) -> Result<WireResponse, Failed> {
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        let mut until = now + (left - (left / 10).min(SPARE));
        if request.timeout_ms > 0 {
            until = until.min(now + Duration::from_millis(request.timeout_ms.into()));
        }
        self.outbound.send(request::check(request, &self.sites)?, until)
    }
}

/// Defines `http`. What was not granted, or not yet, is denied.
pub(crate) fn offer(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.instance(HTTP)?.func_wrap("send", |mut store: StoreContextMut<'_, Guest>, (request,): (WireRequest,)| {
        Ok((send(store.data_mut(), request),))
    })
}

fn send(guest: &mut Guest, request: WireRequest) -> Result<WireResponse, WireHttpError> {
    let (began, sent) = (Instant::now(), request.body.len());
    let answer = match guest.next_request() {
        Ok((http, deadline)) => http.send(request, deadline),
        Err(why) => Err(WireHttpError::Denied(why).into()),
    };
    let took = began.elapsed();
    match &answer {
        Ok(response) => {
            tracing::debug!(target: "millstream::plugin", plugin = guest.name(), status = response.status, ?took, "request")
        }
        Err(Failed { error: WireHttpError::Denied(why), detail }) => {
            let why = detail.as_deref().unwrap_or(why);
            guest.log(Level::Warning, &format!("a request was denied: {why}"));
        }
        Err(Failed { error, .. }) => {
            let kind = kind_of(error).name();
            tracing::debug!(target: "millstream::plugin", plugin = guest.name(), kind, ?took, "request failed");
        }
    }
    let answer = answer.map_err(|failed| failed.error);
    if let Some(requests) = guest.requests() {
        requests.ended(sent, took, answer.as_ref());
    }
    answer
}
