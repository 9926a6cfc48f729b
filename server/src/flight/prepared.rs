//! Prepared statements: bounded in number and size, and gone when nobody uses them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use bytes::Bytes;
use millstream_engine::ErrorKind;
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

#[derive(Debug, Clone)]
struct Entry {
    prepared: Prepared,
    caller: Caller,
    text_bytes: usize,
    parameters: Option<RecordBatch>,
    used: Instant,
}

impl PreparedStatements {
    /// Keeps a statement and gives its handle.
    pub(super) fn open(&self, prepared: Prepared, caller: Caller, text_bytes: usize) -> Result<Bytes> {
        let entry = Entry { prepared, caller, text_bytes, parameters: None, used: Instant::now() };
        let handle = Bytes::from(uuid::Uuid::new_v4().simple().to_string());
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        make_room(&mut open, cost(&entry))?;
        open.insert(handle.clone(), entry);
        Ok(handle)
    }

    /// The statement of a handle, who prepared it, and the parameters last bound.
    pub(super) fn get(&self, handle: &Bytes) -> Result<(Prepared, Caller, Option<RecordBatch>)> {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let entry = open.get_mut(handle).ok_or_else(unknown)?;
        entry.used = Instant::now();
        Ok((entry.prepared.clone(), entry.caller.clone(), entry.parameters.clone()))
    }

    /// Keeps parameters for the next executions.
    pub(super) fn bind(&self, handle: &Bytes, parameters: Option<RecordBatch>) -> Result<()> {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut entry = open.remove(handle).ok_or_else(unknown)?;
        entry.parameters = None;
        entry.used = Instant::now();
        let bytes = parameters.as_ref().map_or(0, RecordBatch::get_array_memory_size);
        let room = make_room(&mut open, cost(&entry) + bytes);
        if room.is_ok() {
            entry.parameters = parameters;
        }
        open.insert(handle.clone(), entry);
        room
    }

    /// Closing a handle that is not open is no error: it may have expired.
    pub(super) fn close(&self, handle: &Bytes) {
        self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).remove(handle);
    }
}

/// About what an entry takes: a plan is many times its text.
fn cost(entry: &Entry) -> usize {
    16 * 1024 + 16 * entry.text_bytes + entry.parameters.as_ref().map_or(0, RecordBatch::get_array_memory_size)
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
