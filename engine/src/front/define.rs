//! Namespaces and tables.

use std::sync::Arc;

use arrow_schema::Field;

use super::names::{
    check_name, check_namespace, check_namespace_limits, check_namespace_of_users, check_options, check_partitions,
};
use crate::access::{Action, Object, ObjectKind};
use crate::front::Engine;
use crate::model::Principal;
use crate::model::types::{normalize_columns, normalize_schema};
use crate::model::{
    ColumnSpec, Error, Lsn, NamespaceLimitChanges, NamespaceLimits, Offset, Result, SYSTEM_NAMESPACE, TableId,
    TableInfo, TableSpec, TopicId, message_key,
};
use crate::state::Change;

/// Versions that a table's schema may have; columns can be added several at a time.
const MAX_SCHEMA_VERSIONS: u32 = 1_024;

impl Engine {
    /// Values of limits that are `None` are left out. Quotas take the right to operate the namespace.
    pub fn create_namespace(&self, who: &Principal, name: &str, limits: &NamespaceLimitChanges) -> Result<()> {
        self.session(who)?.limited_namespace(name, limits)?;
        check_namespace(name)?;
        check_namespace_limits(limits)?;
        let set = NamespaceLimits::default().with(limits);
        self.record(who, vec![Change::NamespaceCreated { name: name.to_owned(), limits: set }]).map(drop)
    }

    /// Changes limits of a namespace, at once for what runs; those that are not named stay as they are. Quotas take the right to operate
    /// the namespace: who may define all that is in it is to be held to them.
    pub fn limit_namespace(&self, who: &Principal, name: &str, limits: NamespaceLimitChanges) -> Result<()> {
        self.session(who)?.limited_namespace(name, &limits)?;
        check_namespace_of_users(name)?;
        check_namespace_limits(&limits)?;
        self.record(who, vec![Change::NamespaceLimited { name: name.to_owned(), limits }]).map(drop)
    }

    /// Refused while it holds anything.
    pub fn drop_namespace(&self, who: &Principal, name: &str) -> Result<()> {
        let session = self.session(who)?;
        session.namespace(Action::Define, name)?;
        check_namespace_of_users(name)?;
        session.veiled(name, self.record(who, vec![Change::NamespaceDropped { name: name.to_owned() }]).map(drop))
    }

    /// In name order.
    pub fn namespaces(&self, who: &Principal) -> Result<Vec<String>> {
        let session = self.session(who)?;
        let all: Vec<String> = self
            .rooms
            .ledger
            .state
            .read()
            .catalog()
            .namespaces()
            .map(|name| name.as_ref().to_owned())
            .filter(|name| name != SYSTEM_NAMESPACE)
            .collect();
        Ok(session.allowed_of(Action::See, all, |name| Object::namespace(name)))
    }

    /// The limits that hold for a namespace: its own, and the server's defaults where it has none.
    pub fn namespace_limits(&self, who: &Principal, name: &str) -> Result<NamespaceLimits> {
        self.session(who)?.namespace(Action::See, name)?;
        Ok(self.rooms.plugins.namespace_limits(name))
    }

    /// Creates a table and, with it, its identity topic.
    pub fn create_table(&self, who: &Principal, spec: TableSpec) -> Result<Arc<TableInfo>> {
        self.session(who)?.create(ObjectKind::Table, &spec.namespace, &spec.name)?;
        let info = table_info(spec, who)?;
        let (namespace, name, partitions) = (info.namespace.clone(), info.name.clone(), info.options.partitions);
        let record = || self.record(who, vec![Change::TableCreated(info)]);
        let lsn = self.with_room_for_topics(who, (&namespace, "table", &name), (1, partitions), record)?;
        self.rooms.ledger.table(TableId(lsn.0))
    }

    /// Creates a table in the place of the one that has its name, which is dropped in the same submission: readers see the
    /// one or the other, and the old one stays if the new one can't be. Refused where [`Engine::drop_table`] is.
    pub fn replace_table(&self, who: &Principal, spec: TableSpec) -> Result<Arc<TableInfo>> {
        let session = self.session(who)?;
        let info = table_info(spec, who)?;
        self.check_quota_of_partitions(&info.namespace, info.options.partitions)?;
        let defined = self.define(|engine| {
            let old = session.table(Action::Define, &info.namespace, &info.name)?;
            engine.refuse_members("table", &old.name, TopicId(old.id.0))?;
            // The new table's record is the last one, and its LSN is the submission's.
            match engine.record(who, vec![Change::TableDropped { table: old.id }, Change::TableCreated(info.clone())]) {
                Err(Error::NotFound { what: "table", .. }) => {
                    Err(Error::Busy("the table was dropped meanwhile".to_owned()))
                }
                recorded => Ok((TopicId(old.id.0), recorded?)),
            }
        });
        let (dropped, lsn) = session.veiled(&info.namespace, defined)?;
        self.forget(&[dropped]);
        self.rooms.ledger.table(TableId(lsn.0))
    }

    /// Adds nullable columns at the end: a new schema version.
    pub fn add_columns(
        &self,
        who: &Principal,
        namespace: &str,
        name: &str,
        columns: Vec<ColumnSpec>,
    ) -> Result<Arc<TableInfo>> {
        let table = self.session(who)?.table(Action::Define, namespace, name)?;
        if columns.is_empty() {
            return Ok(table);
        }
        if table.options.messages.is_some() {
            return Err(Error::FailedPrecondition(format!("the columns of message table {name:?} are fixed")));
        }
        if table.schema_version() >= MAX_SCHEMA_VERSIONS {
            return Err(Error::FailedPrecondition(format!(
                "table {name:?} has had {MAX_SCHEMA_VERSIONS} schema versions, which is the limit; create a new table"
            )));
        }
        let columns: Vec<Field> = columns.into_iter().map(Field::from).collect();
        let fields = normalize_columns(table.schema().fields(), columns.iter())?;
        self.record(who, vec![Change::ColumnsAdded { table: table.id, fields }])?;
        self.rooms.ledger.table(table.id)
    }

    /// Raises the number of partitions.
    pub fn set_partitions(
        &self,
        who: &Principal,
        namespace: &str,
        name: &str,
        partitions: u32,
    ) -> Result<Arc<TableInfo>> {
        let session = self.session(who)?;
        check_partitions(partitions)?;
        let table = session.table(Action::Define, namespace, name)?;
        if table.options.partitions == partitions {
            return Ok(table);
        }
        self.check_quota_of_partitions(namespace, partitions)?;
        self.record(who, vec![Change::PartitionsAdded { table: table.id, partitions }])?;
        self.rooms.ledger.table(table.id)
    }

    /// Refused while topics read it, a group has members on it or a plugin consumes or writes it; `force` drops those topics
    /// and ends those members too, but no plugin's consumer.
    pub fn drop_table(&self, who: &Principal, namespace: &str, name: &str, force: bool) -> Result<()> {
        let session = self.session(who)?;
        let dropped = session.veiled(
            namespace,
            self.define(|engine| {
                let table = session.table(Action::Define, namespace, name)?;
                engine.refuse_continuous_table(&table)?;
                if !force {
                    engine.refuse_members("table", &table.name, TopicId(table.id.0))?;
                    engine.record(who, vec![Change::TableDropped { table: table.id }])?;
                    return Ok(vec![TopicId(table.id.0)]);
                }
                let drops = engine.drops_of_table(table.id);
                engine.refuse_consumers(&drops)?;
                engine.drop_all(who, Vec::new(), drops)
            }),
        )?;
        self.forget(&dropped);
        Ok(())
    }

    pub fn table(&self, who: &Principal, namespace: &str, name: &str) -> Result<Arc<TableInfo>> {
        self.session(who)?.table(Action::See, namespace, name)
    }

    pub fn table_by_id(&self, who: &Principal, id: TableId) -> Result<Arc<TableInfo>> {
        self.session(who)?.table_by_id(Action::See, id)
    }

    /// All tables of all namespaces, by namespace and name.
    pub fn tables(&self, who: &Principal) -> Result<Vec<Arc<TableInfo>>> {
        let session = self.session(who)?;
        let all: Vec<_> = self.rooms.ledger.state.read().catalog().tables().cloned().collect();
        let mut tables = session.allowed_of(Action::See, all, |table| table.as_ref().into());
        tables.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        Ok(tables)
    }

    /// (start, end) offsets of every partition, in order.
    pub fn table_offsets(&self, who: &Principal, id: TableId) -> Result<Vec<(Offset, Offset)>> {
        self.offsets_of(self.session(who)?.table_by_id(Action::Follow, id)?.id)
    }

    pub(super) fn offsets_of(&self, id: TableId) -> Result<Vec<(Offset, Offset)>> {
        let state = self.rooms.ledger.state.read();
        let partitions = state.catalog().partitions(id);
        let partitions = partitions.ok_or_else(|| Error::gone("table"))?;
        Ok(partitions.iter().map(|partition| (partition.start, partition.end)).collect())
    }

    /// Refuses a drop or change under the members of groups.
    pub(super) fn refuse_members(&self, what: &'static str, name: &str, topic: TopicId) -> Result<()> {
        let Some(group) = self.rooms.delivery.member_on(topic) else { return Ok(()) };
        Err(Error::InUse { what, name: name.to_owned(), by: format!("members of consumer group {group:?}") })
    }
}

/// A table as its definition has it, checked; without an id.
pub(super) fn table_info(spec: TableSpec, owner: &Principal) -> Result<TableInfo> {
    check_namespace(&spec.namespace)?;
    check_name("table", &spec.name)?;
    let schema = normalize_schema(&spec.schema)?;
    check_options(&spec.options, &schema)?;
    let TableSpec { namespace, name, mut options, .. } = spec;
    if options.messages.is_some() {
        options.partition_key = vec![message_key()];
    }
    let owner = owner.clone();
    Ok(TableInfo { id: TableId(0), namespace, name, schemas: vec![schema], options, owner, created: Lsn(0) })
}
