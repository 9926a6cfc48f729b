//! Places for connections, a number for each door.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for those who ask how the server is: clients that hold all others must not make it look dead.
const PROBES: usize = 64;

/// How many connections a door has at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    connections: usize,
    probes: usize,
}

impl Capacity {
    pub(crate) fn new(connections: usize) -> Capacity {
        Capacity { connections, probes: 0 }
    }

    /// With further ones, each for one request that asks how the server is and has to come soon.
    pub(crate) fn and_probes(self) -> Capacity {
        Capacity { probes: PROBES, ..self }
    }
}

/// The places of one door.
#[derive(Debug)]
pub(crate) struct Places {
    door: &'static str,
    capacity: Capacity,
    free: Arc<Semaphore>,
    probes: Arc<Semaphore>,
}

/// Given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pub(super) is_probe: bool,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new(door: &'static str, capacity: Capacity) -> Places {
        let Capacity { connections, probes } = capacity;
        Places { door, capacity, free: Arc::new(Semaphore::new(connections)), probes: Arc::new(Semaphore::new(probes)) }
    }

    pub(super) fn door(&self) -> &'static str {
        self.door
    }

    /// How many there are but for probes.
    pub(super) fn connections(&self) -> usize {
        self.capacity.connections
    }

    /// How many of all are taken.
    pub(super) fn taken(&self) -> usize {
        let Capacity { connections, probes } = self.capacity;
        (connections + probes).saturating_sub(self.free.available_permits() + self.probes.available_permits())
    }

    /// One that is left; those for probes last.
    pub(super) fn take(&self) -> Option<Place> {
        let take = |places: &Arc<Semaphore>, is_probe| {
            Arc::clone(places).try_acquire_owned().ok().map(|permit| Place { is_probe, _permit: permit })
        };
        take(&self.free, false).or_else(|| take(&self.probes, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_for_probes_are_given_last() {
        let places = Places::new("test", Capacity::new(1).and_probes());
        let (first, second) = (places.take().unwrap(), places.take().unwrap());
        assert_eq!((first.is_probe, second.is_probe, places.taken()), (false, true, 2));
        drop(first);
        assert!(!places.take().unwrap().is_probe);
        drop(second);
        assert_eq!(places.taken(), 0);
        let few = Places::new("test", Capacity::new(1));
        let _one = few.take().unwrap();
        assert!(few.take().is_none());
    }
}
