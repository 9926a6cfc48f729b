//! Transforms.

use std::cell::OnceCell;

use super::{parameters, plugin};
use crate::bindings::transform::exports::millstream::plugin::batch_transform::{Description, Output as WireOutput};
use crate::{Batch, Column, DataType, Parameter, message};

/// A transform: rows in, rows of other columns out.
///
/// An instance may be started for any share of the batches and be dropped at any time, so what comes of a row may depend
/// on that row and the configuration alone. A panic ends the instance and fails the call with the panic's message.
pub trait Transform: Sized + 'static {
    /// What the plugin calls itself; 1 to 128 bytes.
    const NAME: &'static str;

    /// The columns it reads. Nothing else is sent.
    const PARAMETERS: &'static [Parameter];

    /// Called once, with the text of `WITH (config = '…')`. An error refuses the configuration.
    fn open(config: &str) -> Result<Self, String>;

    /// Names and types of the columns that come out, 1 to 256; the same for the same configuration.
    fn columns(&self) -> Vec<(String, DataType)>;

    /// Answers with the rows that come of a batch. An error says what is wrong with its rows.
    fn transform(&self, batch: &Batch<'_>) -> Result<Output, String>;
}

/// What comes of a batch.
pub struct Output {
    columns: Vec<Column>,
    rows: Vec<u32>,
}

impl Output {
    /// `columns` are those of [`Transform::columns`], in their order. `rows` says for each row that comes out from which
    /// row of the batch it comes; it never decreases.
    pub fn new(rows: Vec<u32>, columns: Vec<Column>) -> Output {
        Output { columns, rows }
    }
}

/// Exports a [`Transform`] as this crate's plugin. Use it once, at the top level.
#[macro_export]
macro_rules! export_transform {
    ($transform:ty) => {
        const _: () = {
            use $crate::bindings::transform::exports::millstream::plugin::batch_transform;

            std::thread_local! {
                static OPENED: std::cell::OnceCell<$transform> = const { std::cell::OnceCell::new() };
            }

            struct Exported;

            impl batch_transform::Guest for Exported {
                fn describe() -> batch_transform::Description {
                    $crate::export::describe_transform::<$transform>()
                }

                fn open(schema: Vec<u8>, config: String) -> Result<Vec<u8>, String> {
                    OPENED.with(|opened| $crate::export::open_transform(opened, &schema, &config))
                }

                fn transform(batch: Vec<u8>) -> Result<batch_transform::Output, String> {
                    OPENED.with(|opened| $crate::export::transform(opened, &batch))
                }
            }

    $crate::bindings::transform::export!(Exported with_types_in $crate::bindings::transform);
        };
    };
}

pub fn describe_transform<T: Transform>() -> Description {
    Description { name: T::NAME.to_owned(), parameters: parameters(T::PARAMETERS), capabilities: Vec::new() }
}

pub fn open_transform<T: Transform>(opened: &OnceCell<T>, schema: &[u8], config: &str) -> Result<Vec<u8>, String> {
    super::open(opened, schema, T::PARAMETERS, || T::open(config))?;
    Ok(message::schema(&plugin(opened)?.columns()))
}

pub fn transform<T: Transform>(opened: &OnceCell<T>, message: &[u8]) -> Result<WireOutput, String> {
    let transform = plugin(opened)?;
    let Output { columns, rows } = transform.transform(&Batch::read(message, T::PARAMETERS)?)?;
    let declared = transform.columns();
    assert_eq!(columns.len(), declared.len(), "as many columns must come out as are declared");
    for (column, (name, data_type)) in columns.iter().zip(&declared) {
        assert!(
            column.fits(*data_type) && column.rows() == rows.len(),
            "column {name:?} has {} {}, and must have {} {data_type}",
            column.rows(),
            column.made_of(),
            rows.len()
        );
    }
    Ok(WireOutput { batch: message::record_batch(&columns, rows.len()), rows })
}
