//! Filters.

use std::cell::OnceCell;

use super::{capabilities, parameters, plugin};
use crate::bindings::filter::exports::millstream::plugin::batch_filter::{Description, Volatility};
use crate::{Batch, Bitmap, Capability, Parameter};

/// A filter: columns in, a selection of rows out.
///
/// An instance may be started for any share of the batches and be dropped at any time, so the answer may depend on the
/// batch and the configuration alone. A panic ends the instance and fails the call with the panic's message.
pub trait Filter: Sized + 'static {
    /// What the plugin calls itself; 1 to 128 bytes.
    const NAME: &'static str;

    /// The columns it reads. Nothing else is sent.
    const PARAMETERS: &'static [Parameter];

    /// True when equal batches may get different answers. Topics refuse such a filter.
    const VOLATILE: bool = false;

    /// What it needs beside its arguments; only a volatile filter may ask.
    const CAPABILITIES: &'static [Capability] = &[];

    /// Called once, with the text of `WITH (config = '…')`. An error refuses the configuration.
    fn open(config: &str) -> Result<Self, String>;

    /// Answers which rows to keep. An error says what is wrong with the rows.
    fn filter(&self, batch: &Batch<'_>) -> Result<Bitmap, String>;
}

/// Exports a [`Filter`] as this crate's plugin. Use it once, at the top level.
#[macro_export]
macro_rules! export_filter {
    ($filter:ty) => {
        const _: () = {
            use $crate::bindings::filter::exports::millstream::plugin::batch_filter;

            std::thread_local! {
                static OPENED: std::cell::OnceCell<$filter> = const { std::cell::OnceCell::new() };
            }

            struct Exported;

            impl batch_filter::Guest for Exported {
                fn describe() -> batch_filter::Description {
                    $crate::export::describe_filter::<$filter>()
                }

                fn open(schema: Vec<u8>, config: String) -> Result<(), String> {
                    let parameters = <$filter as $crate::Filter>::PARAMETERS;
                    let start = || <$filter as $crate::Filter>::open(&config);
                    OPENED.with(|opened| $crate::export::open(opened, &schema, parameters, start))
                }

                fn filter(batch: Vec<u8>) -> Result<Vec<u8>, String> {
                    OPENED.with(|opened| $crate::export::filter(opened, &batch))
                }
            }

    $crate::bindings::filter::export!(Exported with_types_in $crate::bindings::filter);
        };
    };
}

pub fn describe_filter<F: Filter>() -> Description {
    Description {
        name: F::NAME.to_owned(),
        parameters: parameters(F::PARAMETERS),
        volatility: if F::VOLATILE { Volatility::Volatile } else { Volatility::Immutable },
        capabilities: capabilities(F::CAPABILITIES),
    }
}

pub fn filter<F: Filter>(opened: &OnceCell<F>, message: &[u8]) -> Result<Vec<u8>, String> {
    let filter = plugin(opened)?;
    Ok(filter.filter(&Batch::read(message, F::PARAMETERS)?)?.into_bytes())
}
