//! What is counted of requests.

use std::time::Duration;

use millstream_engine::{PluginRequests, RequestFailure};

use crate::contract::{WireHttpError, WireResponse};
use crate::figures::Counter;

/// Counters of one plugin version.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    requests: Counter,
    failures: [Counter; RequestFailure::ALL.len()],
    bytes_sent: Counter,
    bytes_received: Counter,
    busy_us: Counter,
}

impl Requests {
    /// A request of so many bytes was answered, or was not.
    pub(crate) fn ended(&self, sent: usize, took: Duration, answer: Result<&WireResponse, &WireHttpError>) {
        self.requests.add(1);
        self.busy_us.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        match answer {
            Ok(response) => {
                self.bytes_sent.add(sent as u64);
                self.bytes_received.add(response.body.len() as u64);
            }
            Err(error) => {
                let kind = RequestFailure::ALL.iter().position(|kind| *kind == failure_of(error));
                if let Some(counter) = kind.and_then(|kind| self.failures.get(kind)) {
                    counter.add(1);
                }
            }
        }
    }

    pub(crate) fn figures(&self) -> PluginRequests {
        PluginRequests {
            requests: self.requests.get(),
            failures: self.failures.each_ref().map(Counter::get),
            bytes_sent: self.bytes_sent.get(),
            bytes_received: self.bytes_received.get(),
            busy_us: self.busy_us.get(),
        }
    }
}

pub(crate) fn failure_of(error: &WireHttpError) -> RequestFailure {
    match error {
        WireHttpError::Denied(_) => RequestFailure::Denied,
        WireHttpError::Invalid(_) => RequestFailure::Invalid,
        WireHttpError::Unreachable(_) => RequestFailure::Unreachable,
        WireHttpError::TimedOut => RequestFailure::TimedOut,
        WireHttpError::TooLarge => RequestFailure::TooLarge,
    }
}
