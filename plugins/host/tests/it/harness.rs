//! Hosts, guests and batches for the tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::{env, fs};

use arrow_array::{ArrayRef, Float64Array};
use millstream_engine::{
    BatchConsumer, BatchPosition, BatchTransform, Capability, FailureKind, KeyedState, LoadedPlugin, Lsn, MemoryTables,
    OperatorError, PluginHost as _, PluginId, PluginInfo, PluginLimits, PluginSettings, Principal, ScalarFunction,
    StateEntries, StateSource, StateWrite, TableId, TableLookup,
};
use millstream_plugin_host::{HostOptions, WasmHost};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

/// The directory of built guests; the first to ask has them brought up to date.
pub(crate) fn guests() -> &'static Path {
    static GUESTS: OnceLock<PathBuf> = OnceLock::new();
    GUESTS.get_or_init(|| {
        // The test binary is <target>/<profile>/deps/it-….
        let binary = env::current_exe().expect("the path of the test binary");
        let target = binary.ancestors().nth(3).expect("a test binary lies under the target directory");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/build-guests");
        let output = Command::new(&script).env("CARGO_TARGET_DIR", target).output();
        let output = output.unwrap_or_else(|e| panic!("{} does not run: {e}", script.display()));
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the guests are not built; scripts/build-guests says:\n{text}");
        env::var_os("MILLSTREAM_GUESTS_DIR").map_or_else(|| target.join("guests"), PathBuf::from)
    })
}

/// A guest built from source, by the name of its package.
pub(crate) fn guest(name: &str) -> Vec<u8> {
    let path = guests().join(name.replace('-', "_")).with_extension("wasm");
    fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}; run scripts/build-guests", path.display()))
}

/// A host with a cache directory of its own.
pub(crate) struct TestHost {
    pub(crate) host: Arc<WasmHost>,
    _dir: TempDir,
}

impl TestHost {
    pub(crate) fn new() -> TestHost {
        TestHost::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut HostOptions)) -> TestHost {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let host = open(dir.path(), change);
        TestHost { host, _dir: dir }
    }

    /// Loads a plugin as CREATE PLUGIN does.
    pub(crate) fn load(
        &self,
        module: &[u8],
        config: &str,
        limits: &PluginLimits,
    ) -> millstream_engine::Result<Arc<dyn ScalarFunction>> {
        let info = describe(&self.host, module, config, limits)?;
        self.host.load(&info, module, no_tables()).map(function)
    }

    /// Loads a transform as CREATE PLUGIN does.
    pub(crate) fn load_transform(
        &self,
        module: &[u8],
        config: &str,
        limits: &PluginLimits,
    ) -> millstream_engine::Result<Arc<dyn BatchTransform>> {
        let info = describe(&self.host, module, config, limits)?;
        match self.host.load(&info, module, no_tables())? {
            LoadedPlugin::Transform(transform) => Ok(transform),
            other => panic!("{other:?} is no transform"),
        }
    }

    /// Loads a consumer as CREATE PLUGIN does.
    pub(crate) fn load_consumer(
        &self,
        module: &[u8],
        config: &str,
        limits: &PluginLimits,
    ) -> millstream_engine::Result<Arc<dyn BatchConsumer>> {
        let info = describe(&self.host, module, config, limits)?;
        match self.host.load(&info, module, no_tables())? {
            LoadedPlugin::Consumer(consumer) => Ok(consumer),
            other => panic!("{other:?} is no consumer"),
        }
    }

    /// Loads a plugin of any kind over tables as CREATE PLUGIN does.
    pub(crate) fn load_over(
        &self,
        module: &[u8],
        config: &str,
        limits: &PluginLimits,
        tables: Arc<dyn TableLookup>,
    ) -> millstream_engine::Result<LoadedPlugin> {
        let info = describe(&self.host, module, config, limits)?;
        self.host.load(&info, module, tables)
    }

    pub(crate) fn filter(&self, name: &str, config: &str) -> Arc<dyn ScalarFunction> {
        self.filter_within(name, config, &PluginLimits::default())
    }

    pub(crate) fn filter_within(&self, name: &str, config: &str, limits: &PluginLimits) -> Arc<dyn ScalarFunction> {
        self.load(&guest(name), config, limits).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

/// For plugins that declare none.
pub(crate) fn no_tables() -> Arc<dyn TableLookup> {
    Arc::new(MemoryTables::default())
}

pub(crate) fn function(loaded: LoadedPlugin) -> Arc<dyn ScalarFunction> {
    match loaded {
        LoadedPlugin::Function(function) => function,
        other => panic!("{other:?} is no function"),
    }
}

pub(crate) fn open(dir: &Path, change: impl FnOnce(&mut HostOptions)) -> Arc<WasmHost> {
    let mut options = HostOptions::new(dir.join("code"));
    options.max_instances = 32;
    change(&mut options);
    WasmHost::new(options).expect("a plugin host")
}

/// What the catalog would hold; each call gives another id.
pub(crate) fn describe(
    host: &WasmHost,
    module: &[u8],
    config: &str,
    limits: &PluginLimits,
) -> millstream_engine::Result<PluginInfo> {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let declared = host.inspect(module, limits)?.tables;
    let settings = PluginSettings {
        limits: limits.clone(),
        config: config.to_owned(),
        grants: Capability::ALL.into(),
        tables: declared.into_iter().map(|used| (used.name.clone(), used.name)).collect(),
        http_hosts: Vec::new(),
    };
    let description = host.inspect_with("public", "late", module, &settings)?;
    Ok(PluginInfo {
        id: PluginId(NEXT.fetch_add(1, Ordering::Relaxed)),
        namespace: "public".to_owned(),
        name: description.name.clone(),
        version: 1,
        sha256: Sha256::digest(module).iter().map(|byte| format!("{byte:02x}")).collect(),
        module_bytes: module.len() as u64,
        tables: vec![TableId(0); description.tables.len()],
        description,
        limits: settings.limits,
        config: settings.config,
        grants: settings.grants,
        suspended: None,
        http_hosts: settings.http_hosts,
        owner: Principal::anonymous(),
        created: Lsn(0),
    })
}

/// Limits that a test can wait for.
pub(crate) fn tight() -> PluginLimits {
    PluginLimits {
        memory_bytes: 8 << 20,
        call_timeout_ms: 100,
        concurrency: 1,
        output_bytes: 1 << 20,
        ..Default::default()
    }
}

/// State that a test keeps between calls.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept(pub(crate) BTreeMap<Arc<[u8]>, Arc<[u8]>>);

impl StateSource for Kept {
    fn get(&self, key: &[u8]) -> Option<Arc<[u8]>> {
        self.0.get(key).cloned()
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> StateEntries {
        let behind = self.0.iter().filter(|(key, _)| after.is_none_or(|after| key.as_ref() > after));
        let entries = behind.filter(|(key, _)| key.starts_with(prefix)).take(limit);
        entries.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

impl Kept {
    /// For one call; `spare` bytes may be added.
    pub(crate) fn state(&self, spare: u64) -> KeyedState {
        KeyedState::new(Box::new(self.clone()), spare)
    }

    pub(crate) fn apply(&mut self, writes: Vec<StateWrite>) {
        for (key, value) in writes {
            match value {
                Some(value) => self.0.insert(key, value),
                None => self.0.remove(&key),
            };
        }
    }
}

/// Of a batch that does not care.
pub(crate) fn somewhere() -> BatchPosition {
    BatchPosition { topic: "flights".to_owned(), partition: 3, first_offset: 100, next_offset: 200 }
}

/// One Float64 column, as the hostile guests read.
pub(crate) fn values(rows: usize) -> Vec<ArrayRef> {
    vec![Arc::new(Float64Array::from_iter_values((0..rows).map(|i| i as f64)))]
}

/// Calls a filter that must fail.
pub(crate) fn failure(filter: &Arc<dyn ScalarFunction>, arguments: &[ArrayRef], rows: usize) -> OperatorError {
    match filter.call(arguments, rows) {
        Ok(answer) => panic!("{} answers with {} rows", filter.name(), answer.len()),
        Err(error) => error,
    }
}

/// Checks kind and text of a failure.
#[track_caller]
pub(crate) fn assert_failure(error: &OperatorError, kind: FailureKind, text: &str) {
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.message.contains(text), "{error} lacks {text:?}");
}

/// How many lines plugins write to the log while `run` does.
pub(crate) fn count_lines(run: impl FnOnce()) -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tracing::span::{Attributes, Id, Record};

    struct Lines(Arc<AtomicUsize>);
    impl tracing::Subscriber for Lines {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            metadata.target() == "millstream::plugin"
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &tracing::Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    let lines = Arc::new(AtomicUsize::new(0));
    tracing::subscriber::with_default(Lines(lines.clone()), run);
    lines.load(Ordering::Relaxed)
}
