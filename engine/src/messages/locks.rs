//! Queues that a client of a group has to itself for a while, so that their messages are consumed in order. A lock is a lease: it
//! ends by the monotonic clock, whatever becomes of its holder.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::{Error, PartitionId, Result, TopicId};

/// How long a lock lasts; clients renew theirs every 20 s.
const LEASE: Duration = Duration::from_secs(60);
/// Locks of all groups. Clients lock queues that exist, so that only many groups reach this.
const MAX_LEASES: usize = 1 << 14;

/// A queue.
pub(crate) type QueueName = (TopicId, PartitionId);

/// Namespace and name.
type GroupName = (Arc<str>, Arc<str>);

/// All locks.
#[derive(Debug, Default)]
pub(crate) struct QueueLocks {
    leases: Mutex<HashMap<GroupName, HashMap<QueueName, Lease>>>,
}

#[derive(Debug)]
struct Lease {
    client: Arc<str>,
    until: Duration,
}

impl QueueLocks {
    /// Locks for a client, or renews, what no other client of the group has; gives those of `queues` that it now has.
    pub(crate) fn lock(
        &self,
        (namespace, group): (&str, &str),
        client: &str,
        queues: &[QueueName],
        now: Duration,
    ) -> Result<Vec<QueueName>> {
        let mut all = self.leases.lock();
        if all.values().map(HashMap::len).sum::<usize>() + queues.len() > MAX_LEASES {
            all.values_mut().for_each(|leases| leases.retain(|_, lease| lease.until > now));
            all.retain(|_, leases| !leases.is_empty());
            if all.values().map(HashMap::len).sum::<usize>() + queues.len() > MAX_LEASES {
                return Err(Error::Busy(format!("consumers have locked {MAX_LEASES} queues, which is the limit")));
            }
        }
        let leases = all.entry((Arc::from(namespace), Arc::from(group))).or_default();
        let client: Arc<str> = Arc::from(client);
        let mut locked = Vec::with_capacity(queues.len());
        for queue in queues {
            let is_free = leases.get(queue).is_none_or(|lease| lease.client == client || lease.until <= now);
            if is_free {
                leases.insert(*queue, Lease { client: client.clone(), until: now + LEASE });
                locked.push(*queue);
            }
        }
        Ok(locked)
    }

    /// Gives back those of `queues` that the client has.
    pub(crate) fn unlock(&self, (namespace, group): (&str, &str), client: &str, queues: &[QueueName]) {
        let mut all = self.leases.lock();
        let key = (Arc::from(namespace), Arc::from(group));
        let Some(leases) = all.get_mut(&key) else { return };
        for queue in queues {
            if leases.get(queue).is_some_and(|lease| lease.client.as_ref() == client) {
                leases.remove(queue);
            }
        }
        if leases.is_empty() {
            all.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_has_a_queue_until_its_lease_ends() {
        let locks = QueueLocks::default();
        let (group, at) = (("n", "g"), Duration::from_secs);
        let queue = |partition| (TopicId(1), partition);
        let all = [queue(0), queue(1), queue(2)];
        assert_eq!(locks.lock(group, "a", &all[..2], at(0)).unwrap(), all[..2]);
        assert_eq!(locks.lock(group, "b", &all, at(1)).unwrap(), all[2..], "the others are a's");
        assert_eq!(locks.lock(("n", "h"), "b", &all, at(1)).unwrap(), all, "of another group");
        assert_eq!(locks.lock(group, "a", &all[..1], at(50)).unwrap(), all[..1], "renewed");
        locks.unlock(group, "b", &all);
        assert_eq!(locks.lock(group, "b", &all, at(59)).unwrap(), all[2..]);
        assert_eq!(locks.lock(group, "b", &all, at(60)).unwrap(), all[1..], "a's second lease has ended");
        locks.unlock(group, "a", &all);
        assert_eq!(locks.lock(group, "b", &all, at(61)).unwrap(), all);
        locks.unlock(group, "b", &all);
        assert_eq!(locks.leases.lock().len(), 1);
    }
}
