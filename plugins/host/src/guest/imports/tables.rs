//! Rows of tables by key, as guests import them.

use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use crate::contract::{TABLES, WireTableError};
use crate::guest::Guest;

/// Defines `tables`. What was not granted, or not yet, is denied.
pub(super) fn offer(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.instance(TABLES)?.func_wrap(
        "lookup",
        |store: StoreContextMut<'_, Guest>, (table, keys): (String, Vec<u8>)| {
            let Some((tables, deadline)) = store.data().tables() else {
                return Ok((Err(WireTableError::Denied("no table is granted before the plugin is open".to_owned())),));
            };
            Ok((tables.lookup(&table, keys, deadline),))
        },
    )
}
