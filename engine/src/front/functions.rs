//! Functions: names for what plugins compute, with a signature.

use std::sync::Arc;

use super::access::Action;
use super::names::{check_name, check_namespace};
use crate::contract::{FunctionInfo, FunctionSpec};
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{Error, FunctionId, Lsn, Result};
use crate::state::Change;

impl Engine {
    /// Refused if the plugin takes or gives other types.
    pub fn create_function(&self, who: &Principal, spec: FunctionSpec) -> Result<Arc<FunctionInfo>> {
        self.enter(who, Action::Define, Some(&spec.namespace))?;
        check_namespace(&spec.namespace)?;
        check_name("function", &spec.name)?;
        let FunctionSpec { namespace, name, parameters, returns, plugin } = spec;
        let info = FunctionInfo { id: FunctionId(0), namespace, name, parameters, returns, plugin, created: Lsn(0) };
        let lsn = self.record(vec![Change::FunctionCreated(info)])?;
        self.rooms.ledger.function(FunctionId(lsn.0))
    }

    /// Refused while a topic calls it.
    pub fn drop_function(&self, who: &Principal, namespace: &str, name: &str) -> Result<()> {
        self.enter(who, Action::Define, Some(namespace))?;
        let function = self.find_function(namespace, name)?;
        self.record(vec![Change::FunctionDropped { function: function.id }]).map(drop)
    }

    pub fn function(&self, who: &Principal, namespace: &str, name: &str) -> Result<Arc<FunctionInfo>> {
        self.enter(who, Action::Read, Some(namespace))?;
        self.find_function(namespace, name)
    }

    /// All of them, by namespace and name.
    pub fn functions(&self, who: &Principal) -> Result<Vec<Arc<FunctionInfo>>> {
        self.enter(who, Action::Read, None)?;
        let mut functions: Vec<_> = self.rooms.ledger.state.read().catalog().functions().cloned().collect();
        functions.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(functions)
    }

    fn find_function(&self, namespace: &str, name: &str) -> Result<Arc<FunctionInfo>> {
        let state = self.rooms.ledger.state.read();
        let function = state.catalog().function_named(namespace, name).cloned();
        function.ok_or_else(|| Error::NotFound { what: "function", name: name.to_owned() })
    }
}
