//! Functions.

use std::cell::OnceCell;

use super::{capabilities, parameters, plugin};
use crate::bindings::function::exports::millstream::plugin::scalar_function::{Description, Volatility};
use crate::{Batch, Capability, Column, DataType, Parameter, message};

/// A function: columns in, one column out, a value for each row.
///
/// An instance may be started for any share of the batches and be dropped at any time, so a value may depend on its row
/// and the configuration alone. A panic ends the instance and fails the call with the panic's message.
pub trait Function: Sized + 'static {
    /// What the plugin calls itself; 1 to 128 bytes.
    const NAME: &'static str;

    /// What it takes, in order. Arguments are cast to these types.
    const PARAMETERS: &'static [Parameter];

    /// The type of the column that it gives.
    const RETURNS: DataType;

    /// True when equal arguments may get different answers. Topics refuse such a function.
    const VOLATILE: bool = false;

    /// What it needs beside its arguments; only a volatile function may ask.
    const CAPABILITIES: &'static [Capability] = &[];

    /// Called once, with the text of `WITH (config = '…')`. An error refuses the configuration.
    fn open(config: &str) -> Result<Self, String>;

    /// Answers with as many rows as the batch has. An error says what is wrong with the rows.
    fn call(&self, batch: &Batch<'_>) -> Result<Column, String>;
}

/// Exports a [`Function`] as this crate's plugin. Use it once, at the top level.
#[macro_export]
macro_rules! export_function {
    ($function:ty) => {
        const _: () = {
            use $crate::bindings::function::exports::millstream::plugin::scalar_function;

            std::thread_local! {
                static OPENED: std::cell::OnceCell<$function> = const { std::cell::OnceCell::new() };
            }

            struct Exported;

            impl scalar_function::Guest for Exported {
                fn describe() -> scalar_function::Description {
                    $crate::export::describe_function::<$function>()
                }

                fn open(schema: Vec<u8>, config: String) -> Result<(), String> {
                    let parameters = <$function as $crate::Function>::PARAMETERS;
                    let start = || <$function as $crate::Function>::open(&config);
                    OPENED.with(|opened| $crate::export::open(opened, &schema, parameters, start))
                }

                fn call(batch: Vec<u8>) -> Result<Vec<u8>, String> {
                    OPENED.with(|opened| $crate::export::call(opened, &batch))
                }
            }

    $crate::bindings::function::export!(Exported with_types_in $crate::bindings::function);
        };
    };
}

pub fn describe_function<F: Function>() -> Description {
    Description {
        name: F::NAME.to_owned(),
        parameters: parameters(F::PARAMETERS),
        returns: F::RETURNS.to_string(),
        volatility: if F::VOLATILE { Volatility::Volatile } else { Volatility::Immutable },
        capabilities: capabilities(F::CAPABILITIES),
    }
}

pub fn call<F: Function>(opened: &OnceCell<F>, message: &[u8]) -> Result<Vec<u8>, String> {
    let function = plugin(opened)?;
    let batch = Batch::read(message, F::PARAMETERS)?;
    let answer = function.call(&batch)?;
    assert!(
        answer.fits(F::RETURNS) && answer.rows() == batch.rows(),
        "the answer is a column of {} {}, and must be one of {} {}",
        answer.rows(),
        answer.made_of(),
        batch.rows(),
        F::RETURNS
    );
    Ok(message::record_batch(&[answer], batch.rows()))
}
