//! What an operator alters of a consumer that is a plugin: its settings, and whether it runs.

use crate::access::Action;
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{Error, MAX_CONSUMER_RETRIES, OnError, PluginConsumerInfo, PluginConsumerSettings, Result};
use crate::state::Change;

/// Rows that one call may be given.
const MAX_BATCH_ROWS: u32 = 65_536;

impl Engine {
    /// Other settings than `found` has, from the next batch on. One that has stopped at an error tries again. A dead-letter
    /// table is made where the policy needs one, and stays: that policy is not left again. `Busy` if somebody else has altered
    /// the consumer since it was found.
    pub fn alter_plugin_consumer(
        &self,
        who: &Principal,
        found: &PluginConsumerInfo,
        settings: PluginConsumerSettings,
    ) -> Result<()> {
        self.session(who)?.allow(Action::Define, found)?;
        check_settings(&settings)?;
        let (keeps, kept) = (OnError::DeadLetter == settings.on_error, OnError::DeadLetter == found.settings.on_error);
        if kept && !keeps {
            return Err(Error::FailedPrecondition(format!(
                "consumer {:?} has a dead-letter table, and keeps on_error = 'dead_letter' as long as it stands",
                found.name
            )));
        }
        let version = found.version.saturating_add(1);
        let info = PluginConsumerInfo { settings, version, ..PluginConsumerInfo::clone(found) };
        let letters = (keeps && !kept).then(|| self.letters_of(&info)).transpose()?;
        let mut changes = vec![Change::PluginConsumerReplaced(info)];
        changes.extend(letters.map(Change::TableCreated));
        self.record(who, changes).map(drop)
    }

    /// When this has returned, a consumer that is paused commits nothing any more. One that runs and has stopped at an
    /// error tries again on being resumed.
    pub fn pause_plugin_consumer(&self, who: &Principal, namespace: &str, name: &str, paused: bool) -> Result<()> {
        let session = self.session(who)?;
        self.define(|engine| {
            let found = session.consumer(Action::Define, namespace, name)?;
            let version = found.version.saturating_add(1);
            let info = PluginConsumerInfo { paused, version, ..PluginConsumerInfo::clone(&found) };
            engine.record(who, vec![Change::PluginConsumerReplaced(info)]).map(drop)
        })
    }
}

pub(super) fn check_settings(settings: &PluginConsumerSettings) -> Result<()> {
    let PluginConsumerSettings { on_error: _, retries, batch_rows, state_bytes } = *settings;
    if retries > MAX_CONSUMER_RETRIES {
        return Err(Error::InvalidInput(format!("retries is at most {MAX_CONSUMER_RETRIES}, not {retries}")));
    }
    if !(1..=MAX_BATCH_ROWS).contains(&batch_rows) {
        return Err(Error::InvalidInput(format!("batch_rows is 1 to {MAX_BATCH_ROWS}, not {batch_rows}")));
    }
    if state_bytes == 0 {
        return Err(Error::InvalidInput("state_bytes must be at least 1".to_owned()));
    }
    Ok(())
}
