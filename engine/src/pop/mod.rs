//! Groups that take messages by pop: a message that is handed out is invisible for a while, and is handed out again unless it is
//! acknowledged in that time. Knows no wire protocol.
//!
//! What is handed out is a record before anybody gets it, so that nothing of this is in memory alone: how far a group is in a partition,
//! which messages are in flight, how often they were handed out and until when. Whoever takes from a partition has it to himself until
//! that record is applied ([`turns`]); whoever acknowledges waits for nobody. The writer checks what both have found ([`crate::state`]).
//! What was handed out and nobody has received, or a client has kept that has gone, is given back ([`give_back`]).

mod acknowledge;
mod begin;
mod dead;
mod deciding;
mod floor;
mod give_back;
mod handed;
mod kept;
mod order;
mod pending;
mod returns;
mod rows;
mod take;
mod taking;
mod turns;
mod waiting;

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use parking_lot::Mutex;

use self::kept::Kept;
use self::returns::Returns;
use self::turns::Turns;
use self::waiting::Waiting;
use crate::cursor::Tables;
use crate::log::Ledger;
use crate::messages::Presence;
use crate::model::{Error, InFlight, Result, TableId, TableInfo};
use crate::state::{Change, HandOutKey, PopId, PopName, PopRecord, Record, RecordContext};
use crate::write::Appender;

pub use handed::HandedMessages;
pub use pending::{PendingAck, PendingPop, PopOutcome};

/// Offsets from the first to the last message of a hand-out, at most.
const SPAN: u64 = 16_384;

/// The pops of one engine.
#[derive(Debug)]
pub(crate) struct Pop {
    tables: Arc<Tables>,
    appender: Arc<Appender>,
    turns: Turns,
    waiting: Waiting,
    clients: Arc<Presence>,
    kept: Kept,
    /// The thread that serves it holds it without the rest.
    returns: Arc<Returns>,
    /// Held while a committed offset is found and queued, so that they are queued in their order.
    floors: Mutex<()>,
    /// Which partition is looked at first.
    next: AtomicU32,
}

impl Pop {
    pub(crate) fn new(tables: &Arc<Tables>, appender: &Arc<Appender>, clients: &Arc<Presence>) -> Pop {
        Pop {
            tables: tables.clone(),
            appender: appender.clone(),
            turns: Turns::default(),
            waiting: Waiting::default(),
            clients: clients.clone(),
            kept: Kept::default(),
            returns: Arc::default(),
            floors: Mutex::default(),
            next: AtomicU32::new(0),
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.tables.ledger
    }

    /// Called with every durable commit, after the state has it. Never waits.
    pub(crate) fn applied(&self, records: &[(RecordContext, Record)]) {
        for (_, record) in records {
            match record {
                Record::Pop(PopRecord::Moved(moved)) => {
                    let visible = moved.handed.iter().map(|handed| handed.hand_out.visible_us).min();
                    if let Some(visible_us) = visible {
                        self.turns.lower(moved.queue, visible_us);
                    }
                    for done in &moved.done {
                        let key = HandOutKey { queue: moved.queue, first: done.first, number: done.number };
                        self.kept.done(&key, done.offsets.len());
                    }
                    let pop = self.ledger().state.read().pop_queue_by_id(moved.queue).map(|queue| queue.pop);
                    if let Some(pop) = pop {
                        self.waiting.wake(pop, visible.is_some());
                    }
                }
                Record::Pop(PopRecord::Set { pop, .. } | PopRecord::Ended(pop)) => {
                    self.waiting.wake(*pop, true);
                    self.forget();
                }
                Record::Change(change)
                    if matches!(change.as_ref(), Change::TableDropped { .. } | Change::GroupDropped { .. }) =>
                {
                    self.forget();
                }
                _ => {}
            }
        }
    }

    /// Lets go of what is known of queues that are no more.
    fn forget(&self) {
        let state = self.ledger().state.read();
        self.turns.retain(|queue| state.pop_queue_by_id(queue).is_some());
        self.kept.retain(|queue| state.pop_queue_by_id(queue).is_some());
        self.waiting.retain(|pop| state.pop_name(pop).is_some());
    }

    pub(crate) fn find(&self, namespace: &str, group: &str, table: TableId) -> Option<PopId> {
        self.ledger().state.read().pop(&name(namespace, group, table))
    }

    /// What groups have in flight of one table, by group, partition and offset, until `each` gives false.
    pub(crate) fn in_flight(&self, table: TableId, mut each: impl FnMut(InFlight) -> bool) -> Result<()> {
        let (queues, reader) = {
            let state = self.ledger().state.read();
            let partitions = state.table(table).map_or(0, |table| table.options.partitions);
            let mut queues = Vec::new();
            for (pop, name) in state.pops().filter(|(_, name)| name.table == table) {
                let of_pop = (0..partitions).filter_map(|partition| state.pop_queue(pop, partition));
                queues.extend(of_pop.map(|(id, queue)| (name.clone(), queue.partition, id)));
            }
            queues.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
            (queues, state.hand_outs())
        };
        let mut more = true;
        for (name, partition, queue) in queues {
            if !more {
                break;
            }
            reader.scan(queue, 0, |key: &HandOutKey, hand_out| {
                more = each(InFlight {
                    namespace: name.namespace.to_string(),
                    group: name.group.to_string(),
                    table,
                    partition,
                    first_offset: hand_out.offsets(key.first).next().unwrap_or(key.first),
                    messages: hand_out.left.len(),
                    attempts: hand_out.attempts,
                    in_order: !hand_out.groups.is_empty(),
                    begun_us: hand_out.begun_us,
                    handed_us: hand_out.handed_us,
                    visible_us: hand_out.visible_us,
                });
                Ok(more)
            })?;
        }
        Ok(())
    }
}

fn name(namespace: &str, group: &str, table: TableId) -> PopName {
    PopName { namespace: Arc::from(namespace), group: Arc::from(group), table }
}

fn check_messages(table: &TableInfo) -> Result<()> {
    match table.options.messages {
        Some(_) => Ok(()),
        None => Err(Error::InvalidInput(format!(
            "table {:?} is no message table: only messages are taken by pop",
            table.name
        ))),
    }
}
