//! Notes of what becomes of messages, and the thread that writes them.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use super::rooms::Rooms;
use crate::front::Engine;
use crate::messages::{MessageNote, TRACE_TABLE, TraceOrders, trace_rows, trace_table};
use crate::model::{Append, Error, PartitionChoice, Principal, Result, TableId};

impl Engine {
    /// Whether steps of messages are noted (`EngineOptions::message_trace`); else [`Engine::note_messages`] does nothing.
    pub fn traces_messages(&self) -> bool {
        self.rooms.ledger.options.message_trace
    }

    /// Notes steps of messages, for the table `message_trace` of their namespace. Never waits; what can't be written is lost, and counted
    /// in `EngineStats`.
    pub fn note_messages(&self, notes: impl IntoIterator<Item = MessageNote>) {
        if self.traces_messages() {
            self.rooms.trace.note(self.now_us(), notes);
        }
    }
}

/// Starts the thread. It holds no reference to the engine while it sleeps.
pub(super) fn start(rooms: &Arc<Rooms>) -> Result<()> {
    if !rooms.ledger.options.message_trace {
        return Ok(());
    }
    let (orders, weak) = (Arc::clone(rooms.trace.orders()), Arc::downgrade(rooms));
    let thread = rooms.ledger.threads.start_again("trace", move || run(&orders, &weak))?;
    rooms.trace.keep(thread);
    Ok(())
}

fn run(orders: &TraceOrders, rooms: &Weak<Rooms>) {
    loop {
        let (notes, is_last) = orders.next();
        let Some(rooms) = rooms.upgrade() else { return };
        if !notes.is_empty() {
            write(&rooms, orders, notes);
        }
        if is_last {
            return;
        }
    }
}

/// Notes of one namespace, and what their tables are called.
#[derive(Default)]
struct OfNamespace {
    names: BTreeMap<TableId, String>,
    notes: Vec<(i64, MessageNote)>,
}

/// By namespace, each in a submission of its own.
fn write(rooms: &Arc<Rooms>, orders: &TraceOrders, notes: Vec<(i64, MessageNote)>) {
    let mut by_namespace: BTreeMap<String, OfNamespace> = BTreeMap::new();
    {
        let state = rooms.ledger.state.read();
        for note in notes {
            let Some(table) = state.table(note.1.table) else { continue };
            let OfNamespace { names, notes } = by_namespace.entry(table.namespace.clone()).or_default();
            names.entry(table.id).or_insert_with(|| table.name.clone());
            notes.push(note);
        }
    }
    for (namespace, of) in by_namespace {
        if let Err(error) = write_to(rooms, &namespace, &of) {
            orders.lose(of.notes.len());
            tracing::warn!(namespace, "steps of messages could not be noted in {TRACE_TABLE}: {error}");
        }
    }
}

fn write_to(rooms: &Arc<Rooms>, namespace: &str, of: &OfNamespace) -> Result<()> {
    // Of its own accord: whoever the steps are of need not be able to write here.
    let (engine, who) = (Engine::within(rooms), Principal::system());
    let table = match engine.table(&who, namespace, TRACE_TABLE) {
        Err(Error::NotFound { .. }) => match engine.create_table(&who, trace_table(namespace)) {
            Err(Error::AlreadyExists { .. }) => engine.table(&who, namespace, TRACE_TABLE),
            made => made,
        },
        found => found,
    }?;
    let append =
        Append { table: table.id, partition: PartitionChoice::ByKey, batch: trace_rows(&of.notes, &of.names)? };
    engine.append(&who, append, None)?.wait().map(drop)
}
