//! Functions: names for what plugins compute, with a signature.

use std::sync::Arc;

use super::names::{check_name, check_namespace};
use crate::access::{Action, ObjectKind};
use crate::contract::{FunctionInfo, FunctionSpec};
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{FunctionId, Lsn, Result};
use crate::state::Change;

impl Engine {
    /// Refused if the plugin takes or gives other types.
    pub fn create_function(&self, who: &Principal, spec: FunctionSpec) -> Result<Arc<FunctionInfo>> {
        let session = self.session(who)?;
        session.create(ObjectKind::Function, &spec.namespace, &spec.name)?;
        check_namespace(&spec.namespace)?;
        check_name("function", &spec.name)?;
        session.plugin(Action::Use, &spec.namespace, &spec.plugin)?;
        let FunctionSpec { namespace, name, parameters, returns, plugin } = spec;
        let (id, owner, created) = (FunctionId(0), who.clone(), Lsn(0));
        let info = FunctionInfo { id, namespace, name, parameters, returns, plugin, owner, created };
        let lsn = self.record(who, vec![Change::FunctionCreated(info)])?;
        self.rooms.ledger.function(FunctionId(lsn.0))
    }

    /// Refused while a topic calls it.
    pub fn drop_function(&self, who: &Principal, namespace: &str, name: &str) -> Result<()> {
        let session = self.session(who)?;
        let function = session.function(Action::Define, namespace, name)?;
        session.veiled(namespace, self.record(who, vec![Change::FunctionDropped { function: function.id }]).map(drop))
    }

    pub fn function(&self, who: &Principal, namespace: &str, name: &str) -> Result<Arc<FunctionInfo>> {
        self.session(who)?.function(Action::See, namespace, name)
    }

    /// All of them, by namespace and name.
    pub fn functions(&self, who: &Principal) -> Result<Vec<Arc<FunctionInfo>>> {
        let session = self.session(who)?;
        let all: Vec<_> = self.rooms.ledger.state.read().catalog().functions().cloned().collect();
        let mut functions = session.allowed_of(Action::See, all, |function| function.as_ref().into());
        functions.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(functions)
    }
}
