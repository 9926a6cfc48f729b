//! Requests over HTTP, as guests import them.

use std::time::Instant;

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::calls::failure_of;
use crate::contract::{HTTP, Level, WireHttpError, WireRequest, WireResponse};
use crate::guest::Guest;
use crate::http::FailedRequest;

/// Defines `http`. What was not granted, or not yet, is denied.
pub(super) fn offer(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
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
        Err(FailedRequest { error: WireHttpError::Denied(why), detail }) => {
            let why = detail.as_deref().unwrap_or(why);
            guest.log(Level::Warning, &format!("a request was denied: {why}"));
        }
        Err(FailedRequest { error, .. }) => {
            let kind = failure_of(error).name();
            tracing::debug!(target: "millstream::plugin", plugin = guest.name(), kind, ?took, "request failed");
        }
    }
    let answer = answer.map_err(|failed| failed.error);
    if let Some(requests) = guest.requests() {
        requests.ended(sent, took, answer.as_ref());
    }
    answer
}
