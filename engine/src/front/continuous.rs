//! Continuous topics, and how far event time has come.

use std::sync::Arc;

use super::define::table_info;
use super::drops::Drops;
use super::names::{check_name, check_namespace};
use super::session::Session;
use super::topics::check_defined;
use crate::access::{Action, ObjectKind};
use crate::front::Engine;
use crate::model::{
    ContinuousId, ContinuousInfo, ContinuousSpec, ContinuousStatus, Error, LatePolicy, Lsn, Principal, Result, TableId,
    TableInfo, TableOptions, TableSpec, TopicId, TopicInfo, WatermarkInfo,
};
use crate::state::{Change, ContinuousHeader, ContinuousRecord, Submission, WatermarkAdvance};

impl Engine {
    /// Creates the topic with the table of its name, which is its output, and, if it keeps late rows, the table of these. It begins at
    /// once.
    pub fn create_continuous_topic(&self, who: &Principal, spec: ContinuousSpec) -> Result<Arc<ContinuousInfo>> {
        let session = self.session(who)?;
        session.create(ObjectKind::Topic, &spec.namespace, &spec.name)?;
        check_namespace(&spec.namespace)?;
        check_name("topic", &spec.name)?;
        check_defined(&spec.definition, &spec.output_schema)?;
        check_settings(&spec)?;
        let id = self.define(|engine| {
            let info = session.continuous_info(&spec)?;
            let changes = creation(info, &spec, who)?;
            let (count, of) = (changes.len() - 1, (spec.namespace.as_str(), "topic", spec.name.as_str()));
            let lsn = engine.with_room_for_topics(who, of, (count, 1), || engine.record(who, changes))?;
            Ok(ContinuousId(lsn.0))
        })?;
        self.rooms.ledger.continuous(id)
    }

    /// It keeps its place and its state, and does nothing until it is resumed.
    pub fn pause_continuous_topic(&self, who: &Principal, namespace: &str, name: &str) -> Result<Arc<ContinuousInfo>> {
        self.alter_continuous(who, namespace, name, true)
    }

    /// Of one that was paused, and of one that has stopped: it goes on where it was.
    pub fn resume_continuous_topic(&self, who: &Principal, namespace: &str, name: &str) -> Result<Arc<ContinuousInfo>> {
        self.alter_continuous(who, namespace, name, false)
    }

    fn alter_continuous(
        &self,
        who: &Principal,
        namespace: &str,
        name: &str,
        paused: bool,
    ) -> Result<Arc<ContinuousInfo>> {
        let session = self.session(who)?;
        let id = self.define(|engine| {
            let info = session.continuous(namespace, name)?;
            let id = info.id;
            if info.paused && paused {
                return Ok(id);
            }
            let version = info.version.saturating_add(1);
            let info = ContinuousInfo { paused, version, ..ContinuousInfo::clone(&info) };
            engine.record(who, vec![Change::ContinuousReplaced(info)])?;
            Ok(id)
        })?;
        self.rooms.ledger.continuous(id)
    }

    /// Throws its state and its output away and begins anew with what is retained of its sources, as its definition is computed now.
    /// Its tables are made anew, so that it is refused while topics, members, committed offsets or consumers are on them.
    pub fn rebuild_continuous_topic(
        &self,
        who: &Principal,
        namespace: &str,
        name: &str,
    ) -> Result<Arc<ContinuousInfo>> {
        let session = self.session(who)?;
        let rebuilt = self.define(|engine| {
            let info = session.continuous(namespace, name)?;
            let drops = engine.drops_of_continuous(&info);
            engine.refuse_consumers(&drops)?;
            engine.refuse_continuous_drop(&info, &drops)?;
            let plan = engine.rooms.continuous.compile(&info)?;
            let spec = ContinuousSpec {
                namespace: info.namespace.clone(),
                name: info.name.clone(),
                sources: Vec::new(),
                definition: info.definition.clone(),
                plugins: info.plugins.clone(),
                functions: info.functions.clone(),
                output_schema: plan.output_schema().clone(),
                output_time: engine.rooms.ledger.table(info.output)?.options.time_column.clone(),
                late_schema: plan.late_schema().cloned(),
                fingerprint: plan.fingerprint().to_owned(),
                settings: info.settings,
            };
            let fingerprint = spec.fingerprint.clone();
            let anew = ContinuousInfo { fingerprint, paused: false, version: 1, ..ContinuousInfo::clone(&info) };
            let dropped: Vec<TopicId> = drops.tables().map(|table| TopicId(table.0)).collect();
            let mut changes = vec![Change::ContinuousDropped { topic: info.id }];
            changes.extend(drops.tables().map(|table| Change::TableDropped { table }));
            changes.extend(creation(anew, &spec, &info.owner)?);
            match engine.record(who, changes) {
                Err(Error::NotFound { .. }) => Err(Error::Busy("the topic was dropped meanwhile".to_owned())),
                recorded => Ok((dropped, recorded?)),
            }
        });
        let (dropped, lsn) = session.veiled(namespace, rebuilt)?;
        self.forget(&dropped);
        self.rooms.ledger.continuous(ContinuousId(lsn.0))
    }

    /// All of them with how they fare, by namespace and name.
    pub fn continuous_topics(&self, who: &Principal) -> Result<Vec<ContinuousStatus>> {
        let session = self.session(who)?;
        let all: Vec<(Arc<ContinuousInfo>, Arc<TableInfo>)> = {
            let state = self.rooms.ledger.state.read();
            let catalog = state.catalog();
            catalog
                .continuous_topics()
                .filter_map(|info| Some((info.clone(), state.table(info.output)?.clone())))
                .collect()
        };
        let mut found = session.allowed_of(Action::See, all, |(_, output)| output.as_ref().into());
        found.sort_by(|(a, _), (b, _)| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(found.into_iter().map(|(info, _)| self.continuous_status(info)).collect())
    }

    fn continuous_status(&self, info: Arc<ContinuousInfo>) -> ContinuousStatus {
        let stopped = self.rooms.continuous.stopped(&info);
        let state = self.rooms.ledger.state.read();
        let header = state.continuous_header(info.id).cloned().unwrap_or_default();
        let ContinuousHeader { watermark_us, rows_in, rows_out, late_rows, ahead_rows, .. } = *header;
        let (open_windows, state_bytes) = (header.open_windows, header.open_bytes);
        let (mut positions, mut lag) = (Vec::new(), 0_u64);
        for (source, table) in info.sources.iter().enumerate() {
            let known = header.sources.get(source);
            for (partition, found) in (0_usize..).zip(state.catalog().partitions(*table).unwrap_or_default()) {
                let next = known.map_or(found.start, |known| known.get(partition).map_or(0, |known| known.next));
                positions.push((*table, u32::try_from(partition).unwrap_or(u32::MAX), next));
                lag = lag.saturating_add(found.end.saturating_sub(next.max(found.start)));
            }
        }
        drop(state);
        ContinuousStatus {
            info,
            positions,
            lag,
            watermark_us,
            open_windows,
            state_bytes,
            rows_in,
            rows_out,
            late_rows,
            ahead_rows,
            stopped,
        }
    }

    /// Says that event time has come to `to_us` in the table: rows that are appended from now on with an earlier one are late for
    /// windows that have ended by then. It never goes back: what is less says nothing.
    pub fn advance_watermark(&self, who: &Principal, namespace: &str, name: &str, to_us: i64) -> Result<()> {
        let table = self.session(who)?.table(Action::Define, namespace, name)?;
        let by = self.rooms.ledger.state.read().catalog().continuous_of_table(table.id).cloned();
        if let Some(by) = by.filter(|by| by.output == table.id) {
            return Err(Error::FailedPrecondition(format!(
                "the watermark of table {name:?} is that of continuous topic {:?}; advance those of the tables that it reads",
                by.name
            )));
        }
        let advance = WatermarkAdvance { table: table.id, to_us };
        self.submit_for(who, Submission::of([ContinuousRecord::Advanced(advance)])).map(drop)
    }

    /// Of the tables of which it is on record how far event time has come, by namespace and name.
    pub fn watermarks(&self, who: &Principal) -> Result<Vec<WatermarkInfo>> {
        let mut found = Vec::new();
        for table in self.tables(who)? {
            let state = self.rooms.ledger.state.read();
            let recorded = state.recorded_watermarks(table.id).last().copied();
            let topic = state.catalog().continuous_of_table(table.id).map(|info| info.name.clone());
            drop(state);
            found.extend(recorded.map(|recorded| WatermarkInfo {
                table,
                watermark_us: recorded.watermark_us,
                recorded_us: recorded.instant_us,
                topic,
            }));
        }
        Ok(found)
    }

    /// The continuous topic that has its rows in the table of this identity topic.
    pub(super) fn continuous_of(&self, topic: &TopicInfo) -> Option<Arc<ContinuousInfo>> {
        let state = self.rooms.ledger.state.read();
        let found = state.catalog().continuous_of_table(TableId(topic.id.0)).cloned();
        found.filter(|info| info.output == TableId(topic.id.0) && topic.table == info.output)
    }

    /// Refuses what only `force` drops.
    pub(super) fn refuse_continuous_drop(&self, info: &ContinuousInfo, drops: &Drops) -> Result<()> {
        let in_use = |by: String| Err(Error::InUse { what: "topic", name: info.name.clone(), by });
        for table in [Some(info.output), info.late].into_iter().flatten() {
            self.refuse_members("topic", &info.name, TopicId(table.0))?;
            let state = self.rooms.ledger.state.read();
            if let Some((_, group)) = state.groups_of_topic(TopicId(table.0)).next() {
                return in_use(format!("the committed offsets of consumer group {group:?}"));
            }
        }
        let state = self.rooms.ledger.state.read();
        if let Some(over) = drops.topics.first().and_then(|over| state.topic(*over)) {
            return in_use(format!("topic {:?}, which reads its rows", over.name));
        }
        match drops.continuous.get(1).and_then(|over| state.catalog().continuous(*over)) {
            Some(over) => in_use(format!("continuous topic {:?}, which reads its rows", over.name)),
            None => Ok(()),
        }
    }
}

impl Session<'_> {
    /// A continuous topic that is to be altered: it is checked as its output.
    fn continuous(&self, namespace: &str, name: &str) -> Result<Arc<ContinuousInfo>> {
        let topic = self.topic(Action::Define, namespace, name)?;
        let found = self.continuous_named(namespace, name);
        found.ok_or_else(|| Error::FailedPrecondition(format!("topic {:?} is no continuous topic", topic.name)))
    }

    /// What is to be created, without ids.
    fn continuous_info(&self, spec: &ContinuousSpec) -> Result<ContinuousInfo> {
        let (mut sources, mut source_versions) = (Vec::new(), Vec::new());
        for name in &spec.sources {
            let table = self.table(Action::Read, &spec.namespace, name)?;
            sources.push(table.id);
            source_versions.push(table.schema_version());
        }
        spec.plugins.iter().try_for_each(|id| self.plugin_by_id(Action::Use, *id).map(drop))?;
        spec.functions.iter().try_for_each(|id| self.function_by_id(Action::Use, *id).map(drop))?;
        Ok(ContinuousInfo {
            id: ContinuousId(0),
            namespace: spec.namespace.clone(),
            name: spec.name.clone(),
            sources,
            source_versions,
            definition: spec.definition.clone(),
            plugins: spec.plugins.clone(),
            functions: spec.functions.clone(),
            output: TableId(0),
            late: None,
            fingerprint: spec.fingerprint.clone(),
            settings: spec.settings,
            paused: false,
            version: 1,
            owner: self.who.clone(),
            created: Lsn(0),
        })
    }
}

/// The topic's tables, then the topic.
fn creation(info: ContinuousInfo, spec: &ContinuousSpec, owner: &Principal) -> Result<Vec<Change>> {
    let table = |name: &str, schema, time_column| {
        let options = TableOptions { time_column, ..TableOptions::default() };
        let spec = TableSpec { namespace: spec.namespace.clone(), name: name.to_owned(), schema, options };
        table_info(spec, owner)
    };
    let mut changes =
        vec![Change::TableCreated(table(&spec.name, spec.output_schema.clone(), spec.output_time.clone())?)];
    if let Some(late) = &spec.late_schema {
        changes.push(Change::TableCreated(table(&ContinuousSpec::late_table(&spec.name), late.clone(), None)?));
    }
    // Its record gives it the ids of the tables before it.
    let late = spec.late_schema.as_ref().map(|_| TableId(0));
    changes.push(Change::ContinuousCreated(ContinuousInfo { late, ..info }));
    Ok(changes)
}

fn check_settings(spec: &ContinuousSpec) -> Result<()> {
    let wrong = |why: &str| Err(Error::InvalidInput(format!("continuous topic {:?}: {why}", spec.name)));
    if spec.sources.is_empty() {
        return wrong("it reads no table");
    }
    if spec.settings.idle_ms == Some(0) {
        return wrong("idle must be at least 1 ms; 'none' waits for rows for as long as it takes");
    }
    if spec.settings.state_bytes == 0 {
        return wrong("state_bytes must be at least 1");
    }
    match (spec.settings.late, spec.late_schema.is_some()) {
        (LatePolicy::Keep, true) | (LatePolicy::Drop, false) => Ok(()),
        _ => wrong("late rows have columns if they are kept, and else none"),
    }
}
