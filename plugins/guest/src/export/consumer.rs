//! Consumers.

use std::cell::OnceCell;

use super::{capabilities, parameters, plugin};
use crate::bindings::consumer::exports::millstream::plugin::batch_consumer::{
    Answer as WireAnswer, Description, Output as WireTable, Position as WirePosition, RowVerdict as WireRowVerdict,
    Rows as WireRows, Verdict as WireVerdict,
};
use crate::{Batch, Capability, Column, Parameter, message};

/// A consumer: it follows a topic, one partition in order, and gives rows for tables.
///
/// Rows come batch after batch, in the order of their offsets; after a failure they come again, cut into other batches.
/// What is kept in `self` may be lost at any time: what must last belongs into [`crate::state`]. A panic ends the instance
/// and fails the call with the panic's message.
pub trait Consumer: Sized + 'static {
    /// What the plugin calls itself; 1 to 128 bytes.
    const NAME: &'static str;

    /// The columns it reads. `_partition` (`Int32`), `_offset` (`Int64`) and `_append_ts` (a timestamp in microseconds,
    /// UTC) may be among them.
    const PARAMETERS: &'static [Parameter];

    /// The tables it writes to; the operator says which tables those are.
    const OUTPUTS: &'static [Table];

    /// What it uses beside its rows.
    const CAPABILITIES: &'static [Capability] = &[Capability::State];

    /// Called once, with the text of `WITH (config = '…')`. An error refuses the configuration.
    fn open(config: &str) -> Result<Self, String>;

    /// Takes a batch. An error gives the whole batch back, to be tried again.
    fn consume(&self, batch: &Batch<'_>, position: &Position) -> Result<Answer, String>;
}

/// A table that a consumer writes to.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    pub name: &'static str,
    /// The columns it gives; those of the table that are missing here become null.
    pub columns: &'static [Parameter],
}

/// Where a batch comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub topic: String,
    pub partition: u32,
    /// The offset the partition was read from. The first row may have a higher one.
    pub first_offset: u64,
    /// The offset that is committed once the batch is done.
    pub next_offset: u64,
}

/// What is to become of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Done,
    /// They should be given again, later; the text says why. Nothing of the call is kept.
    Retry(String),
    /// They are given up; the text says why.
    DeadLetter(String),
}

/// What comes of a batch.
pub struct Answer {
    outputs: Vec<(usize, Vec<Column>)>,
    verdict: Verdict,
    exceptions: Vec<(u32, Verdict)>,
}

impl Answer {
    /// Every row is done.
    pub fn done() -> Answer {
        Answer { outputs: Vec::new(), verdict: Verdict::Done, exceptions: Vec::new() }
    }

    /// Another verdict about every row.
    pub fn verdict(verdict: Verdict) -> Answer {
        Answer { verdict, ..Answer::done() }
    }

    /// Adds rows for the output of that place in [`Consumer::OUTPUTS`]: its columns, in their order.
    pub fn rows(mut self, output: usize, columns: Vec<Column>) -> Answer {
        self.outputs.push((output, columns));
        self
    }

    /// A verdict about one row. Exceptions are added in the order of the rows.
    pub fn except(mut self, row: u32, verdict: Verdict) -> Answer {
        self.exceptions.push((row, verdict));
        self
    }
}

/// Exports a [`Consumer`] as this crate's plugin. Use it once, at the top level.
#[macro_export]
macro_rules! export_consumer {
    ($consumer:ty) => {
        const _: () = {
            use $crate::bindings::consumer::exports::millstream::plugin::batch_consumer;

            std::thread_local! {
                static OPENED: std::cell::OnceCell<$consumer> = const { std::cell::OnceCell::new() };
            }

            struct Exported;

            impl batch_consumer::Guest for Exported {
                fn describe() -> batch_consumer::Description {
                    $crate::export::describe_consumer::<$consumer>()
                }

                fn open(schema: Vec<u8>, config: String) -> Result<(), String> {
                    OPENED.with(|opened| {
                        let parameters = <$consumer as $crate::Consumer>::PARAMETERS;
                        $crate::export::open(opened, &schema, parameters, || {
                            <$consumer as $crate::Consumer>::open(&config)
                        })
                    })
                }

                fn consume(
                    batch: Vec<u8>,
                    position: batch_consumer::Position,
                ) -> Result<batch_consumer::Answer, String> {
                    OPENED.with(|opened| $crate::export::consume(opened, &batch, position))
                }
    }

            $crate::bindings::consumer::export!(Exported with_types_in $crate::bindings::consumer);
        };
    };
}

pub fn describe_consumer<C: Consumer>() -> Description {
    let table = |table: &Table| WireTable { name: table.name.to_owned(), columns: parameters(table.columns) };
    Description {
        name: C::NAME.to_owned(),
        parameters: parameters(C::PARAMETERS),
        outputs: C::OUTPUTS.iter().map(table).collect(),
        capabilities: capabilities(C::CAPABILITIES),
    }
}

pub fn consume<C: Consumer>(opened: &OnceCell<C>, batch: &[u8], position: WirePosition) -> Result<WireAnswer, String> {
    let WirePosition { topic, partition, first_offset, next_offset } = position;
    let position = Position { topic, partition, first_offset, next_offset };
    let batch = Batch::read(batch, C::PARAMETERS)?;
    let Answer { outputs, verdict, exceptions } = plugin(opened)?.consume(&batch, &position)?;
    let exceptions = exceptions.into_iter().map(|(row, verdict)| WireRowVerdict { row, verdict: wire(verdict) });
    Ok(WireAnswer {
        outputs: outputs.into_iter().map(|(output, columns)| rows(C::OUTPUTS, output, &columns)).collect(),
        verdict: wire(verdict),
        exceptions: exceptions.collect(),
    })
}

fn rows(tables: &[Table], output: usize, columns: &[Column]) -> WireRows {
    let table = tables.get(output).unwrap_or_else(|| panic!("output {output} is not declared"));
    let count = columns.first().map_or(0, Column::rows);
    assert_eq!(columns.len(), table.columns.len(), "{:?} is declared with another number of columns", table.name);
    for (column, declared) in columns.iter().zip(table.columns) {
        assert!(
            column.fits(declared.data_type) && column.rows() == count,
            "column {:?} has {} {}, and must have {count} {}",
            declared.name,
            column.rows(),
            column.made_of(),
            declared.data_type
        );
    }
    let output = u32::try_from(output).expect("16 outputs at most");
    WireRows { output, batch: message::record_batch(columns, count) }
}

fn wire(verdict: Verdict) -> WireVerdict {
    match verdict {
        Verdict::Done => WireVerdict::Done,
        Verdict::Retry(why) => WireVerdict::Retry(why),
        Verdict::DeadLetter(why) => WireVerdict::DeadLetter(why),
    }
}
