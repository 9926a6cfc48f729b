//! Bulk ingest (`adbc_ingest`): a stream of record batches into a table, which may be made for it.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use arrow_flight::sql::{CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption};
use futures::StreamExt;
use millstream_engine::{
    Append, Engine, ErrorKind, PartitionChoice, PendingReceipt, Principal, TableInfo, TableOptions, TableSpec,
};
use millstream_sql::SqlEngine;

use super::blocking::blocking;
use super::decode::{Decoded, Decoder};
use super::error::{DoorError, Result};
use super::forward::Messages;
use super::sessions::Caller;
use crate::Door;

/// Appends under way before the next is waited for.
const MAX_IN_FLIGHT: usize = 64;

/// Appends everything that arrives and gives the number of rows. Batches are durable one by one: when one fails, the ones
/// before it stay.
pub(super) async fn ingest(
    door: &Door,
    caller: &Caller,
    command: CommandStatementIngest,
    mut incoming: Messages,
) -> Result<i64> {
    let target = Arc::new(Target::new(caller, command)?);
    let who = caller.session.principal().clone();
    let mut decoder = Decoder::default();
    let mut table: Option<Arc<TableInfo>> = None;
    let mut under_way: VecDeque<PendingReceipt> = VecDeque::new();
    let mut rows = 0i64;
    while let Some(data) = incoming.next().await {
        let data = data?;
        let (engine, who, target, known) = (door.engine.clone(), who.clone(), Arc::clone(&target), table.clone());
        let step = blocking(&door.queries, move || step(&engine, &who, &target, known, decoder, &data));
        let taken = step.await?;
        (decoder, table) = (taken.decoder, taken.table);
        rows += taken.rows;
        under_way.extend(taken.receipts);
        while under_way.len() > MAX_IN_FLIGHT
            && let Some(receipt) = under_way.pop_front()
        {
            receipt.await?;
        }
    }
    for receipt in under_way {
        receipt.await?;
    }
    if table.is_none() {
        return Err(DoorError::invalid("the stream ended before its schema"));
    }
    Ok(rows)
}

struct Taken {
    decoder: Decoder,
    table: Option<Arc<TableInfo>>,
    receipts: Vec<PendingReceipt>,
    rows: i64,
}

fn step(
    engine: &Engine,
    who: &Principal,
    target: &Target,
    mut table: Option<Arc<TableInfo>>,
    mut decoder: Decoder,
    data: &arrow_flight::FlightData,
) -> Result<Taken> {
    let decoded = decoder.decode(data)?;
    if let Decoded::Schema(schema) = &decoded {
        let opened = target.open(engine, who, schema)?;
        engine.check_columns(who, opened.id, schema)?;
        table = Some(opened);
    }
    let (mut receipts, mut rows) = (Vec::new(), 0);
    if let (Decoded::Batch(batch), Some(table)) = (decoded, &table) {
        rows = batch.num_rows() as i64;
        for batch in engine.split_for_append(&batch) {
            let append = Append { table: table.id, partition: PartitionChoice::ByKey, batch };
            receipts.push(engine.append(who, append, None)?);
        }
    }
    Ok(Taken { decoder, table, receipts, rows })
}

/// Where the rows go, and what to do about a table that is there or is not.
struct Target {
    namespace: String,
    name: String,
    create: bool,
    exists: TableExistsOption,
}

impl Target {
    fn new(caller: &Caller, command: CommandStatementIngest) -> Result<Target> {
        if command.temporary {
            return Err(DoorError::unsupported("there are no temporary tables; ingest into a table that stays"));
        }
        if command.transaction_id.is_some() {
            return Err(DoorError::unsupported("there are no transactions; each batch is durable by itself"));
        }
        let catalog = command.catalog.unwrap_or_default();
        if !catalog.is_empty() && catalog != SqlEngine::catalog_name() {
            return Err(DoorError::new(ErrorKind::NotFound, format!("catalog {catalog:?} does not exist")));
        }
        let options = command.table_definition_options.unwrap_or(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Fail.into(),
            if_exists: TableExistsOption::Append.into(),
        });
        let unspecified = || DoorError::invalid("the table definition options are not specified");
        let create = match TableNotExistOption::try_from(options.if_not_exist) {
            Ok(TableNotExistOption::Create) => true,
            Ok(TableNotExistOption::Fail) => false,
            _ => return Err(unspecified()),
        };
        let exists = match TableExistsOption::try_from(options.if_exists) {
            Ok(TableExistsOption::Unspecified) | Err(_) => return Err(unspecified()),
            Ok(option) => option,
        };
        let namespace = command.schema.filter(|schema| !schema.is_empty());
        let namespace = namespace.unwrap_or_else(|| caller.session.namespace());
        Ok(Target { namespace, name: command.table, create, exists })
    }

    fn open(&self, engine: &Engine, who: &Principal, schema: &SchemaRef) -> Result<Arc<TableInfo>> {
        match engine.table(who, &self.namespace, &self.name) {
            Ok(table) => match self.exists {
                TableExistsOption::Append => return Ok(table),
                TableExistsOption::Replace => engine.drop_table(who, &self.namespace, &self.name, false)?,
                _ => {
                    let message = format!("table {:?} already exists", self.name);
                    return Err(DoorError::new(ErrorKind::AlreadyExists, message));
                }
            },
            Err(error) if error.kind() == ErrorKind::NotFound && self.create => {}
            Err(error) => return Err(error.into()),
        }
        let time = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..));
        let time_column = schema.fields().iter().find(|field| !field.is_nullable() && time(field.data_type()));
        let options =
            TableOptions { time_column: time_column.map(|field| field.name().clone()), ..TableOptions::default() };
        let (namespace, name) = (self.namespace.clone(), self.name.clone());
        Ok(engine.create_table(who, TableSpec { namespace, name, schema: Arc::clone(schema), options })?)
    }
}
