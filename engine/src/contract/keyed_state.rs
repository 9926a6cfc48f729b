//! Key-value state of a consumer, as one call sees it: what is durable, and over it what the call has written.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// Bytes of a key.
pub const MAX_STATE_KEY_BYTES: usize = 1_024;
/// Bytes of a value.
pub const MAX_STATE_VALUE_BYTES: usize = 256 << 10;
/// Keys that one call may write, and their bytes with their values'.
pub const MAX_STATE_WRITES: usize = 65_536;
pub const MAX_STATE_WRITE_BYTES: usize = 2 << 20;
/// Entries that one look along the keys gives, and their bytes.
const SCAN_ENTRIES: usize = 4_096;
const SCAN_BYTES: usize = 1 << 20;
/// Durable entries that one look reads at a time.
const READ_AHEAD: usize = 64;
/// What an entry counts beside its key and value: memory that holds it.
pub(crate) const ENTRY_BYTES: u64 = 64;

/// A key, and its new value; `None` deletes it.
pub type StateWrite = (Arc<[u8]>, Option<Arc<[u8]>>);

/// A key with its value.
type StateEntry = (Arc<[u8]>, Arc<[u8]>);

/// Keys with their values, in the order of the keys.
pub type StateEntries = Vec<StateEntry>;

/// Where durable state is read from. What can't be read is nothing here: whoever made the source knows that, and makes nothing durable
/// of the call.
pub trait StateSource: Send + Sync + fmt::Debug {
    fn get(&self, key: &[u8]) -> Option<Arc<[u8]>>;
    /// Entries whose keys lie above `after` (`None`: from the first) and begin with `prefix`, in order; at most `limit`.
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> StateEntries;
}

/// A write or look that goes past a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StateLimit(pub String);

/// Durable entries that a look has read and not come to yet.
struct Ahead {
    entries: VecDeque<StateEntry>,
    /// Whether there are no more behind them.
    is_all: bool,
}

/// The state of one (consumer, partition) for the time of one call. Reads see the call's own writes.
#[derive(Debug)]
pub struct KeyedState {
    source: Box<dyn StateSource>,
    writes: BTreeMap<Arc<[u8]>, Option<Arc<[u8]>>>,
    write_bytes: usize,
    /// What the consumer's state may still grow by.
    spare: u64,
    grown: u64,
}

impl KeyedState {
    /// `spare` bytes may be added to what there is.
    pub fn new(source: Box<dyn StateSource>, spare: u64) -> KeyedState {
        KeyedState { source, writes: BTreeMap::new(), write_bytes: 0, spare, grown: 0 }
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Arc<[u8]>>, StateLimit> {
        check_key(key)?;
        Ok(match self.writes.get(key) {
            Some(written) => written.clone(),
            None => self.source.get(key),
        })
    }

    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StateLimit> {
        check_key(key)?;
        if value.len() > MAX_STATE_VALUE_BYTES {
            let (length, limit) = (value.len(), MAX_STATE_VALUE_BYTES);
            return Err(StateLimit(format!("a value of {length} bytes; values have at most {limit}")));
        }
        self.write(key, Some(value))
    }

    /// A key that is not there is no error.
    pub fn delete(&mut self, key: &[u8]) -> Result<(), StateLimit> {
        check_key(key)?;
        self.write(key, None)
    }

    /// Entries whose keys begin with `prefix`, in the order of the keys, from the first one behind `after` on; at most
    /// `limit`, and fewer where they are many or large. An empty answer is the end.
    pub fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<StateEntries, StateLimit> {
        if prefix.len() > MAX_STATE_KEY_BYTES {
            return Err(StateLimit(format!(
                "a prefix of {} bytes; keys have at most {MAX_STATE_KEY_BYTES}",
                prefix.len()
            )));
        }
        let limit = limit.min(SCAN_ENTRIES);
        let mut found = StateEntries::new();
        let mut bytes = 0_usize;
        let mut after: Option<Arc<[u8]>> = after.map(Arc::from);
        let mut durable = Ahead { entries: VecDeque::new(), is_all: false };
        while found.len() < limit {
            let next = self.next_behind(prefix, after.as_deref(), &mut durable, limit - found.len());
            let Some((key, value)) = next else { break };
            after = Some(key.clone());
            if let Some(value) = value {
                bytes = bytes.saturating_add(key.len() + value.len());
                if bytes > SCAN_BYTES && !found.is_empty() {
                    break;
                }
                found.push((key, value));
            }
        }
        Ok(found)
    }

    /// Forgets what was written: the same call is made again.
    pub fn reset(&mut self) {
        self.writes.clear();
        (self.write_bytes, self.grown) = (0, 0);
    }

    /// What the call has written, by key.
    pub fn into_writes(self) -> Vec<StateWrite> {
        self.writes.into_iter().collect()
    }

    /// The next key of either: the call's writes hide what is durable.
    fn next_behind(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        durable: &mut Ahead,
        wanted: usize,
    ) -> Option<StateWrite> {
        if durable.entries.is_empty() && !durable.is_all {
            let wanted = wanted.clamp(1, READ_AHEAD);
            durable.entries.extend(self.source.scan(prefix, after, wanted));
            durable.is_all = durable.entries.len() < wanted;
        }
        let written = self.writes.range::<[u8], _>(range_from(prefix, after)).next();
        let written = written.filter(|(key, _)| key.starts_with(prefix));
        if let Some((written, value)) = written {
            let first = durable.entries.front().map(|(key, _)| key);
            if first.is_none_or(|first| written <= first) {
                durable.entries.pop_front_if(|(key, _)| key == written);
                return Some((written.clone(), value.clone()));
            }
        }
        durable.entries.pop_front().map(|(key, value)| (key, Some(value)))
    }

    fn write(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateLimit> {
        let before = self.writes.get(key);
        if before.is_none() && self.writes.len() >= MAX_STATE_WRITES {
            return Err(StateLimit(format!("more than {MAX_STATE_WRITES} keys written in one call")));
        }
        let length = |value: &Option<Arc<[u8]>>| value.as_ref().map_or(0, |value| value.len());
        let replaced = before.map_or(0, |before| key.len() + length(before));
        let bytes = (self.write_bytes - replaced).saturating_add(key.len() + value.map_or(0, <[u8]>::len));
        if bytes > MAX_STATE_WRITE_BYTES {
            return Err(StateLimit(format!("more than {MAX_STATE_WRITE_BYTES} bytes written in one call")));
        }
        // Deletions are not set against it: a limit that is met errs on the safe side until they are durable.
        let durable = self.source.get(key).map_or(0, |found| entry_bytes(key, &found));
        let grows = |bytes: u64| bytes.saturating_sub(durable);
        let was = before.and_then(Option::as_ref).map_or(0, |value| grows(entry_bytes(key, value)));
        let grown = (self.grown - was).saturating_add(value.map_or(0, |value| grows(entry_bytes(key, value))));
        if grown > self.spare && grown > self.grown {
            return Err(StateLimit(format!(
                "the state would grow by {grown} bytes, and has {} left of its limit (state_bytes)",
                self.spare
            )));
        }
        (self.write_bytes, self.grown) = (bytes, grown);
        self.writes.insert(Arc::from(key), value.map(Arc::from));
        Ok(())
    }
}

/// What an entry counts against `state_bytes`.
pub(crate) fn entry_bytes(key: &[u8], value: &[u8]) -> u64 {
    let bytes = u64::try_from(key.len().saturating_add(value.len())).unwrap_or(u64::MAX);
    bytes.saturating_add(ENTRY_BYTES)
}

/// Keys behind `after` that may begin with `prefix`.
pub(crate) fn range_from<'a>(prefix: &'a [u8], after: Option<&'a [u8]>) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    (from, Bound::Unbounded)
}

fn check_key(key: &[u8]) -> Result<(), StateLimit> {
    if (1..=MAX_STATE_KEY_BYTES).contains(&key.len()) {
        return Ok(());
    }
    Err(StateLimit(format!("a key of {} bytes; keys have 1 to {MAX_STATE_KEY_BYTES}", key.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// State of a few entries.
    #[derive(Debug)]
    struct Fixed(BTreeMap<Arc<[u8]>, Arc<[u8]>>);

    impl StateSource for Fixed {
        fn get(&self, key: &[u8]) -> Option<Arc<[u8]>> {
            self.0.get(key).cloned()
        }

        fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> StateEntries {
            let entries =
                self.0.range::<[u8], _>(range_from(prefix, after)).take_while(|(key, _)| key.starts_with(prefix));
            entries.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()
        }
    }

    fn state(spare: u64) -> KeyedState {
        let entries = [("a1", "x"), ("a3", "y"), ("b1", "z")];
        let entries = entries.map(|(key, value)| (Arc::from(key.as_bytes()), Arc::from(value.as_bytes())));
        KeyedState::new(Box::new(Fixed(entries.into())), spare)
    }

    fn keys(state: &KeyedState, prefix: &str, after: Option<&str>, limit: usize) -> Vec<String> {
        let found = state.scan(prefix.as_bytes(), after.map(str::as_bytes), limit).unwrap();
        found.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect()
    }

    #[test]
    fn reads_see_the_writes_of_the_call() {
        let mut state = state(1_000);
        state.put(b"a2", b"new").unwrap();
        state.put(b"a1", b"changed").unwrap();
        state.delete(b"a3").unwrap();
        state.delete(b"never").unwrap();
        assert_eq!(state.get(b"a1").unwrap().as_deref(), Some(&b"changed"[..]));
        assert_eq!(state.get(b"a3").unwrap(), None);
        assert_eq!(keys(&state, "a", None, 10), ["a1", "a2"]);
        assert_eq!(keys(&state, "", None, 10), ["a1", "a2", "b1"]);
        assert_eq!(keys(&state, "a", Some("a1"), 10), ["a2"]);
        assert_eq!(keys(&state, "b", Some("a1"), 10), ["b1"]);
        assert_eq!(keys(&state, "", None, 2), ["a1", "a2"]);
        assert_eq!(keys(&state, "a", Some("a2"), 10), [""; 0]);
        let writes = state.into_writes();
        assert_eq!(writes.len(), 4);
        assert_eq!(writes[2], (Arc::from(&b"a3"[..]), None));
    }

    #[test]
    fn limits_are_said() {
        let mut state = state(200);
        for key in [vec![], vec![0; MAX_STATE_KEY_BYTES + 1]] {
            assert!(state.put(&key, b"").unwrap_err().0.contains("keys have 1 to"));
            assert!(state.get(&key).unwrap_err().0.contains("keys have 1 to"));
            assert!(state.delete(&key).unwrap_err().0.contains("keys have 1 to"));
        }
        assert!(state.put(b"k", &vec![0; MAX_STATE_VALUE_BYTES + 1]).unwrap_err().0.contains("values have at most"));
        assert!(state.put(b"k", &[0; 200]).unwrap_err().0.contains("of its limit"));
        state.put(b"k", &[0; 100]).unwrap();
        // The same key again does not count twice, and what is durable already does not count.
        state.put(b"k", &[0; 100]).unwrap();
        state.put(b"a1", b"y").unwrap();
        assert!(state.put(b"l", &[0; 10]).unwrap_err().0.contains("of its limit"));
        state.delete(b"k").unwrap();
        state.put(b"l", &[0; 100]).unwrap();
    }

    #[test]
    fn writes_of_a_call_are_bounded() {
        let mut state = state(u64::MAX);
        for number in 0_u32..8 {
            let written = state.put(&number.to_le_bytes(), &vec![0; MAX_STATE_VALUE_BYTES]);
            assert_eq!(written.is_ok(), number < 7, "value {number}");
        }
        let mut state = self::state(u64::MAX);
        for number in 0..u32::try_from(MAX_STATE_WRITES).unwrap() {
            state.put(&number.to_le_bytes(), b"").unwrap();
        }
        assert!(state.put(b"more", b"").unwrap_err().0.contains("keys written in one call"));
    }
}
