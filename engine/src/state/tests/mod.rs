//! The fold, its checkpoints, and what it admits.

mod admission;
mod consumers;
mod continuous;
mod histories;
mod partitions;
mod pops;
mod producers;
mod scale;
mod stores;
pub(crate) mod tallies;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema};

use super::{Admission, State};
use crate::contract::{
    CheckbackInfo, CheckbackSettings, ConsumerOutput, FunctionInfo, PluginDescription, PluginInfo, PluginKind,
    PluginLimits, Volatility,
};
use crate::model::{
    CheckbackId, ConsumerId, FunctionId, Lsn, MessageKind, OnError, PluginConsumerInfo, PluginConsumerSettings,
    PluginId, Principal, Result, TableId, TableInfo, TableOptions, TopicId, TopicInfo, TopicSource, message_schema,
};
use crate::state::Submission;
use crate::state::record::assign_id;
use crate::state::{Change, GroupKey, Record, RecordContext, RowsRecord, SegmentMeta};

impl State {
    /// Without what no decision looks at and what is only known once a commit lies in a file: the bytes of frames, and the
    /// LSNs of frames that end a commit.
    pub(crate) fn as_decided(&self) -> State {
        let mut decided = State { applied: Lsn(0), ..self.ahead() };
        let tables: Vec<(TableId, u32)> =
            self.catalog.tables().map(|info| (info.id, info.options.partitions)).collect();
        for (table, partition) in tables.into_iter().flat_map(|(table, of)| (0..of).map(move |part| (table, part))) {
            if let Some(found) = decided.catalog.partition_mut(table, partition) {
                (found.log_bytes, found.oldest_unsegmented_lsn) = (0, None);
            }
        }
        decided
    }
}

/// A state and the log that made it.
pub(super) struct History {
    pub(super) state: State,
    pub(super) records: Vec<(RecordContext, Record)>,
    pub(super) now_us: i64,
}

impl History {
    pub(super) fn new() -> History {
        History { state: State::default(), records: Vec::new(), now_us: 1_000_000 }
    }

    /// Puts a record at the end of the log.
    pub(super) fn push(&mut self, record: Record) -> Lsn {
        let lsn = Lsn(self.state.applied().0 + 1);
        let context = RecordContext { lsn, append_us: self.now_us, epoch: 1 };
        self.state.apply(context, &record).unwrap();
        self.records.push((context, record));
        lsn
    }

    /// As the writer does: admits the change, gives it its id, logs it.
    pub(super) fn change(&mut self, mut change: Change) -> Result<Lsn> {
        self.admit(&Submission::of([change.clone()]))?;
        let lsn = Lsn(self.state.applied().0 + 1);
        assign_id(&mut change, lsn);
        Ok(self.push(Record::Change(Box::new(change))))
    }

    pub(super) fn admit(&self, submission: &Submission) -> Result<Admission> {
        self.state.admit(submission)
    }

    pub(super) fn table(&mut self, name: &str, partitions: u32) -> TableId {
        TableId(self.change(table("public", name, partitions)).unwrap().0)
    }

    /// Appends rows at the partition's end.
    pub(super) fn rows(&mut self, table: TableId, partition: u32, rows: u32) {
        let base_offset = self.state.partition(table, partition).map_or(0, |found| found.end);
        let rows = RowsRecord {
            min_event_us: self.now_us,
            max_event_us: self.now_us,
            ..rows_record(table, partition, base_offset, rows)
        };
        self.push(Record::Rows(rows));
    }
}

pub(super) fn rows_record(table: TableId, partition: u32, base_offset: u64, rows: u32) -> RowsRecord {
    RowsRecord {
        table,
        partition,
        schema_version: 1,
        base_offset,
        rows,
        min_event_us: 0,
        max_event_us: 0,
        frame_bytes: 100 + rows * 10,
    }
}

pub(super) fn table(namespace: &str, name: &str, partitions: u32) -> Change {
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)]));
    Change::TableCreated(TableInfo {
        id: TableId(0),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        schemas: vec![schema],
        options: TableOptions { partitions, ..TableOptions::default() },
        owner: Principal::anonymous(),
        created: Lsn(0),
    })
}

/// A table that takes half messages.
pub(super) fn message_table(name: &str) -> Change {
    let options = TableOptions { messages: Some(MessageKind::Any), ..TableOptions::default() };
    let Change::TableCreated(info) = table("public", name, 1) else { unreachable!("it is a table") };
    Change::TableCreated(TableInfo { schemas: vec![message_schema()], options, ..info })
}

/// A plugin that decides on half messages.
pub(super) fn judge(name: &str, version: u32) -> Change {
    let Change::PluginCreated(mut info) = plugin(name, version) else { unreachable!("it is a plugin") };
    info.description.kind = PluginKind::Checkback;
    info.description.parameters = vec![("body".to_owned(), DataType::Utf8)];
    Change::PluginCreated(info)
}

pub(super) fn checkback(name: &str, table: TableId, plugin: &str) -> Change {
    Change::CheckbackCreated(CheckbackInfo {
        id: CheckbackId(0),
        namespace: "public".to_owned(),
        name: name.to_owned(),
        table,
        plugin: plugin.to_owned(),
        settings: CheckbackSettings::default(),
        owner: Principal::anonymous(),
        created: Lsn(0),
    })
}

pub(super) fn topic(namespace: &str, name: &str, table: TableId, plugins: Vec<PluginId>) -> TopicInfo {
    TopicInfo {
        id: TopicId(0),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        table,
        table_schema_version: 1,
        source: TopicSource::Select { definition: "SELECT id".to_owned(), plugins, functions: Vec::new() },
        output_schema: Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false)])),
        on_error: OnError::Stop,
        shadow: None,
        version: 1,
        base: None,
        earlier: Vec::new(),
        owner: Principal::anonymous(),
        created: Lsn(0),
    }
}

pub(super) fn plugin(name: &str, version: u32) -> Change {
    let description = PluginDescription {
        name: name.to_owned(),
        kind: PluginKind::Filter,
        contract: "millstream:plugin@0.1.0".to_owned(),
        parameters: vec![("carrier".to_owned(), DataType::Utf8)],
        returns: DataType::Boolean,
        volatility: Volatility::Immutable,
        capabilities: BTreeSet::new(),
        outputs: Vec::new(),
        tables: Vec::new(),
        http_hosts: Vec::new(),
    };
    Change::PluginCreated(Box::new(PluginInfo {
        id: PluginId(0),
        namespace: "public".to_owned(),
        name: name.to_owned(),
        version,
        sha256: "00".repeat(32),
        module_bytes: 8,
        description,
        limits: PluginLimits::default(),
        config: String::new(),
        grants: BTreeSet::new(),
        suspended: None,
        tables: Vec::new(),
        http_hosts: Vec::new(),
        owner: Principal::anonymous(),
        created: Lsn(0),
    }))
}

/// A plugin as the catalog has it, of a module that is there.
pub(crate) fn plugin_of_module(id: PluginId, sha256: &str) -> PluginInfo {
    let Change::PluginCreated(info) = plugin("p", 1) else { unreachable!("a plugin") };
    PluginInfo { id, sha256: sha256.to_owned(), ..*info }
}

/// A version of a consumer plugin with one output.
pub(super) fn consumer_plugin(name: &str, version: u32) -> Change {
    let Change::PluginCreated(mut info) = plugin(name, version) else { unreachable!("a plugin") };
    info.description.kind = PluginKind::Consumer;
    info.description.outputs =
        vec![ConsumerOutput { name: "out".to_owned(), schema: Arc::new(Schema::new(Vec::<Field>::new())) }];
    Change::PluginCreated(info)
}

pub(super) fn consumer(name: &str, topic: TopicId, plugin: PluginId, group: &str, output: TableId) -> Change {
    Change::PluginConsumerCreated(PluginConsumerInfo {
        id: ConsumerId(0),
        namespace: "public".to_owned(),
        name: name.to_owned(),
        topic,
        plugin,
        group: group.to_owned(),
        outputs: vec![output],
        settings: PluginConsumerSettings { state_bytes: 2_000, ..PluginConsumerSettings::default() },
        upcoming: None,
        paused: false,
        version: 1,
        owner: Principal::anonymous(),
        created: Lsn(0),
    })
}

/// A function over a plugin that [`plugin`] made.
pub(super) fn function(name: &str, plugin: &str) -> Change {
    Change::FunctionCreated(FunctionInfo {
        id: FunctionId(0),
        namespace: "public".to_owned(),
        name: name.to_owned(),
        parameters: vec![("a".to_owned(), DataType::Utf8)],
        returns: DataType::Boolean,
        plugin: plugin.to_owned(),
        owner: Principal::anonymous(),
        created: Lsn(0),
    })
}

pub(super) fn group(name: &str, client: Option<&str>) -> GroupKey {
    GroupKey { namespace: "public".into(), group: name.into(), client: client.map(Into::into) }
}

pub(super) fn segment(id: u64, first_offset: u64, next_offset: u64) -> SegmentMeta {
    SegmentMeta {
        id,
        first_offset,
        next_offset,
        schema_version: 1,
        bytes: 50,
        log_bytes: 100,
        path: format!("segments/{id}.parquet"),
        min_event_us: 1,
        max_event_us: 2,
        min_append_us: 1,
        max_append_us: 2,
        next_lsn: Lsn(next_offset + 1),
        body_bytes: 40,
        tail_crc32c: 7,
        first_lsn: Lsn(first_offset + 1),
    }
}
