//! Prepared statements: bounded in number and size, and gone when nobody uses them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use bytes::Bytes;
use millstream_engine::{ErrorKind, Principal};
use millstream_sql::Prepared;

use super::error::{DoorError, Result};
use super::sessions::Caller;

/// All statements together, by [`cost`].
const MAX_BYTES: usize = 32 << 20;
/// A handle not used for this long is closed.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// When room is needed, handles not used for this long go too, the longest unused first.
const IDLE_UNDER_PRESSURE: Duration = Duration::from_secs(60);

/// The open handles.
#[derive(Debug, Default)]
pub(super) struct PreparedStatements {
    open: Mutex<HashMap<Bytes, Entry>>,
}

#[derive(Debug)]
struct Entry {
    statement: PreparedStatement,
    text_bytes: usize,
    used: Instant,
}

/// A statement, who has prepared it, and the parameters last bound.
#[derive(Debug, Clone)]
pub(super) struct PreparedStatement {
    pub(super) prepared: Prepared,
    pub(super) caller: Caller,
    pub(super) parameters: Option<RecordBatch>,
}

impl PreparedStatements {
    /// Keeps a statement and gives its handle.
    pub(super) fn open(&self, prepared: Prepared, caller: Caller, text_bytes: usize) -> Result<Bytes> {
        let statement = PreparedStatement { prepared, caller, parameters: None };
        let entry = Entry { statement, text_bytes, used: Instant::now() };
        let handle = Bytes::from(uuid::Uuid::new_v4().simple().to_string());
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        make_room(&mut open, cost(&entry))?;
        open.insert(handle.clone(), entry);
        Ok(handle)
    }

    /// The statement of a handle, for whoever has prepared it.
    pub(super) fn get(&self, handle: &Bytes, who: &Principal) -> Result<PreparedStatement> {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let entry = open.get_mut(handle).filter(|entry| entry.is_of(who)).ok_or_else(unknown)?;
        entry.used = Instant::now();
        Ok(entry.statement.clone())
    }

    /// Keeps parameters for the next executions.
    pub(super) fn bind(&self, handle: &Bytes, parameters: Option<RecordBatch>) -> Result<()> {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut entry = open.remove(handle).ok_or_else(unknown)?;
        entry.statement.parameters = None;
        entry.used = Instant::now();
        let bytes = parameters.as_ref().map_or(0, RecordBatch::get_array_memory_size);
        let room = make_room(&mut open, cost(&entry) + bytes);
        if room.is_ok() {
            entry.statement.parameters = parameters;
        }
        open.insert(handle.clone(), entry);
        room
    }

    /// Closing a handle that is not open is no error: it may have expired.
    pub(super) fn close(&self, handle: &Bytes, who: &Principal) {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if open.get(handle).is_some_and(|entry| entry.is_of(who)) {
            open.remove(handle);
        }
    }
}

impl Entry {
    fn is_of(&self, who: &Principal) -> bool {
        self.statement.caller.session.principal() == who
    }
}

/// About what an entry takes: a plan is many times its text.
fn cost(entry: &Entry) -> usize {
    16 * 1024
        + 16 * entry.text_bytes
        + entry.statement.parameters.as_ref().map_or(0, RecordBatch::get_array_memory_size)
}

fn make_room(open: &mut HashMap<Bytes, Entry>, needed: usize) -> Result<()> {
    let now = Instant::now();
    open.retain(|_, entry| now.duration_since(entry.used) < IDLE);
    let mut taken: usize = open.values().map(cost).sum();
    while taken + needed > MAX_BYTES {
        let oldest = open.iter().min_by_key(|(_, entry)| entry.used);
        match oldest.filter(|(_, entry)| now.duration_since(entry.used) >= IDLE_UNDER_PRESSURE) {
            Some((handle, entry)) => {
                taken -= cost(entry);
                let handle = handle.clone();
                open.remove(&handle);
            }
            None => {
                return Err(DoorError::new(
                    ErrorKind::ResourceExhausted,
                    "too many prepared statements are open; close some, or bind fewer parameters at a time",
                ));
            }
        }
    }
    Ok(())
}

fn unknown() -> DoorError {
    DoorError::new(ErrorKind::NotFound, "the prepared statement is not open: it was closed, or has expired unused")
}
