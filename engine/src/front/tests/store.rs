//! A store with an object of each kind, all of one owner.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::DataType;
use tempfile::TempDir;

use super::host::{COPIES, CopyingHost, JUDGES, schema};
use crate::contract::{CheckbackSettings, CheckbackSpec, FunctionSpec, PluginInfo, PluginSettings, PluginSpec};
use crate::front::Engine;
use crate::messages::{MessageClient, MessageClientRole, MessageSubscription};
use crate::model::{
    Append, AutoOffsetReset, Chosen, ConsumerConfig, ContinuousSettings, ContinuousSpec, FunctionId, MessageKind,
    NamespaceLimit, NamespaceLimitChanges, Offset, OnError, PartitionChoice, PartitionId, PluginConsumerSettings,
    PluginConsumerSpec, PopChoice, PopReceipt, PopRequest, PopStart, Principal, Result, TableId, TableOptions,
    TableSpec, TopicId, TopicInfo, TopicSpec, TransactionId,
};
use crate::platform::{AuditOptions, EngineOptions};
use crate::state::Change;

pub(super) const NAMESPACE: &str = "public";

/// Namespace `other`; tables `t` with a row in a segment, `out`, and `m` of messages; plugins `p`, in two versions, and [`COPIES`]; function `f`
/// and topic `sel`, which call the first version of `p`, and the second one as a shadow; group `g` on `t`, with a client of messages; consumer `c`
/// from `t` to `out`; checkback `k` of `m`, which asks [`JUDGES`]; `n` of messages without one; continuous topic `cont` over table `src`.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) engine: Engine,
    pub(super) table: TableId,
    /// `m`, with a message that waits for its time and a half message.
    pub(super) messages: TableId,
    pub(super) half: TransactionId,
    pub(super) topic: Arc<TopicInfo>,
    pub(super) plugin: Arc<PluginInfo>,
    pub(super) function: FunctionId,
    dir: TempDir,
    paths: AtomicU64,
}

impl Store {
    pub(super) fn new(owner: &Principal) -> Store {
        Store::with(owner, AuditOptions::default())
    }

    pub(super) fn with(owner: &Principal, audit: AuditOptions) -> Store {
        let dir = tempfile::tempdir().expect("a directory");
        let engine = Engine::open_with(EngineOptions { segment_threads: 0, audit, ..EngineOptions::new(dir.path()) });
        let engine = engine.expect("it opens");
        engine.set_plugin_host(Arc::new(CopyingHost::default()));
        let limits: NamespaceLimitChanges = [(NamespaceLimit::Topics, Some(100))].into();
        engine.create_namespace(owner, "other", &limits).expect("a namespace");
        let table = engine.create_table(owner, table_spec("t")).expect("a table").id;
        engine.create_table(owner, table_spec("out")).expect("a table");
        let plugin = engine.create_plugin(owner, plugin_spec("p"), false).expect("a plugin");
        let function = engine.create_function(owner, function_spec("f")).expect("a function").id;
        let spec = TopicSpec { plugins: vec![plugin.id], functions: vec![function], ..topic_spec(table, "sel") };
        let topic = engine.create_topic(owner, spec).expect("a topic");
        let second = engine.create_plugin(&Principal::named("another"), plugin_spec("p"), true).expect("a version");
        engine
            .record(owner, vec![Change::TopicShadowed { topic: topic.id, shadow: Some(second.id) }])
            .expect("a shadow");
        let copies = engine.create_plugin(owner, plugin_spec(COPIES), false).expect("a plugin");
        engine.load_plugin(owner, copies.id).expect("it is loaded");
        engine.create_plugin_consumer(owner, consumer_spec("c")).expect("a consumer");
        drop(engine.join(owner, group("g"), &["t".to_owned()]).expect("a group"));
        let client = message_client(MessageClientRole::Consumer, vec![subscription()]);
        engine.message_client_alive(owner, NAMESPACE, "g", client).expect("it is alive");
        let spec = TableSpec::of_messages(NAMESPACE, "m", MessageKind::Any, TableOptions::default());
        let messages = engine.create_table(owner, spec).expect("a message table").id;
        engine.create_plugin(owner, plugin_spec(JUDGES), false).expect("a plugin");
        engine.create_checkback(owner, checkback_spec("k", "m")).expect("a checkback");
        let n = TableSpec::of_messages(NAMESPACE, "n", MessageKind::Any, TableOptions::default());
        engine.create_table(owner, n).expect("a message table");
        let later = engine.now_us() + 3_600_000_000;
        engine.append(owner, message(messages, Some(later)), None).expect("queued").wait().expect("it waits");
        let half = engine.begin_transactions(owner, &message(messages, None), "g", None).expect("queued");
        let lsn = half.wait().expect("there is room").wait().expect("it begins").lsn;
        let half = TransactionId { lsn, index: 0 };
        engine.create_table(owner, table_spec("src")).expect("a table");
        engine.advance_watermark(owner, NAMESPACE, "src", 1).expect("it is on record");
        engine.create_continuous_topic(owner, continuous_spec("cont")).expect("a continuous topic");
        let store = Store { engine, table, messages, half, topic, plugin, function, dir, paths: AtomicU64::default() };
        store.append(owner);
        store.engine.cut_segments(owner, table).expect("a segment");
        store
    }

    pub(super) fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Where nothing is yet, each time another place.
    pub(super) fn unused_path(&self) -> PathBuf {
        let number = self.paths.fetch_add(1, Ordering::Relaxed);
        self.dir.path().join(format!("unused-{number}"))
    }

    pub(super) fn append(&self, who: &Principal) {
        self.engine.append(who, append(self.table), None).expect("queued").wait().expect("appended");
    }
}

pub(super) fn checkback_spec(name: &str, table: &str) -> CheckbackSpec {
    let [namespace, name, table, plugin] = [NAMESPACE, name, table, JUDGES].map(str::to_owned);
    CheckbackSpec {
        namespace,
        name,
        table,
        plugin,
        settings: CheckbackSettings { after_ms: 3_600_000, ..CheckbackSettings::default() },
    }
}

pub(super) fn row() -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    RecordBatch::try_new(schema(), vec![ids]).expect("a row")
}

pub(super) fn append(table: TableId) -> Append {
    Append { table, partition: PartitionChoice::ByKey, batch: row() }
}

/// A message, which has the id `waits` where it has a time.
pub(super) fn message(table: TableId, deliver_us: Option<i64>) -> Append {
    let body: ArrayRef = Arc::new(BinaryArray::from_iter_values([b"x"]));
    let id: ArrayRef = Arc::new(StringArray::from(vec![deliver_us.map(|_| "waits")]));
    let time: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![deliver_us]).with_timezone("UTC"));
    let columns = [("body", body, false), ("message_id", id, true), ("deliver_ts", time, true)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
    Append { table, partition: PartitionChoice::ByKey, batch }
}

pub(super) fn message_client(role: MessageClientRole, subscriptions: Vec<MessageSubscription>) -> MessageClient {
    MessageClient { client_id: "c".to_owned(), role, connection: 1, address: String::new(), subscriptions }
}

fn subscription() -> MessageSubscription {
    let (topic, kind, expression) = ("m".to_owned(), "TAG".to_owned(), "*".to_owned());
    MessageSubscription { topic, kind, expression, version: 1 }
}

pub(super) fn table_spec(name: &str) -> TableSpec {
    let (namespace, name) = (NAMESPACE.to_owned(), name.to_owned());
    TableSpec { namespace, name, schema: schema(), options: TableOptions::default() }
}

pub(super) fn topic_spec(table: TableId, name: &str) -> TopicSpec {
    TopicSpec {
        namespace: NAMESPACE.to_owned(),
        name: name.to_owned(),
        table,
        table_schema_version: 1,
        definition: "all".to_owned(),
        output_schema: schema(),
        plugins: Vec::new(),
        functions: Vec::new(),
        on_error: OnError::Stop,
    }
}

pub(super) fn plugin_spec(name: &str) -> PluginSpec {
    let (namespace, name) = (NAMESPACE.to_owned(), name.to_owned());
    PluginSpec { namespace, name, module: Arc::from(&b"module"[..]), settings: PluginSettings::default() }
}

/// Over the plugin `p`.
pub(super) fn function_spec(name: &str) -> FunctionSpec {
    FunctionSpec {
        namespace: NAMESPACE.to_owned(),
        name: name.to_owned(),
        parameters: vec![("id".to_owned(), DataType::Int64)],
        returns: DataType::Boolean,
        plugin: "p".to_owned(),
    }
}

pub(super) fn consumer_spec(name: &str) -> PluginConsumerSpec {
    PluginConsumerSpec {
        namespace: NAMESPACE.to_owned(),
        name: name.to_owned(),
        topic: "t".to_owned(),
        plugin: COPIES.to_owned(),
        group: None,
        outputs: vec![("out".to_owned(), "out".to_owned())],
        from: AutoOffsetReset::Earliest,
        settings: PluginConsumerSettings::default(),
    }
}

/// Of the rows of `src`; no test here computes it.
pub(super) fn continuous_spec(name: &str) -> ContinuousSpec {
    ContinuousSpec {
        namespace: NAMESPACE.to_owned(),
        name: name.to_owned(),
        sources: vec!["src".to_owned()],
        definition: "windows".to_owned(),
        plugins: Vec::new(),
        functions: Vec::new(),
        output_schema: schema(),
        output_time: None,
        late_schema: Some(schema()),
        fingerprint: "1".to_owned(),
        settings: ContinuousSettings::default(),
    }
}

pub(super) fn group(name: &str) -> ConsumerConfig {
    let auto_offset_reset = AutoOffsetReset::Earliest;
    ConsumerConfig { group_id: name.to_owned(), auto_offset_reset, ..ConsumerConfig::default() }
}

pub(super) fn identity(table: TableId) -> TopicId {
    TopicId(table.0)
}

pub(super) const RECEIPT: PopReceipt = PopReceipt { partition: 0, offset: 0, first: 0, number: 1, handed_ms: 0 };

/// Takes no message.
#[derive(Debug)]
pub(super) struct Nothing;

impl PopChoice for Nothing {
    fn choose(&mut self, _: PartitionId, _: Offset, _: &RecordBatch, _: usize) -> Result<Chosen> {
        Ok(Chosen::default())
    }

    fn bytes(&self, _: &RecordBatch, _: usize) -> Result<usize> {
        Ok(0)
    }
}

pub(super) fn pop_request(group: &str, table: TableId) -> PopRequest {
    PopRequest {
        namespace: NAMESPACE.to_owned(),
        group: group.to_owned(),
        table,
        partition: None,
        messages: 1,
        bytes: 1,
        invisible: Duration::from_secs(1),
        max_attempts: 1,
        in_order: false,
        start: PopStart::Earliest,
        kept_by: None,
    }
}
