//! CREATE, ALTER and DROP TABLE.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::sql::sqlparser::ast::{ColumnDef, ColumnOption, ObjectName};
use millstream_engine::{ColumnSpec, Durability, Error as EngineError, MessageKind, TableOptions, TableSpec};

use super::define::writable;
use super::groups::micros;
use super::{Scene, done};
use crate::names::{fold, ident_position};
use crate::parse::{AlterTable, CreateTable, Options, TableColumns};
use crate::types::from_sql;
use crate::{Error, Outcome, Result, pseudo};

const KNOWN: &[&str] = &[
    "time_column",
    "partitions",
    "partition_key",
    "retention",
    "retention_bytes",
    "durability",
    "watermark_delay",
    "max_lead",
];
const KNOWN_OF_MESSAGES: &[&str] = &["kind"];

pub(super) fn create_table(scene: &Scene, create: CreateTable) -> Result<Outcome> {
    let name = writable(scene, &create.name)?;
    let spec = match create.columns {
        TableColumns::OfMessages => {
            let mut options = create.options;
            let kind = message_kind(options.text("kind")?)?;
            let options = table_options(options, &[KNOWN_OF_MESSAGES, KNOWN].concat())?;
            TableSpec::of_messages(&name.namespace, &name.name, kind, options)
        }
        TableColumns::Listed(columns) => {
            let fields = columns.iter().map(|column| field(column, true)).collect::<Result<Vec<_>>>()?;
            if fields.is_empty() {
                let message = "a table has at least one column".to_owned();
                return Err(Error::Invalid { message, position: crate::names::position(&create.name) });
            }
            let (namespace, schema) = (name.namespace, Arc::new(Schema::new(fields)));
            let options = table_options(create.options, KNOWN)?;
            TableSpec { namespace, name: name.name.clone(), schema, options }
        }
    };
    match scene.engine().create_table(scene.who(), spec) {
        Err(EngineError::AlreadyExists { .. }) if create.if_not_exists => {
            done(format!("table {:?} was there", name.name))
        }
        Err(error) => Err(error.into()),
        Ok(_) => done(format!("table {:?} created", name.name)),
    }
}

fn message_kind(name: Option<String>) -> Result<MessageKind> {
    let Some(name) = name else { return Ok(MessageKind::default()) };
    MessageKind::named(&name).ok_or_else(|| Error::Invalid {
        message: format!("kind is 'any', 'normal', 'ordered', 'delayed' or 'transactional', not {name:?}"),
        position: None,
    })
}

fn table_options(mut options: Options, known: &[&str]) -> Result<TableOptions> {
    let mut table = TableOptions { time_column: options.text("time_column")?, ..TableOptions::default() };
    if let Some(partitions) = options.number("partitions")? {
        table.partitions = partition_count(partitions)?;
    }
    if let Some(columns) = options.names("partition_key")? {
        table.partition_key = columns;
    }
    if let Some((value, position)) = options.take("retention") {
        let forever = matches!(&value, crate::parse::OptionValue::Text(text)
            if ["forever", "none"].contains(&text.to_ascii_lowercase().as_str()));
        table.retention_ms = match forever {
            true => None,
            false => {
                options.put_back("retention", value, position);
                options.duration_ms("retention")?
            }
        };
    }
    table.retention_bytes = options.bytes("retention_bytes")?;
    match options.text("durability")?.as_deref() {
        None | Some("sync") => {}
        Some("os") => table.durability = Durability::Os,
        Some(other) => {
            let message = format!("durability is 'sync' or 'os', not {other:?}");
            return Err(Error::Invalid { message, position: None });
        }
    }
    if let Some(ms) = options.duration_ms("watermark_delay")? {
        table.watermark_delay_ms = ms;
    }
    if let Some(ms) = options.duration_ms("max_lead")? {
        table.max_lead_ms = ms;
    }
    options.finish("CREATE TABLE", known)?;
    Ok(table)
}

fn partition_count(number: u64) -> Result<u32> {
    let count = u32::try_from(number).ok().filter(|count| (1..=65_536).contains(count));
    count.ok_or_else(|| Error::Invalid { message: format!("partitions is 1 to 65536, not {number}"), position: None })
}

/// A column definition as a field. Added columns can't be NOT NULL: older rows read as null.
fn field(column: &ColumnDef, may_be_not_null: bool) -> Result<Field> {
    let name = fold(&column.name);
    let position = ident_position(&column.name);
    let invalid = |message: String| Err(Error::Invalid { message, position });
    if pseudo::is_pseudo(&name) {
        return invalid(format!("{name} is a pseudo-column of every table; choose another name"));
    }
    let Some(data_type) = from_sql(&column.data_type) else {
        return invalid(format!(
            "column {name} is of type {}, which can't be stored; types are BOOLEAN, TINYINT to BIGINT [UNSIGNED], REAL, \
             DOUBLE, DECIMAL(p, s), DATE, TIMESTAMP[(0|3|6|9)] [WITH TIME ZONE], VARCHAR, BYTEA, ARRAY<…>, STRUCT<…> \
             and MAP(…, …)",
            column.data_type
        ));
    };
    let mut nullable = true;
    for option in &column.options {
        match option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull if may_be_not_null => nullable = false,
            ColumnOption::NotNull => {
                return invalid(format!("column {name} can't be NOT NULL: older rows have no value for it"));
            }
            _ => return invalid(format!("column {name}: {} is not offered", option.option)),
        }
    }
    Ok(Field::new(name, data_type, nullable))
}

pub(super) fn alter_table(scene: &Scene, name: &ObjectName, change: AlterTable) -> Result<Outcome> {
    let name = writable(scene, name)?;
    let (engine, who) = (scene.engine(), scene.who());
    match change {
        AlterTable::Set { mut options } => {
            let partitions = options.number("partitions")?;
            options.finish("ALTER TABLE … SET", &["partitions"])?;
            let Some(partitions) = partitions else { return done("nothing to set") };
            let table = engine.set_partitions(who, &name.namespace, &name.name, partition_count(partitions)?)?;
            done(format!("table {:?} has {} partitions", name.name, table.options.partitions))
        }
        AlterTable::AdvanceWatermark { to } => {
            engine.advance_watermark(who, &name.namespace, &name.name, micros(&to)?)?;
            done(format!("watermark of table {:?} advanced to {to}", name.name))
        }
        AlterTable::AddColumns { columns } => {
            let table = engine.table(who, &name.namespace, &name.name)?;
            let mut added = Vec::new();
            for (column, if_not_exists) in &columns {
                let field = field(column, false)?;
                if *if_not_exists && table.schema().field_with_name(field.name()).is_ok() {
                    continue;
                }
                added.push(ColumnSpec { name: field.name().clone(), data_type: field.data_type().clone() });
            }
            if added.is_empty() {
                return done(format!("table {:?} has these columns", name.name));
            }
            let names: Vec<_> = added.iter().map(|column| format!("{:?}", column.name)).collect();
            let table = engine.add_columns(who, &name.namespace, &name.name, added)?;
            let (names, version) = (names.join(", "), table.schema_version());
            done(format!("column {names} added to table {:?}, schema version {version}", name.name))
        }
    }
}

pub(super) fn drop_table(scene: &Scene, name: &ObjectName, if_exists: bool, force: bool) -> Result<Outcome> {
    let name = writable(scene, name)?;
    match scene.engine().drop_table(scene.who(), &name.namespace, &name.name, force) {
        Err(EngineError::NotFound { .. }) if if_exists => done(format!("table {:?} was not there", name.name)),
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("table {:?} dropped", name.name)),
    }
}
