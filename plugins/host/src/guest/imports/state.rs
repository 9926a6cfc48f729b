//! The state of consumers, as guests import it.

use millstream_engine::StateLimit;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::contract::{STATE, WireEntry, WireStateError};
use crate::guest::Guest;

/// Defines `state`. Without the capability, and outside of `consume`, a call ends the instance.
pub(super) fn offer(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    type Caller<'a> = StoreContextMut<'a, Guest>;

    let mut state = linker.instance(STATE)?;
    state.func_wrap("get", |mut store: Caller<'_>, (key,): (Vec<u8>,)| {
        let found = store.data_mut().state()?.get(&key).map_err(too_large);
        Ok((found.map(|value| value.map(|value| value.to_vec())),))
    })?;
    state.func_wrap("put", |mut store: Caller<'_>, (key, value): (Vec<u8>, Vec<u8>)| {
        Ok((store.data_mut().state()?.put(&key, &value).map_err(too_large),))
    })?;
    state.func_wrap("delete", |mut store: Caller<'_>, (key,): (Vec<u8>,)| {
        Ok((store.data_mut().state()?.delete(&key).map_err(too_large),))
    })?;
    state.func_wrap("scan", |mut store: Caller<'_>, (prefix, after, limit): (Vec<u8>, Option<Vec<u8>>, u32)| {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let found = store.data_mut().state()?.scan(&prefix, after.as_deref(), limit).map_err(too_large);
        let entry = |(key, value): (std::sync::Arc<[u8]>, std::sync::Arc<[u8]>)| WireEntry {
            key: key.to_vec(),
            value: value.to_vec(),
        };
        Ok((found.map(|found| found.into_iter().map(entry).collect::<Vec<_>>()),))
    })
}

fn too_large(StateLimit(why): StateLimit) -> WireStateError {
    WireStateError::TooLarge(why)
}
