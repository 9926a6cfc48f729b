//! All that guests import: what they call ends here, and goes on to what the host keeps beside each.

mod http;
mod state;
mod tables;

use millstream_engine::{Capability, Clock as _};
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::contract::{CLOCK, LOGGING, Level, RANDOM};
use crate::guest::Guest;

/// Random bytes that one call of `random.bytes` gives at most.
const MAX_RANDOM_BYTES: u32 = 65_536;

/// Defines all that a guest may import. What needs a capability is checked when it is called.
pub(crate) fn offer_imports(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    type Caller<'a> = StoreContextMut<'a, Guest>;

    for version in LOGGING {
        linker.instance(version)?.func_wrap("log", |mut store: Caller<'_>, (level, line): (Level, String)| {
            store.data_mut().log(level, &line);
            Ok(())
        })?;
    }
    let mut clock = linker.instance(CLOCK)?;
    clock.func_wrap("now", |store: Caller<'_>, (): ()| {
        store.data().check_granted(Capability::Clock)?;
        Ok((store.data().clock.wall_us(),))
    })?;
    clock.func_wrap("monotonic", |store: Caller<'_>, (): ()| {
        store.data().check_granted(Capability::Clock)?;
        Ok((u64::try_from(store.data().clock.monotonic().as_nanos()).unwrap_or(u64::MAX),))
    })?;
    let mut random = linker.instance(RANDOM)?;
    random.func_wrap("bytes", |store: Caller<'_>, (count,): (u32,)| {
        store.data().check_granted(Capability::Random)?;
        let mut bytes = vec![0; usize::try_from(count.min(MAX_RANDOM_BYTES))?];
        getrandom::fill(&mut bytes).map_err(|e| wasmtime::Error::msg(e.to_string()))?;
        Ok((bytes,))
    })?;
    random.func_wrap("number", |store: Caller<'_>, (): ()| {
        store.data().check_granted(Capability::Random)?;
        let number = getrandom::u64().map_err(|e| wasmtime::Error::msg(e.to_string()))?;
        Ok((number,))
    })?;
    state::offer(linker)?;
    tables::offer(linker)?;
    http::offer(linker)
}
