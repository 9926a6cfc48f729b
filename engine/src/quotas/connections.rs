//! Connections of users who may have only so many.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::quota::Quota;
use crate::model::{NamespaceLimit, Result};

/// What one connection counts as, for each user who has made a request over it. Given back when it is dropped.
#[derive(Debug, Default)]
pub struct ConnectionPlaces(Mutex<Vec<Place>>);

#[derive(Debug)]
struct Place(Arc<Quota>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ConnectionPlaces {
    /// Refused where the user has no place left.
    pub(super) fn take(&self, quota: &Arc<Quota>) -> Result<()> {
        let mut places = self.0.lock();
        if places.iter().any(|place| Arc::ptr_eq(&place.0, quota)) {
            return Ok(());
        }
        // Of limits that were taken away since, and set again.
        places.retain(|place| place.0.name != quota.name);
        let most = quota.bound(NamespaceLimit::Connections).unwrap_or(u64::MAX);
        let one_more = |open: u64| (open < most).then(|| open.saturating_add(1));
        match quota.connections.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => {
                places.push(Place(Arc::clone(quota)));
                Ok(())
            }
            Err(_) => Err(quota.over(NamespaceLimit::Connections, None)),
        }
    }
}
