//! A plugin host whose checkback handler reads its verdicts from the bodies.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_schema::DataType;
use millstream_engine::{
    CheckVerdict, CheckbackHandler, Engine, FailureKind, LoadedPlugin, OperatorError, PluginDescription, PluginHost,
    PluginInfo, PluginKind, PluginLimits, PluginSettings, PluginSpec, Result, TableLookup, Volatility,
};
use parking_lot::Mutex;

use crate::fixture::who;

/// Remembers what its handlers were asked.
#[derive(Debug, Default)]
pub(in crate::messages) struct Bodies {
    /// Body and number of checks of each half message, in order.
    pub(super) asked: Arc<Mutex<Vec<(String, i32)>>>,
    /// Handlers wait in their calls while it is set.
    pub(super) waits: Arc<AtomicBool>,
}

/// `check`, or `filter`; then `COLUMN` for another column than the body.
pub(super) fn plugin(engine: &Engine, name: &str, module: &str, replace: bool) -> Result<Arc<PluginInfo>> {
    let spec = PluginSpec {
        namespace: "public".to_owned(),
        name: name.to_owned(),
        module: module.as_bytes().into(),
        settings: PluginSettings::default(),
    };
    engine.create_plugin(&who(), spec, replace)
}

impl PluginHost for Bodies {
    fn inspect(&self, module: &[u8], _limits: &PluginLimits) -> Result<PluginDescription> {
        let text = String::from_utf8_lossy(module);
        let (kind, column) = text.split_once(' ').unwrap_or((&text, "body"));
        let checks = kind == "check";
        let columns = [(column, DataType::Utf8), ("_checks", DataType::Int32), ("property.of", DataType::Utf8)];
        Ok(PluginDescription {
            name: "bodies".to_owned(),
            kind: if checks { PluginKind::Checkback } else { PluginKind::Filter },
            contract: "bodies".to_owned(),
            parameters: columns.map(|(name, of)| (name.to_owned(), of)).to_vec(),
            returns: if checks { DataType::Null } else { DataType::Boolean },
            volatility: Volatility::Volatile,
            capabilities: BTreeSet::new(),
            outputs: Vec::new(),
            tables: Vec::new(),
            http_hosts: Vec::new(),
        })
    }

    fn inspect_with(&self, _: &str, _: &str, module: &[u8], settings: &PluginSettings) -> Result<PluginDescription> {
        self.inspect(module, &settings.limits)
    }

    fn load(&self, plugin: &PluginInfo, _: &[u8], _: Arc<dyn TableLookup>) -> Result<LoadedPlugin> {
        let (parameters, asked, waits) =
            (plugin.description.parameters.clone(), self.asked.clone(), self.waits.clone());
        Ok(LoadedPlugin::Checkback(Arc::new(Reads { parameters, asked, waits })))
    }
}

#[derive(Debug)]
struct Reads {
    parameters: Vec<(String, DataType)>,
    asked: Arc<Mutex<Vec<(String, i32)>>>,
    waits: Arc<AtomicBool>,
}

impl CheckbackHandler for Reads {
    fn name(&self) -> &str {
        "bodies"
    }

    fn parameters(&self) -> &[(String, DataType)] {
        &self.parameters
    }

    /// `commit…`, `rollback…`, `later…`, which is committed when it is asked about again, `trap…`; the others are unknown.
    fn check(&self, half_messages: &RecordBatch) -> Result<Vec<CheckVerdict>, OperatorError> {
        let (bodies, of) = (half_messages.column(0).as_string::<i32>(), half_messages.column(2).as_string::<i32>());
        let checks = half_messages.column(1).as_primitive::<Int32Type>();
        assert_eq!(bodies, of, "the property says the same");
        let rows = || bodies.iter().flatten().zip(checks.values());
        self.asked.lock().extend(rows().map(|(body, checks)| (body.to_owned(), *checks)));
        while self.waits.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        if bodies.iter().flatten().any(|body| body.starts_with("trap")) {
            return Err(OperatorError::new(FailureKind::Trap, "it is not to its taste"));
        }
        let verdict = |(body, checks): (&str, &i32)| match body {
            _ if body.starts_with("commit") || (body.starts_with("later") && *checks > 0) => CheckVerdict::Commit,
            _ if body.starts_with("rollback") => CheckVerdict::Rollback,
            _ => CheckVerdict::Unknown,
        };
        Ok(rows().map(verdict).collect())
    }
}
