//! What an author implements, and what stands between that and the contract.

use crate::bindings::exports::millstream::plugin::batch_filter::{Description, Parameter as WireParameter, Volatility};
use crate::{Batch, Bitmap, Parameter, log, schema};

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
            use $crate::bindings::exports::millstream::plugin::batch_filter;

            std::thread_local! {
                static OPENED: std::cell::OnceCell<$filter> = const { std::cell::OnceCell::new() };
            }

            struct Exported;

            impl batch_filter::Guest for Exported {
                fn describe() -> batch_filter::Description {
                    $crate::export::describe::<$filter>()
                }

                fn open(schema: Vec<u8>, config: String) -> Result<(), String> {
                    OPENED.with(|opened| $crate::export::open(opened, &schema, &config))
                }

                fn filter(batch: Vec<u8>) -> Result<Vec<u8>, String> {
                    OPENED.with(|opened| $crate::export::filter(opened, &batch))
                }
            }

            $crate::bindings::export!(Exported with_types_in $crate::bindings);
        };
    };
}

pub fn describe<F: Filter>() -> Description {
    Description {
        name: F::NAME.to_owned(),
        parameters: F::PARAMETERS
            .iter()
            .map(|p| WireParameter { name: p.name.to_owned(), data_type: p.data_type.to_string() })
            .collect(),
        volatility: if F::VOLATILE { Volatility::Volatile } else { Volatility::Immutable },
    }
}

pub fn open<F: Filter>(opened: &std::cell::OnceCell<F>, schema: &[u8], config: &str) -> Result<(), String> {
    // A trap carries no text; the host adds this line to its error.
    std::panic::set_hook(Box::new(|panic| log::error(&panic.to_string())));
    schema::check(schema, F::PARAMETERS)?;
    let filter = F::open(config)?;
    opened.set(filter).map_err(|_| "the plugin is open already".to_owned())
}

pub fn filter<F: Filter>(opened: &std::cell::OnceCell<F>, message: &[u8]) -> Result<Vec<u8>, String> {
    let filter = opened.get().ok_or("the plugin is not open")?;
    let batch = Batch::read(message, F::PARAMETERS)?;
    Ok(filter.filter(&batch)?.into_bytes())
}
