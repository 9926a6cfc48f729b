//! Requests over HTTP, as guests send them.

mod networks;
mod outbound;
mod own;
mod request;

use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_engine::PluginInfo;

use crate::contract::{self, Site, WireRequest, WireResponse};
use crate::tenants::Tenant;

pub use networks::Networks;
pub(crate) use outbound::{FailedRequest, Outbound};

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
    tenant: Arc<Tenant>,
}

impl Http {
    pub(crate) fn new(plugin: &PluginInfo, outbound: Arc<Outbound>, tenant: Arc<Tenant>) -> Http {
        Http { sites: contract::allowed_sites(&plugin.description.http_hosts, &plugin.http_hosts), outbound, tenant }
    }

    pub(crate) fn send(&self, request: WireRequest, deadline: Instant) -> Result<WireResponse, FailedRequest> {
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        let mut until = now + (left - (left / 10).min(SPARE));
        if request.timeout_ms > 0 {
            until = until.min(now + Duration::from_millis(request.timeout_ms.into()));
        }
        self.outbound.send(&self.tenant, request::check(request, &self.sites)?, until)
    }
}
