//! The tables that a cluster's topics have become.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};

use crate::cli::client::Client;
use crate::cli::exit::Failure;

/// A message table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) namespace: String,
    pub(super) table: String,
    pub(super) kind: String,
    pub(super) partitions: u32,
    /// No message was ever in it.
    pub(super) is_empty: bool,
}

impl Target {
    /// A table that would be made.
    pub(super) fn planned((namespace, table): &(String, String), partitions: u32) -> Target {
        Target {
            namespace: namespace.clone(),
            table: table.clone(),
            kind: "any".to_owned(),
            partitions,
            is_empty: true,
        }
    }
}

/// All message tables, by namespace and name.
pub(super) type Targets = HashMap<(String, String), Target>;

pub(super) async fn targets(client: &Client) -> Result<Targets, Failure> {
    let statement = "SELECT t.namespace, t.name, t.messages, CAST(count(p.partition) AS BIGINT) AS partitions, \
                     CAST(max(p.end_offset) AS BIGINT) AS longest \
                     FROM system.tables t JOIN system.partitions p ON p.namespace = t.namespace AND p.table_name = t.name \
                     WHERE t.messages IS NOT NULL GROUP BY t.namespace, t.name, t.messages";
    let mut targets = Targets::new();
    for batch in client.run(statement).await? {
        add(&batch, &mut targets).ok_or_else(|| Failure::failed("system.tables has other columns than it had"))?;
    }
    Ok(targets)
}

fn add(batch: &RecordBatch, targets: &mut Targets) -> Option<()> {
    let text = |at: usize| batch.column(at).as_string_opt::<i32>();
    let number = |at: usize| arrow::compute::cast(batch.column(at), &DataType::Int64).ok();
    let (namespaces, names, kinds) = (text(0)?, text(1)?, text(2)?);
    let (partitions, longest) = (number(3)?, number(4)?);
    for row in 0..batch.num_rows() {
        let (namespace, table) = (namespaces.value(row).to_owned(), names.value(row).to_owned());
        let target = Target {
            namespace: namespace.clone(),
            table: table.clone(),
            kind: kinds.value(row).to_owned(),
            partitions: u32::try_from(partitions.as_primitive::<Int64Type>().value(row)).ok()?,
            is_empty: longest.is_valid(row) && longest.as_primitive::<Int64Type>().value(row) == 0,
        };
        targets.insert((namespace, table), target);
    }
    Some(())
}
