//! Message tables: what becomes of messages on their way to their table. Those whose time has not come wait as due entries of the
//! state and are appended when it has. And their clients: which are alive, which queues they have locked. Knows no wire protocol.

mod act;
mod dead_letters;
mod decided;
mod delayed;
mod half_columns;
mod intake;
mod locks;
mod presence;
mod stored;
mod subscription;
mod trace;
mod transactions;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::broadcast;

pub(crate) use transactions::micros;

use crate::log::{self, Ledger};
use crate::model::{Result, TransactionCheck};
use crate::write::Appender;
pub(crate) use dead_letters::dead_letters;
pub use dead_letters::sent_again;
pub(crate) use decided::HalfOutcome;
pub(crate) use half_columns::half_columns;
pub(crate) use locks::QueueLocks;
pub(crate) use presence::{ClientName, Presence};
pub use presence::{MessageClient, MessageClientRole};
pub use subscription::{LiveSubscription, MessageSubscription};
pub use trace::{MessageNote, MessageStep};
pub(crate) use trace::{MessageTrace, TRACE_TABLE, TraceOrders, trace_rows, trace_table};

/// The messages of one engine.
#[derive(Debug)]
pub(crate) struct Messages {
    ledger: Arc<Ledger>,
    appender: Arc<Appender>,
    /// What the ids begin with that this opening of the store gives, and how many it has given.
    id_prefix: u64,
    ids: AtomicU64,
    /// Half messages that are asked about.
    checks: broadcast::Sender<TransactionCheck>,
}

/// Questions that wait for one who asks; older ones are asked again another time.
const CHECKS: usize = 1_024;

impl Messages {
    pub(crate) fn new(ledger: &Arc<Ledger>, appender: &Arc<Appender>) -> Result<Messages> {
        let id_prefix = log::random(ledger.options.seed)?;
        let (ids, checks) = (AtomicU64::new(0), broadcast::Sender::new(CHECKS));
        Ok(Messages { ledger: ledger.clone(), appender: appender.clone(), id_prefix, ids, checks })
    }

    /// Told of each half message that is asked about, from now on.
    pub(crate) fn checks(&self) -> broadcast::Receiver<TransactionCheck> {
        self.checks.subscribe()
    }
}
