//! Catalog, schema, table and key listings, with the exact schemas that drivers check.

use std::sync::{Arc, LazyLock};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::sql::{Command, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTables, CommandGetXdbcTypeInfo};
use millstream_engine::{Engine, Principal};
use millstream_sql::SqlEngine;

use super::encode::plain_schema;
use super::error::{DoorError, Result};
use super::sql_info;

/// The namespace of the engine's own tables.
const SYSTEM: &str = "system";
const TABLE: &str = "TABLE";
const TOPIC: &str = "TOPIC";
const SYSTEM_TABLE: &str = "SYSTEM TABLE";

/// The one batch that answers a listing; `None` if the command is no listing.
pub(super) fn list(engine: &Engine, who: &Principal, command: Command) -> Result<Option<RecordBatch>> {
    let batch = match command {
        Command::CommandGetCatalogs(command) => {
            let mut builder = command.into_builder();
            builder.append(SqlEngine::catalog_name());
            builder.build().map_err(unbuilt)?
        }
        Command::CommandGetDbSchemas(command) => schemas(engine, who, command)?,
        Command::CommandGetTables(command) => tables(engine, who, command)?,
        Command::CommandGetTableTypes(command) => {
            let mut builder = command.into_builder();
            [SYSTEM_TABLE, TABLE, TOPIC].into_iter().for_each(|kind| builder.append(kind));
            builder.build().map_err(unbuilt)?
        }
        Command::CommandGetSqlInfo(CommandGetSqlInfo { info }) => sql_info::answer(info)?,
        Command::CommandGetXdbcTypeInfo(CommandGetXdbcTypeInfo { data_type }) => sql_info::types(data_type)?,
        // Tables have no keys in SQL's sense.
        Command::CommandGetPrimaryKeys(_) => RecordBatch::new_empty(Arc::clone(&PRIMARY_KEYS)),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => RecordBatch::new_empty(Arc::clone(&FOREIGN_KEYS)),
        _ => return Ok(None),
    };
    Ok(Some(batch))
}

fn schemas(engine: &Engine, who: &Principal, command: CommandGetDbSchemas) -> Result<RecordBatch> {
    let mut builder = command.into_builder();
    for namespace in engine.namespaces(who)?.iter().map(String::as_str).filter(|name| *name != SYSTEM).chain([SYSTEM]) {
        builder.append(SqlEngine::catalog_name(), namespace);
    }
    builder.build().map_err(unbuilt)
}

fn tables(engine: &Engine, who: &Principal, command: CommandGetTables) -> Result<RecordBatch> {
    let mut builder = command.into_builder();
    let mut add = |namespace: &str, name: &str, kind: &str, schema: &SchemaRef| {
        builder.append(SqlEngine::catalog_name(), namespace, name, kind, &plain_schema(schema)).map_err(unbuilt)
    };
    for table in engine.tables(who)? {
        let kind = if table.namespace == SYSTEM { SYSTEM_TABLE } else { TABLE };
        add(&table.namespace, &table.name, kind, table.schema())?;
    }
    for topic in engine.topics(who)? {
        add(&topic.namespace, &topic.name, TOPIC, &topic.output_schema)?;
    }
    for (name, schema) in SqlEngine::system_tables() {
        add(SYSTEM, name, SYSTEM_TABLE, &schema)?;
    }
    builder.build().map_err(unbuilt)
}

fn unbuilt(error: arrow_flight::error::FlightError) -> DoorError {
    DoorError::internal(error.to_string())
}

static PRIMARY_KEYS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("key_name", DataType::Utf8, true),
    ]))
});

static FOREIGN_KEYS: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
});
