//! What keeps topics from going on, for those who look.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::model::{ContinuousId, ContinuousInfo};
use crate::platform::Events;

/// Of all topics, with the version that it is about.
#[derive(Debug, Default)]
pub(super) struct Standings(Mutex<BTreeMap<ContinuousId, (u32, String)>>);

impl Standings {
    /// Why the version does not go on.
    pub(super) fn stopped(&self, info: &ContinuousInfo) -> Option<String> {
        let stopped = self.0.lock();
        stopped.get(&info.id).filter(|(version, _)| *version == info.version).map(|(_, why)| why.clone())
    }

    pub(super) fn stop(&self, info: &ContinuousInfo, why: &str, events: &Events) {
        self.0.lock().insert(info.id, (info.version, why.to_owned()));
        events.push("continuous_topic_stopped", format!("continuous topic {:?} has stopped: {why}", info.name));
    }

    /// Something is in the way that may pass.
    pub(super) fn wait(&self, info: &ContinuousInfo, why: &str) {
        self.0.lock().insert(info.id, (info.version, format!("waiting: {why}")));
    }

    pub(super) fn go_on(&self, topic: ContinuousId) {
        self.0.lock().remove(&topic);
    }
}
