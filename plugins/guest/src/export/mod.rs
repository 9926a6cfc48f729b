//! What an author implements, and what stands between that and the contract.

mod checkback;
mod consumer;
mod filter;
mod function;
mod transform;

use std::cell::OnceCell;

use crate::bindings::filter::millstream::plugin::types::{
    Capability as WireCapability, Parameter as WireParameter, TableUse as WireTableUse,
};
use crate::{Capability, Parameter, log, schema};

pub use checkback::{CheckVerdict, CheckbackHandler, check, describe_checkback};
pub use consumer::{Answer, Consumer, Position, Table, Verdict, consume, describe_consumer};
pub use filter::{Filter, describe_filter, filter};
pub use function::{Function, call, describe_function};
pub use transform::{Output, Transform, describe_transform, open_transform, transform};

/// Opens a plugin of any kind in this instance.
pub fn open<T>(
    opened: &OnceCell<T>,
    schema: &[u8],
    parameters: &[Parameter],
    start: impl FnOnce() -> Result<T, String>,
) -> Result<(), String> {
    // A trap carries no text; the host adds this line to its error.
    std::panic::set_hook(Box::new(|panic| log::error(&panic.to_string())));
    schema::check(schema, parameters)?;
    opened.set(start()?).map_err(|_| "the plugin is open already".to_owned())
}

fn plugin<T>(opened: &OnceCell<T>) -> Result<&T, String> {
    opened.get().ok_or_else(|| "the plugin is not open".to_owned())
}

fn parameters(declared: &[Parameter]) -> Vec<WireParameter> {
    let parameter = |p: &Parameter| WireParameter { name: p.name.to_owned(), data_type: p.data_type.to_string() };
    declared.iter().map(parameter).collect()
}

fn capabilities(asked: &[Capability]) -> Vec<WireCapability> {
    let capability = |capability: &Capability| match capability {
        Capability::Clock => WireCapability::Clock,
        Capability::Random => WireCapability::Random,
        Capability::State => WireCapability::State,
        Capability::Table(table) => WireCapability::Table(WireTableUse {
            name: table.name.to_owned(),
            key: parameters(table.key),
            columns: parameters(table.columns),
        }),
        Capability::Http(host) => WireCapability::Http((*host).to_owned()),
    };
    asked.iter().map(capability).collect()
}
