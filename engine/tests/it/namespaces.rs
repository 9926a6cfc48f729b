//! Limits of namespaces, plugins that are over their share, and suspensions that are recorded at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, BooleanArray};
use arrow_schema::DataType;
use millstream_engine::{
    Engine, FunctionSignature, LoadedPlugin, NamespaceLimit, NamespaceLimitChanges, NamespaceLimits, OnError,
    OperatorError, PluginDescription, PluginHost, PluginId, PluginInfo, PluginKind, PluginLimits, PluginSettings,
    PluginSpec, PluginSuspension, Result, ScalarFunction, TableLookup, TopicSpec, Volatility,
};
use parking_lot::Mutex;

use crate::fixture::{Fixture, MIB, NO_WAIT, manual, numbers, topic_spec, who};
use crate::support::{Store, me, message, options};

/// Any module is a filter that keeps all.
#[derive(Debug, Default)]
struct Host {
    told: Mutex<BTreeMap<String, NamespaceLimits>>,
    suspended: Mutex<Vec<(PluginId, PluginSuspension)>>,
    notice: Mutex<Option<Notice>>,
    held: Arc<AtomicBool>,
}

struct Notice(Arc<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notice")
    }
}

impl PluginHost for Host {
    fn inspect(&self, _: &[u8], _: &PluginLimits) -> Result<PluginDescription> {
        Ok(PluginDescription {
            name: "all".to_owned(),
            kind: PluginKind::Filter,
            contract: "none".to_owned(),
            parameters: vec![("n".to_owned(), DataType::Int64)],
            returns: DataType::Boolean,
            volatility: Volatility::Immutable,
            capabilities: BTreeSet::new(),
            outputs: Vec::new(),
            tables: Vec::new(),
            http_hosts: Vec::new(),
        })
    }

    fn inspect_with(&self, _: &str, _: &str, module: &[u8], settings: &PluginSettings) -> Result<PluginDescription> {
        self.inspect(module, &settings.limits)
    }

    fn load(&self, _: &PluginInfo, _: &[u8], _: Arc<dyn TableLookup>) -> Result<LoadedPlugin> {
        let parameters = vec![("n".to_owned(), DataType::Int64)];
        let signature = FunctionSignature { parameters, returns: DataType::Boolean, volatility: Volatility::Immutable };
        Ok(LoadedPlugin::Function(Arc::new(All { signature, held: self.held.clone() })))
    }

    fn suspensions(&self) -> Vec<(PluginId, PluginSuspension)> {
        self.suspended.lock().clone()
    }

    fn on_suspension(&self, suspended: Arc<dyn Fn() + Send + Sync>) {
        *self.notice.lock() = Some(Notice(suspended));
    }

    fn limit_namespace(&self, namespace: &str, limits: &NamespaceLimits) {
        self.told.lock().insert(namespace.to_owned(), limits.clone());
    }
}

#[derive(Debug)]
struct All {
    signature: FunctionSignature,
    held: Arc<AtomicBool>,
}

impl ScalarFunction for All {
    fn name(&self) -> &str {
        "all"
    }

    fn signature(&self) -> &FunctionSignature {
        &self.signature
    }

    fn call(&self, _: &[ArrayRef], rows: usize) -> Result<ArrayRef, OperatorError> {
        Ok(Arc::new(BooleanArray::from(vec![true; rows])))
    }

    fn throttled(&self) -> Option<Duration> {
        self.held.load(Ordering::SeqCst).then_some(Duration::from_millis(20))
    }
}

fn changes(of: &[(NamespaceLimit, u64)]) -> NamespaceLimitChanges {
    of.iter().map(|(limit, value)| (*limit, Some(*value))).collect()
}

fn create(
    engine: &Engine,
    namespace: &str,
    name: &str,
    module: &[u8],
    limits: PluginLimits,
) -> Result<Arc<PluginInfo>> {
    let settings = PluginSettings { limits, ..PluginSettings::default() };
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    engine.create_plugin(&me(), PluginSpec { namespace, name, module: module.into(), settings }, true)
}

#[test]
fn limits_are_told_at_once_and_last_over_restarts() {
    let mut store = Store::new();
    let host = Arc::new(Host::default());
    store.engine.set_plugin_host(host.clone());
    assert!(host.told.lock().contains_key("public"));
    let first = [(NamespaceLimit::PluginMemory, 1 << 30), (NamespaceLimit::PluginCpu, 1_500)];
    store.engine.create_namespace(&me(), "shop", &changes(&first)).unwrap();
    assert_eq!(host.told.lock()["shop"].get(NamespaceLimit::PluginCpu), Some(1_500));
    store.engine.limit_namespace(&me(), "shop", [(NamespaceLimit::PluginCpu, None)].into()).unwrap();
    store.engine.limit_namespace(&me(), "shop", changes(&[(NamespaceLimit::PluginCount, 3)])).unwrap();
    store.engine.limit_namespace(&me(), "public", changes(&[(NamespaceLimit::PluginLogRate, 7)])).unwrap();
    let unknown = store.engine.limit_namespace(&me(), "nowhere", changes(&first));
    assert_eq!(message(unknown), "namespace \"nowhere\" does not exist");
    let low = store.engine.limit_namespace(&me(), "shop", changes(&[(NamespaceLimit::PluginCpu, 1)]));
    assert_eq!(message(low), "plugin_cpu must be at least 0.01 of a core");

    let mut expected = NamespaceLimits::built_in();
    expected.set(NamespaceLimit::PluginMemory, Some(1 << 30));
    expected.set(NamespaceLimit::PluginCount, Some(3));
    // The first opening reads the log, the second the checkpoint that closing took.
    for _ in 0..2 {
        assert_eq!(store.engine.namespace_limits(&me(), "shop").unwrap(), expected);
        store = store.reopen();
        let host = Arc::new(Host::default());
        store.engine.set_plugin_host(host.clone());
        assert_eq!(host.told.lock()["shop"], expected);
        assert_eq!(host.told.lock()["public"].get(NamespaceLimit::PluginLogRate), Some(7));
    }
    store.engine.drop_namespace(&me(), "shop").unwrap();
    store.engine.create_namespace(&me(), "shop", &NamespaceLimitChanges::new()).unwrap();
    assert_eq!(store.engine.namespace_limits(&me(), "shop").unwrap(), NamespaceLimits::built_in());
}

#[test]
fn a_plugin_fits_its_namespace() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.namespace_limits.set(NamespaceLimit::PluginConcurrency, Some(2));
    let engine = Engine::open_with(options).unwrap();
    engine.set_plugin_host(Arc::new(Host::default()));
    let limits = changes(&[
        (NamespaceLimit::PluginMemory, 32 << 20),
        (NamespaceLimit::PluginCpu, 500),
        (NamespaceLimit::PluginTimeoutMax, 100),
        (NamespaceLimit::PluginCount, 2),
        (NamespaceLimit::PluginModuleBytes, 10),
    ]);
    engine.create_namespace(&me(), "shop", &limits).unwrap();
    let default = engine.default_plugin_limits(&me(), "shop").unwrap();
    assert_eq!((default.memory_bytes, default.call_timeout_ms, default.concurrency), (32 << 20, 100, 2));
    let refused = |limits: PluginLimits| message(create(&engine, "shop", "p", b"12345", limits));
    let d = || default.clone();
    assert_eq!(
        refused(PluginLimits { memory_bytes: 33 << 20, ..d() }),
        "memory is 34603008, and plugin_memory of namespace \"shop\" is 33554432"
    );
    assert_eq!(
        refused(PluginLimits { cpu_milli: Some(750), ..d() }),
        "cpu is 0.75, and plugin_cpu of namespace \"shop\" is 0.5"
    );
    assert_eq!(
        refused(PluginLimits { call_timeout_ms: 101, ..d() }),
        "timeout is 101 ms, and plugin_timeout_max of namespace \"shop\" is 100 ms"
    );
    assert!(refused(PluginLimits { concurrency: 3, ..d() }).contains("plugin_concurrency of namespace \"shop\" is 2"));

    create(&engine, "shop", "p", b"12345", d()).unwrap();
    create(&engine, "shop", "p", b"12345", d()).expect("the same module counts once");
    create(&engine, "shop", "q", b"1234", d()).unwrap();
    assert_eq!(
        message(create(&engine, "shop", "r", b"1", d())),
        "plugin_count of namespace \"shop\" is 2, and with plugin \"r\" it would be 3; drop plugins that are not used, or \
         raise it with ALTER NAMESPACE"
    );
    assert!(message(create(&engine, "shop", "q", b"67", d())).contains("with plugin \"q\" it would be 11"));
    let usage = engine.namespace_usage(&me()).unwrap();
    let shop = usage.iter().find(|usage| usage.namespace == "shop").unwrap();
    assert_eq!((shop.plugins, shop.module_bytes), (2, 9));
    engine.drop_plugin(&me(), "shop", "p").unwrap();
    create(&engine, "shop", "q", b"67", d()).unwrap();
    create(&engine, "public", "p", &[0; 100], PluginLimits { concurrency: 2, ..PluginLimits::default() }).unwrap();
}

#[test]
fn readers_wait_for_a_plugin_that_is_over_its_share_and_miss_nothing() {
    let fixture = Fixture::new();
    let host = Arc::new(Host::default());
    fixture.engine.set_plugin_host(host.clone());
    let plugin = create(&fixture.engine, "public", "all", b"all", PluginLimits::default()).unwrap();
    let table = fixture.table("t", 1);
    let spec = TopicSpec { plugins: vec![plugin.id], ..topic_spec("even", &table, "even", OnError::Stop) };
    let topic = fixture.engine.create_topic(&who(), spec).unwrap();
    fixture.append(&table, 0, 0..6);
    let member = fixture.join(manual("g"), &["even"]);
    host.held.store(true, Ordering::SeqCst);
    assert!(member.fetch(topic.id, MIB).unwrap().is_none());
    assert!(member.due_in().is_some_and(|due| due <= Duration::from_millis(20)));
    assert!(member.poll(MIB, NO_WAIT).unwrap().is_empty());
    assert_eq!(fixture.compiler.calls(), 0, "nothing was evaluated");
    host.held.store(false, Ordering::SeqCst);
    let delivery = member.fetch(topic.id, MIB).unwrap().expect("the rows");
    assert_eq!((numbers(&delivery), delivery.next_offset), (vec![0, 2, 4], 6));
    // What is evaluated already is given meanwhile.
    host.held.store(true, Ordering::SeqCst);
    let other = fixture.join(manual("h"), &["even"]);
    assert_eq!(numbers(&other.fetch(topic.id, MIB).unwrap().expect("the same rows")), [0, 2, 4]);
    fixture.append(&table, 0, 6..9);
    let held = host.held.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            std::thread::sleep(Duration::from_millis(100));
            held.store(false, Ordering::SeqCst);
        });
        let polled = member.poll(MIB, Duration::from_secs(30)).unwrap();
        assert_eq!(polled.iter().flat_map(numbers).collect::<Vec<_>>(), [6, 8]);
    });
}

#[test]
fn a_suspension_is_recorded_as_soon_as_it_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.maintenance_interval_ms = 3_600_000;
    let engine = Engine::open_with(options).unwrap();
    let host = Arc::new(Host::default());
    engine.set_plugin_host(host.clone());
    let plugin = create(&engine, "public", "p", b"p", PluginLimits::default()).unwrap();
    host.suspended.lock().push((plugin.id, PluginSuspension { since_us: 7, reason: "it fails".to_owned() }));
    let notice = host.notice.lock().take().expect("the engine wants to know");
    (notice.0)();
    let patience = Instant::now() + Duration::from_secs(30);
    while engine.plugin(&me(), "public", "p").unwrap().suspended.is_none() {
        assert!(Instant::now() < patience, "it was not recorded");
        std::thread::sleep(Duration::from_millis(5));
    }
}
