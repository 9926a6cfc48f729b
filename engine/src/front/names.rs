//! Names that can be given, and what tables can be.

use arrow_schema::{DataType, Schema};

use crate::model::{
    Error, MIN_CPU_MILLI, NamespaceLimit, NamespaceLimitChanges, Result, SYSTEM_NAMESPACE, TableOptions,
    check_message_table,
};
use crate::write::hashable;

const MAX_NAME_BYTES: usize = 255;
const MAX_PARTITIONS: u32 = 65_536;
const MAX_KEY_COLUMNS: usize = 16;
/// Past this, times in µs would not fit 64 bits.
const MAX_RETENTION_MS: u64 = i64::MAX as u64 / 1_000 / 2;

/// 1 to 255 bytes, without control characters (NUL is one) and '/'.
pub(super) fn check_name(what: &str, name: &str) -> Result<()> {
    let wrong = |why: &str| Err(Error::InvalidInput(format!("{what} name {name:?} {why}")));
    if name.is_empty() {
        return wrong("is empty");
    }
    if name.len() > MAX_NAME_BYTES {
        return Err(Error::InvalidInput(format!(
            "{what} name is {} bytes long, at most {MAX_NAME_BYTES} are taken",
            name.len()
        )));
    }
    match name.chars().find(|c| c.is_control() || *c == '/') {
        Some(c) => wrong(&format!("has the character {c:?}, which names can't have")),
        None => Ok(()),
    }
}

/// A namespace in which something is to be defined.
pub(super) fn check_namespace(name: &str) -> Result<()> {
    check_name("namespace", name)?;
    if name == SYSTEM_NAMESPACE {
        return Err(Error::InvalidInput(format!(
            "namespace {name:?} is the engine's own: nothing can be created in it"
        )));
    }
    Ok(())
}

/// One that is to be changed.
pub(super) fn check_namespace_of_users(name: &str) -> Result<()> {
    match name == SYSTEM_NAMESPACE {
        true => Err(Error::NotFound { what: "namespace", name: name.to_owned() }),
        false => Ok(()),
    }
}

pub(super) fn check_namespace_limits(limits: &NamespaceLimitChanges) -> Result<()> {
    if limits.contains_key(&NamespaceLimit::Connections) {
        return Err(Error::InvalidInput("connections is a limit of users, and not of namespaces".to_owned()));
    }
    let low = limits.iter().find(|(limit, value)| value.is_some_and(|value| value < limit.least()));
    let Some((limit, _)) = low else { return Ok(()) };
    let least = match limit {
        NamespaceLimit::PluginCpu => format!("{} of a core", f64::from(MIN_CPU_MILLI) / 1e3),
        limit => limit.least().to_string(),
    };
    Err(Error::InvalidInput(format!("{} must be at least {least}", limit.name())))
}

pub(super) fn check_partitions(partitions: u32) -> Result<()> {
    if (1..=MAX_PARTITIONS).contains(&partitions) {
        return Ok(());
    }
    Err(Error::InvalidInput(format!("a table has 1 to {MAX_PARTITIONS} partitions, not {partitions}")))
}

pub(super) fn check_options(options: &TableOptions, schema: &Schema) -> Result<()> {
    check_partitions(options.partitions)?;
    check_message_table(options.messages, schema, &options.partition_key)?;
    if let Some(name) = &options.time_column {
        let field = column("time_column", schema, name)?;
        if !matches!(field.data_type(), DataType::Timestamp(_, _)) || field.is_nullable() {
            let nullable = if field.is_nullable() { "nullable " } else { "" };
            return Err(Error::InvalidInput(format!(
                "time_column {name:?} must be a NOT NULL timestamp, it is a {nullable}{}",
                field.data_type()
            )));
        }
    }
    check_key(&options.partition_key, schema)?;
    match options.retention_ms {
        Some(ms) if !(1..=MAX_RETENTION_MS).contains(&ms) => Err(Error::InvalidInput(format!(
            "retention of {ms} ms is outside 1 to {MAX_RETENTION_MS}; leave it out to keep rows for ever"
        ))),
        _ if options.retention_bytes == Some(0) => {
            Err(Error::InvalidInput("retention_bytes must be at least 1".to_owned()))
        }
        _ => Ok(()),
    }
}

fn check_key(key: &[String], schema: &Schema) -> Result<()> {
    if key.len() > MAX_KEY_COLUMNS {
        let count = key.len();
        return Err(Error::InvalidInput(format!("a partition key has at most {MAX_KEY_COLUMNS} columns, not {count}")));
    }
    for (index, name) in key.iter().enumerate() {
        let field = column("partition_key", schema, name)?;
        if !hashable(field.data_type()) {
            return Err(Error::InvalidInput(format!(
                "partition_key column {name:?} is {}; a key takes booleans, integers, decimals, dates, timestamps, text and \
                 binary",
                field.data_type()
            )));
        }
        if key.iter().take(index).any(|other| other == name) {
            return Err(Error::InvalidInput(format!("partition_key names column {name:?} twice")));
        }
    }
    Ok(())
}

fn column<'a>(option: &str, schema: &'a Schema, name: &str) -> Result<&'a arrow_schema::Field> {
    let found = schema.field_with_name(name);
    found.map_err(|_| Error::InvalidInput(format!("{option} {name:?} is not a column of the table")))
}
