//! Bulk ingest (`adbc_ingest`): a stream of record batches into a table, which may be made for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use arrow::datatypes::{DataType, SchemaRef};
use arrow_flight::sql::{CommandStatementIngest, TableDefinitionOptions, TableExistsOption, TableNotExistOption};
use millstream_engine::{
    Append, Engine, ErrorKind, PartitionChoice, PendingReceipt, Principal, TableInfo, TableOptions, TableSpec, Tickets,
};
use millstream_sql::SqlEngine;
use tokio::runtime::Handle;

use super::blocking::blocking;
use super::decode::{Decoded, Decoder};
use super::error::{DoorError, Result};
use super::forward::Messages;
use super::intake::Intake;
use super::sessions::Caller;
use crate::door::Door;
use crate::net::vigil::Vigil;
use crate::quotas::until_appends;
use crate::work::Waits;

/// Appends under way before the next is waited for.
const MAX_IN_FLIGHT: usize = 64;

/// Appends everything that arrives and gives the number of rows. Batches are durable one by one: when one fails, the ones
/// before it stay, unless the table was made for them: then it goes with them.
pub(super) async fn ingest(
    door: &Door,
    caller: &Caller,
    command: CommandStatementIngest,
    incoming: Messages,
) -> Result<i64> {
    let target = Arc::new(Target::new(caller, command)?);
    let who = caller.session.principal().clone();
    let (engine, queries) = (door.engine.clone(), door.queries.clone());
    let made = Arc::new(Made { engine, queries, table: Mutex::default() });
    let taken = take_all(door, who, target, incoming, &made).await;
    let table = made.take();
    if taken.is_err() {
        let made = Arc::clone(&made);
        let drop_it = move || {
            table.iter().for_each(|table| drop_made(&made.engine, table));
            Ok(())
        };
        blocking(door, Waits::ForLog, drop_it).await?;
    }
    taken
}

/// The table that was made for an ingest. It goes with this, too, if the call is broken off.
struct Made {
    engine: Engine,
    queries: Handle,
    table: Mutex<Option<Arc<TableInfo>>>,
}

impl Made {
    fn put(&self, table: Arc<TableInfo>) {
        *self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(table);
    }

    fn take(&self) -> Option<Arc<TableInfo>> {
        self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let Some(table) = self.take() else { return };
        let engine = self.engine.clone();
        self.queries.spawn_blocking(move || drop_made(&engine, &table));
    }
}

/// By the server itself: the caller may have lost his rights, and the rest of his rows for that.
fn drop_made(engine: &Engine, table: &TableInfo) {
    let who = &Principal::system();
    let found = engine.table(who, &table.namespace, &table.name);
    if found.is_ok_and(|found| found.id == table.id)
        && let Err(error) = engine.drop_table(who, &table.namespace, &table.name, false)
    {
        tracing::warn!(%error, table = table.name, "a table stays that was made for rows that did not all come");
    }
}

async fn take_all(
    door: &Door,
    who: Principal,
    target: Arc<Target>,
    mut incoming: Messages,
    made: &Arc<Made>,
) -> Result<i64> {
    let mut decoder = Decoder::default();
    let mut table: Option<Arc<TableInfo>> = None;
    let mut under_way: VecDeque<PendingReceipt> = VecDeque::new();
    let (mut rows, mut intake) = (0i64, Intake::new(&door.net));
    let (mut vigil, as_whom): (Option<Arc<Vigil>>, _) = (None, who.clone());
    loop {
        let next = async {
            if let Some(table) = &table {
                until_appends(door, &who, &table.namespace).await?;
            }
            Ok::<_, DoorError>(intake.next(&mut incoming).await)
        };
        let data = match &vigil {
            Some(vigil) => vigil.within(next).await,
            None => next.await,
        };
        let Some(data) = data? else { break };
        let data = intake.room(&decoder, data?).await?;
        // What has arrived keeps its room until the log has taken its rows.
        let arrived = data.data.data_body.clone();
        let (engine, who, target, known) = (door.engine.clone(), who.clone(), Arc::clone(&target), table.clone());
        let made = Arc::clone(made);
        // The first message makes the table, which the log answers.
        let waits = if table.is_none() { Waits::ForLog } else { Waits::Computes };
        let step = blocking(door, waits, move || step(&engine, &who, &target, &made, known, decoder, &data.data));
        let mut taken = step.await?;
        (decoder, table) = (taken.decoder, taken.table);
        if vigil.is_none()
            && let Some(table) = table.clone()
        {
            let (engine, who) = (door.engine.clone(), as_whom.clone());
            vigil = Some(Vigil::begin(&door.net, move || engine.check_appends(&who, &table)));
        }
        rows += taken.rows;
        while let Some(admitted) = taken.tickets.next().await {
            under_way.push_back(admitted?);
        }
        drop(arrived);
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
    tickets: Tickets,
    rows: i64,
}

fn step(
    engine: &Engine,
    who: &Principal,
    target: &Target,
    made: &Made,
    mut table: Option<Arc<TableInfo>>,
    mut decoder: Decoder,
    data: &arrow_flight::FlightData,
) -> Result<Taken> {
    let decoded = decoder.decode(data)?;
    if let Decoded::Schema(schema) = &decoded {
        let opened = target.open(engine, who, schema, made)?;
        engine.check_columns(who, opened.id, schema)?;
        table = Some(opened);
    }
    let (mut tickets, mut rows) = (Tickets::default(), 0);
    if let (Decoded::Batch(batch), Some(table)) = (decoded, &table) {
        rows = batch.num_rows() as i64;
        for batch in engine.split_for_append(&batch) {
            let append = Append { table: table.id, partition: PartitionChoice::ByKey, batch };
            tickets.push(engine.enqueue_paced(who, append, None)?);
        }
    }
    Ok(Taken { decoder, table, tickets, rows })
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

    fn open(&self, engine: &Engine, who: &Principal, schema: &SchemaRef, made: &Made) -> Result<Arc<TableInfo>> {
        match engine.table(who, &self.namespace, &self.name) {
            Ok(table) => match self.exists {
                TableExistsOption::Append => Ok(table),
                TableExistsOption::Replace => Ok(engine.replace_table(who, self.spec(schema))?),
                _ => {
                    let message = format!("table {:?} already exists", self.name);
                    Err(DoorError::new(ErrorKind::AlreadyExists, message))
                }
            },
            Err(error) if error.kind() == ErrorKind::NotFound && self.create => {
                let table = engine.create_table(who, self.spec(schema))?;
                made.put(Arc::clone(&table));
                Ok(table)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn spec(&self, schema: &SchemaRef) -> TableSpec {
        let time = |data_type: &DataType| matches!(data_type, DataType::Timestamp(..));
        let time_column = schema.fields().iter().find(|field| !field.is_nullable() && time(field.data_type()));
        let options =
            TableOptions { time_column: time_column.map(|field| field.name().clone()), ..TableOptions::default() };
        let (namespace, name) = (self.namespace.clone(), self.name.clone());
        TableSpec { namespace, name, schema: Arc::clone(schema), options }
    }
}
