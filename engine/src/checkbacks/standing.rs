//! How checkbacks fare, for those who look, and events about it.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::Mutex;

use crate::contract::{CheckbackFigures, CheckbackInfo};
use crate::model::CheckbackId;
use crate::platform::{Events, Stopwatch};

/// Failures of one checkback are told of once in this time.
const TELL_INTERVAL: Duration = Duration::from_secs(10);

/// Of all checkbacks that were asked since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Standings(Mutex<BTreeMap<CheckbackId, Standing>>);

#[derive(Debug, Default)]
struct Standing {
    figures: CheckbackFigures,
    told: Option<Stopwatch>,
    /// Half messages at which the plugin has failed since that was told.
    untold: u64,
}

impl Standings {
    pub(super) fn figures(&self, id: CheckbackId) -> CheckbackFigures {
        self.0.lock().get(&id).map(|standing| standing.figures.clone()).unwrap_or_default()
    }

    pub(super) fn count(&self, id: CheckbackId, count: impl FnOnce(&mut CheckbackFigures)) {
        count(&mut self.0.lock().entry(id).or_default().figures);
    }

    pub(super) fn forget(&self, id: CheckbackId) {
        self.0.lock().remove(&id);
    }

    /// The plugin has failed at so many half messages, or can't be asked about any (0).
    pub(super) fn failed(&self, events: &Events, info: &CheckbackInfo, halves: u64, why: &str) {
        let untold = {
            let mut standings = self.0.lock();
            let standing = standings.entry(info.id).or_default();
            standing.figures.error = Some(why.to_owned());
            standing.untold = standing.untold.saturating_add(halves);
            if standing.told.is_some_and(|told| told.elapsed() < TELL_INTERVAL) {
                return;
            }
            standing.told = Some(Stopwatch::start());
            std::mem::take(&mut standing.untold)
        };
        let (name, plugin) = (&info.name, &info.plugin);
        events.push(
            "checkback_failed",
            match untold {
                0 => format!("checkback {name:?} can't ask plugin {plugin:?}: {why}"),
                _ => format!(
                    "plugin {plugin:?} of checkback {name:?} failed at {untold} half messages, which count as unknown: {why}"
                ),
            },
        );
    }

    pub(super) fn well(&self, id: CheckbackId) {
        if let Some(standing) = self.0.lock().get_mut(&id) {
            standing.figures.error = None;
        }
    }
}
