//! Checkbacks: plugins that decide on half messages of a table.

use std::sync::Arc;

use super::names::{check_name, check_namespace};
use crate::access::{Action, ObjectKind};
use crate::contract::{CheckbackInfo, CheckbackSettings, CheckbackSpec, CheckbackStatus};
use crate::front::Engine;
use crate::model::{CheckbackId, Error, Lsn, MAX_DELAY_US, Principal, Result};
use crate::state::Change;

/// Below this half messages would be asked about all the time.
const LEAST_EVERY_MS: u64 = 100;
const MOST_MS: u64 = (MAX_DELAY_US / 1_000).cast_unsigned();
const MOST_CHECKS: u32 = 100_000;

impl Engine {
    /// From now on half messages of the table are given to the plugin as `spec` says; those that wait for their first question
    /// already keep its time. A table has one checkback at most.
    pub fn create_checkback(&self, who: &Principal, spec: CheckbackSpec) -> Result<Arc<CheckbackInfo>> {
        let session = self.session(who)?;
        session.create(ObjectKind::Checkback, &spec.namespace, &spec.name)?;
        check_namespace(&spec.namespace)?;
        check_name("checkback", &spec.name)?;
        check_settings(&spec.settings)?;
        let table = session.table(Action::Produce, &spec.namespace, &spec.table)?;
        session.plugin(Action::Use, &spec.namespace, &spec.plugin)?;
        self.refuse_letters(&table)?;
        let CheckbackSpec { namespace, name, plugin, settings, .. } = spec;
        let (id, table, owner, created) = (CheckbackId(0), table.id, who.clone(), Lsn(0));
        let info = CheckbackInfo { id, namespace, name, table, plugin, settings, owner, created };
        let lsn = self.record(who, vec![Change::CheckbackCreated(info)])?;
        self.rooms.ledger.checkback(CheckbackId(lsn.0))
    }

    /// Half messages of its table are asked about as those of other tables again; the times at which that is stay as they are.
    pub fn drop_checkback(&self, who: &Principal, namespace: &str, name: &str) -> Result<()> {
        let found = self.session(who)?.checkback(Action::Define, namespace, name)?;
        self.record(who, vec![Change::CheckbackDropped { checkback: found.id, table: found.table }]).map(drop)
    }

    pub fn checkback(&self, who: &Principal, namespace: &str, name: &str) -> Result<Arc<CheckbackInfo>> {
        self.session(who)?.checkback(Action::See, namespace, name)
    }

    /// All of them with how they fare, by namespace and name.
    pub fn checkbacks(&self, who: &Principal) -> Result<Vec<CheckbackStatus>> {
        let session = self.session(who)?;
        let all: Vec<_> = self.rooms.ledger.state.read().catalog().checkbacks().cloned().collect();
        let mut found = session.allowed_of(Action::See, all, |checkback| checkback.as_ref().into());
        found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(found.into_iter().filter_map(|info| self.checkback_status(info)).collect())
    }

    /// `None` if it was dropped meanwhile.
    fn checkback_status(&self, info: Arc<CheckbackInfo>) -> Option<CheckbackStatus> {
        let figures = self.rooms.checkbacks.figures(info.id);
        let state = self.rooms.ledger.state.read();
        let table = state.table(info.table)?.name.clone();
        let plugin_version = state.catalog().plugin_named(&info.namespace, &info.plugin)?.version;
        drop(state);
        Some(CheckbackStatus { info, table, plugin_version, figures })
    }
}

fn check_settings(settings: &CheckbackSettings) -> Result<()> {
    let CheckbackSettings { order: _, after_ms, every_ms, limit } = *settings;
    if after_ms > MOST_MS {
        return Err(Error::InvalidInput(format!("after is at most 40 days ({MOST_MS} ms), not {after_ms} ms")));
    }
    if !(LEAST_EVERY_MS..=MOST_MS).contains(&every_ms) {
        return Err(Error::InvalidInput(format!(
            "every is {LEAST_EVERY_MS} ms to 40 days ({MOST_MS} ms), not {every_ms} ms"
        )));
    }
    if !(1..=MOST_CHECKS).contains(&limit) {
        return Err(Error::InvalidInput(format!("limit is 1 to {MOST_CHECKS}, not {limit}")));
    }
    Ok(())
}
