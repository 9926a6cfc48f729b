//! Checkback handlers.

use std::cell::OnceCell;

use super::{capabilities, parameters, plugin};
use crate::bindings::checkback::exports::millstream::plugin::checkback::{Description, Verdict as WireVerdict};
use crate::{Batch, Capability, Parameter};

/// A checkback handler: half messages in, a verdict for each out.
///
/// It is asked about transactions whose producer has not said how they ended, and about the same one again as long as it
/// does not know. A panic ends the instance and fails the call with the panic's message.
pub trait CheckbackHandler: Sized + 'static {
    /// What the plugin calls itself; 1 to 128 bytes.
    const NAME: &'static str;

    /// The columns of the half messages that it reads. `_checks` (`Int32`), how often a message was asked about before, may
    /// be among them.
    const PARAMETERS: &'static [Parameter];

    /// What it uses beside the half messages, such as [`Capability::Table`].
    const CAPABILITIES: &'static [Capability] = &[];

    /// Called once, with the text of `WITH (config = '…')`. An error refuses the configuration.
    fn open(config: &str) -> Result<Self, String>;

    /// Answers with as many verdicts as the batch has rows. After an error all of them are unknown.
    fn check(&self, batch: &Batch<'_>) -> Result<Vec<CheckVerdict>, String>;
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckVerdict {
    /// The message becomes visible.
    Commit,
    /// The message is dropped.
    Rollback,
    /// It is not known yet; the message is asked about again later, a bounded number of times.
    Unknown,
}

/// Exports a [`CheckbackHandler`] as this crate's plugin. Use it once, at the top level.
#[macro_export]
macro_rules! export_checkback {
    ($handler:ty) => {
        const _: () = {
            use $crate::bindings::checkback::exports::millstream::plugin::checkback;

            std::thread_local! {
                static OPENED: std::cell::OnceCell<$handler> = const { std::cell::OnceCell::new() };
            }

            struct Exported;

            impl checkback::Guest for Exported {
                fn describe() -> checkback::Description {
                    $crate::export::describe_checkback::<$handler>()
                }

                fn open(schema: Vec<u8>, config: String) -> Result<(), String> {
                    let parameters = <$handler as $crate::CheckbackHandler>::PARAMETERS;
                    let start = || <$handler as $crate::CheckbackHandler>::open(&config);
                    OPENED.with(|opened| $crate::export::open(opened, &schema, parameters, start))
                }

                fn check(batch: Vec<u8>) -> Result<Vec<checkback::Verdict>, String> {
                    OPENED.with(|opened| $crate::export::check(opened, &batch))
                }
            }

    $crate::bindings::checkback::export!(Exported with_types_in $crate::bindings::checkback);
        };
    };
}

pub fn describe_checkback<H: CheckbackHandler>() -> Description {
    Description {
        name: H::NAME.to_owned(),
        parameters: parameters(H::PARAMETERS),
        capabilities: capabilities(H::CAPABILITIES),
    }
}

pub fn check<H: CheckbackHandler>(opened: &OnceCell<H>, message: &[u8]) -> Result<Vec<WireVerdict>, String> {
    let batch = Batch::read(message, H::PARAMETERS)?;
    let verdict = |verdict| match verdict {
        CheckVerdict::Commit => WireVerdict::Commit,
        CheckVerdict::Rollback => WireVerdict::Rollback,
        CheckVerdict::Unknown => WireVerdict::Unknown,
    };
    Ok(plugin(opened)?.check(&batch)?.into_iter().map(verdict).collect())
}
