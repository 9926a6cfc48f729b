//! Modules that are no plugin yet: started, asked what they are, and opened.

use std::sync::Arc;

use arrow_schema::DataType;
use millstream_engine::{
    Error, FailureKind, OperatorError, PluginDescription, PluginKind, PluginLimits, PluginSettings, Result, TableUse,
};

use super::WasmHost;
use crate::compile::Account;
use crate::contract;
use crate::guest::Owner;
use crate::instances::Instance;
use crate::modules::IntendedUse;
use crate::tenants::{Stopwatch, Tenant, Turn};

impl WasmHost {
    /// What a module says that it is, for nobody. It is granted what it asks for.
    pub(super) fn inspect_alone(&self, module: &[u8], limits: &PluginLimits) -> Result<PluginDescription> {
        let mut looked = self.describe(module, limits, &IntendedUse::default(), &self.nobody)?;
        let mut description = looked.description.clone();
        if description.kind == PluginKind::Transform {
            let schema = contract::batch_schema(&description.parameters);
            match looked.call(|instance| instance.open(&schema, "", &description.capabilities)) {
                Ok(gives) => description.returns = gives.unwrap_or(DataType::Null),
                // It wants a configuration, which it need not have to be inspected.
                Err(e) if e.kind == FailureKind::Data => {}
                Err(e) => return Err(refused("open", e)),
            }
        }
        Ok(description)
    }

    /// Opens a module with what is granted to it. Hosts that are not granted are for whoever loads it to refuse, or to deny
    /// when it calls them.
    pub(super) fn open_with(
        &self,
        module: &[u8],
        settings: &PluginSettings,
        name: Option<&str>,
        tenant: &Arc<Tenant>,
    ) -> Result<PluginDescription> {
        let used = IntendedUse::new(name, &settings.grants, !settings.tables.is_empty(), &settings.http_hosts);
        let mut looked = self.describe(module, &settings.limits, &used, tenant)?;
        let description = &looked.description;
        let is_granted = |used: &&TableUse| settings.tables.iter().any(|(name, _)| *name == used.name);
        if let Some(used) = description.tables.iter().find(|used| !is_granted(used)) {
            return Err(used.not_granted());
        }
        let mut missing = description.capabilities.difference(&settings.grants);
        if let Some(capability) = missing.find(|capability| !capability.is_granted_by_name()) {
            return Err(Error::PermissionDenied(format!(
                "the module asks for {name:?}, which is not granted; WITH (grant = '{name}') grants it",
                name = capability.name()
            )));
        }
        let schema = contract::batch_schema(&description.parameters);
        let gives = looked.call(|instance| instance.open(&schema, &settings.config, &settings.grants));
        let gives = gives.map_err(|e| refused("open", e))?;
        let mut description = looked.description;
        description.returns = gives.unwrap_or(description.returns);
        Ok(description)
    }

    /// As [`Self::open_with`], for nobody.
    pub(super) fn open_alone(&self, module: &[u8], settings: &PluginSettings) -> Result<PluginDescription> {
        self.open_with(module, settings, None, &self.nobody)
    }

    /// Starts a module for `tenant`, and asks it what it is.
    fn describe(
        &self,
        module: &[u8],
        limits: &PluginLimits,
        used: &IntendedUse<'_>,
        tenant: &Arc<Tenant>,
    ) -> Result<Looked> {
        let compiled = self.compile(module, limits, used, Account::Making(tenant))?;
        let owner = Owner { tenant: tenant.clone(), reserve: self.reserve.clone(), calls: None };
        let start = || Instance::start(&compiled, limits, &self.ticker, "unnamed", owner.clone());
        let started = Stopwatch::long();
        let looked = self.reserve.look(tenant, compiled.weight, start);
        tenant.used(started.end(), 0);
        let (mut instance, turn) = looked.map_err(|e| refused("start", e.into()))?;
        let started = Stopwatch::long();
        let description = instance.describe();
        tenant.used(started.end(), 0);
        let description = description.map_err(|e| refused("describe itself", e))?;
        Ok(Looked { instance, description, tenant: tenant.clone(), _turn: turn })
    }
}

/// An instance that is no plugin's yet.
struct Looked {
    instance: Instance,
    description: PluginDescription,
    tenant: Arc<Tenant>,
    /// Goes after the instance: its room is another's then.
    _turn: Turn,
}

impl Looked {
    /// Calls it on the account of its namespace.
    fn call<T>(&mut self, call: impl FnOnce(&mut Instance) -> T) -> T {
        let started = Stopwatch::long();
        let answer = call(&mut self.instance);
        self.tenant.used(started.end(), 0);
        answer
    }
}

fn refused(what: &str, error: OperatorError) -> Error {
    Error::InvalidInput(format!("the module does not {what}: {error}"))
}
