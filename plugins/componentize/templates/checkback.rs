//! Decides on orders whose producer is gone before it has said whether they stand. A half message's `keys` is the number of
//! an order, and the table of orders has its state: one that is paid stands, one that is cancelled does not. What the table
//! says nothing of is asked about again, 15 times or as often as the configuration says, and then dropped.

use millstream_plugin::{
    Batch, Capability, CheckVerdict, CheckbackHandler, Column, DataType, Lookup, Parameter, export_checkback,
};

// A table that rows are looked up in. CREATE PLUGIN … WITH (table.orders = '…') says which one that is.
const ORDERS: Lookup = Lookup {
    name: "orders",
    key: &[Parameter::new("number", DataType::Utf8)],
    columns: &[Parameter::new("state", DataType::Utf8)],
};

struct Orders {
    checks: i32,
}

impl CheckbackHandler for Orders {
    const NAME: &'static str = "PLUGIN_NAME";

    // The columns of the half messages that the plugin reads. `_checks` is how often a message was asked about before.
    const PARAMETERS: &'static [Parameter] =
        &[Parameter::new("keys", DataType::Utf8), Parameter::new("_checks", DataType::Int32)];

    const CAPABILITIES: &'static [Capability] = &[Capability::Table(ORDERS)];

    // Called once in each instance, with the text of WITH (config = '…').
    fn open(config: &str) -> Result<Self, String> {
        let checks = if config.is_empty() { "15" } else { config };
        Ok(Orders { checks: checks.parse().map_err(|_| format!("{checks:?} is not a number of checks"))? })
    }

    // Answers with a verdict for each row. After an error, such as that the table can't be read now, all are unknown.
    fn check(&self, batch: &Batch<'_>) -> Result<Vec<CheckVerdict>, String> {
        let (keys, checks) = (batch.utf8("keys")?, batch.primitive::<i32>("_checks")?);
        let found = ORDERS.find(&[Column::utf8((0..batch.rows()).map(|row| keys.get(row)))])?;
        let orders = found.batch()?;
        let states = orders.utf8("state")?;
        let verdict = |row: usize| match found.row_of(row).and_then(|order| states.get(order)) {
            Some("paid") => CheckVerdict::Commit,
            Some("cancelled") => CheckVerdict::Rollback,
            _ if checks.get(row).unwrap_or(0) < self.checks => CheckVerdict::Unknown,
            _ => CheckVerdict::Rollback,
        };
        Ok((0..batch.rows()).map(verdict).collect())
    }
}

export_checkback!(Orders);
