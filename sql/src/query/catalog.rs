//! The engine's catalog as DataFusion sees it: catalog `millstream`, a schema for each namespace, and `system`.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result as DfResult;
use datafusion::execution::SessionState;
use millstream_engine::{
    ContinuousStatus, Engine, Error as EngineError, LoadedPlugin, PluginInfo, Principal, TableInfo, TopicInfo,
};

use super::information_schema::InformationSchema;
use super::stream_table::StreamTable;
use crate::convert::into_datafusion;
use crate::names::{CATALOG, INFORMATION_SCHEMA, Name, SYSTEM};
use crate::plugin::{Callables, Plugin, Transform};
use crate::shares::Shares;
use crate::system;
use crate::topic::{TopicPlan, plan_of};
use crate::{Result, SqlOptions};

/// Reads the engine on behalf of one principal. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) engine: Engine,
    pub(crate) who: Principal,
    /// DataFusion without tables.
    pub(crate) state: Arc<SessionState>,
    /// Where what blocks is called.
    pub(crate) shares: Arc<Shares>,
    pub(crate) options: Arc<SqlOptions>,
}

/// What a name stands for.
pub(crate) enum Relation {
    Table(Arc<TableInfo>),
    Topic(Arc<TopicInfo>, Arc<TableInfo>),
}

impl Reader {
    /// The catalogs of one statement; `with_pseudo` if it names pseudo-columns.
    pub(super) fn catalogs(&self, with_pseudo: bool) -> Catalogs {
        Catalogs { reader: self.clone(), with_pseudo }
    }

    /// The table or topic of a name.
    pub(crate) fn relation(&self, name: &Name) -> Result<Option<Relation>> {
        if let Some(table) = found(self.engine.table(&self.who, &name.namespace, &name.name))? {
            return Ok(Some(Relation::Table(table)));
        }
        let Some(topic) = found(self.engine.topic(&self.who, &name.namespace, &name.name))? else { return Ok(None) };
        let table = self.engine.topic_source(&self.who, topic.id)?;
        Ok(Some(Relation::Topic(topic, table)))
    }

    /// The continuous topic of a name; its rows are those of the table of this name.
    pub(crate) fn continuous(&self, name: &Name) -> Result<Option<ContinuousStatus>> {
        let all = self.engine.continuous_topics(&self.who)?;
        Ok(all.into_iter().find(|status| status.info.namespace == name.namespace && status.info.name == name.name))
    }

    /// Refuses a topic's definition to whom its table is hidden: a topic shares rows, and not what they are taken from.
    pub(crate) fn check_definition(&self, topic: &TopicInfo) -> Result<()> {
        match permitted(self.engine.table_by_id(&self.who, topic.table))? {
            Some(_) => Ok(()),
            None => {
                let message =
                    format!("the definition of topic {:?} is told to whoever has rights on its table", topic.name);
                Err(EngineError::PermissionDenied(message).into())
            }
        }
    }

    /// Whether there is a table, topic or system table of a name.
    pub(crate) fn exists(&self, name: &Name) -> bool {
        match name.namespace.as_str() {
            SYSTEM if system::find(&name.name).is_some() => true,
            _ => matches!(self.relation(name), Ok(Some(_))),
        }
    }

    /// The pseudo-columns that a relation has beside its own.
    pub(crate) fn hidden(&self, name: &Name) -> Vec<&'static str> {
        let own = match self.relation(name) {
            Ok(Some(Relation::Table(table))) => Arc::clone(table.schema()),
            Ok(Some(Relation::Topic(topic, _))) => Arc::clone(&topic.output_schema),
            _ => return Vec::new(),
        };
        crate::pseudo::NAMES.into_iter().filter(|name| own.field_with_name(name).is_err()).collect()
    }

    /// What names in calls stand for in a namespace: newest versions.
    pub(crate) fn callables<'a>(&'a self, namespace: &'a str) -> Newest<'a> {
        Newest { reader: self, namespace }
    }

    /// The plan of a topic.
    pub(crate) fn topic_plan(&self, topic: &TopicInfo, table: &TableInfo) -> Result<TopicPlan> {
        plan_of(topic, table, &self.engine.topic_plugins(&self.who, topic)?, &self.state)
    }

    /// The plans of a topic's versions that answer for rows, the newest last.
    fn version_plans(&self, topic: &Arc<TopicInfo>, table: &TableInfo) -> Result<Vec<(u32, TopicPlan)>> {
        let versions = topic.earlier.iter().map(|earlier| earlier.version).chain([topic.version]);
        versions.map(|version| Ok((version, self.topic_plan(&topic.as_of(version), table)?))).collect()
    }

    fn provider(&self, name: &Name, with_pseudo: bool) -> Result<Option<Arc<dyn TableProvider>>> {
        Ok(Some(Arc::new(match self.relation(name)? {
            None => return Ok(None),
            Some(Relation::Table(table)) => StreamTable::of_table(self.clone(), table, with_pseudo),
            Some(Relation::Topic(topic, table)) => {
                let plans = self.version_plans(&topic, &table)?;
                StreamTable::of_topic(self.clone(), topic, plans, table, with_pseudo)
            }
        })))
    }

    /// Tables and topics of a namespace, sorted.
    fn names(&self, namespace: &str) -> Vec<String> {
        let tables = self.engine.tables(&self.who).unwrap_or_default();
        let topics = self.engine.topics(&self.who).unwrap_or_default();
        let tables = tables.iter().map(|table| (&table.namespace, &table.name));
        let topics = topics.iter().map(|topic| (&topic.namespace, &topic.name));
        let mut names: Vec<String> =
            tables.chain(topics).filter(|(found, _)| *found == namespace).map(|(_, name)| name.clone()).collect();
        names.sort_unstable();
        names
    }
}

/// The newest versions of what can be called in a namespace.
pub(crate) struct Newest<'a> {
    reader: &'a Reader,
    namespace: &'a str,
}

impl Newest<'_> {
    fn plugin(&self, name: &str) -> Result<Option<(Arc<PluginInfo>, LoadedPlugin)>> {
        let Reader { engine, who, .. } = self.reader;
        let Some(info) = found(engine.plugin(who, self.namespace, name))? else { return Ok(None) };
        let loaded = engine.load_plugin(who, info.id)?;
        Ok(Some((info, loaded)))
    }
}

impl Callables for Newest<'_> {
    fn function(&self, name: &str) -> Result<Option<Plugin>> {
        let Reader { engine, who, .. } = self.reader;
        if let Some(function) = found(engine.function(who, self.namespace, name))? {
            let plugin = self.plugin(&function.plugin)?;
            return plugin.map(|(info, loaded)| Plugin::through(&function, &info, &loaded)).transpose();
        }
        self.plugin(name)?.map(|(info, loaded)| Plugin::of(&info, &loaded)).transpose()
    }

    fn transform(&self, name: &str) -> Result<Option<Transform>> {
        self.plugin(name)?.map(|(info, loaded)| Transform::of(&info, &loaded)).transpose()
    }
}

/// `None` for what does not exist.
pub(crate) fn found<T>(answer: millstream_engine::Result<T>) -> Result<Option<T>> {
    match answer {
        Ok(thing) => Ok(Some(thing)),
        Err(EngineError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// `None` for what does not exist, and for what may be seen and no more.
pub(crate) fn permitted<T>(answer: millstream_engine::Result<T>) -> Result<Option<T>> {
    match answer {
        Err(EngineError::PermissionDenied(_)) => Ok(None),
        answer => found(answer),
    }
}

/// The list that holds the one catalog.
#[derive(Debug)]
pub(super) struct Catalogs {
    reader: Reader,
    with_pseudo: bool,
}

impl CatalogProviderList for Catalogs {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| {
            let catalog: Arc<dyn CatalogProvider> =
                Arc::new(Catalog { reader: self.reader.clone(), with_pseudo: self.with_pseudo });
            catalog
        })
    }
}

#[derive(Debug)]
struct Catalog {
    reader: Reader,
    with_pseudo: bool,
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        let mut names = self.reader.engine.namespaces(&self.reader.who).unwrap_or_default();
        names.push(SYSTEM.to_owned());
        names
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == INFORMATION_SCHEMA {
            let catalogs: Arc<dyn CatalogProviderList> = Arc::new(self.reader.catalogs(self.with_pseudo));
            return Some(Arc::new(InformationSchema::new(catalogs, self.reader.state.table_functions().clone())));
        }
        let namespace = Namespace { reader: self.reader.clone(), with_pseudo: self.with_pseudo, name: name.to_owned() };
        Some(Arc::new(namespace))
    }
}

#[derive(Debug)]
struct Namespace {
    reader: Reader,
    with_pseudo: bool,
    name: String,
}

#[async_trait]
impl SchemaProvider for Namespace {
    fn table_names(&self) -> Vec<String> {
        match self.name.as_str() {
            SYSTEM => {
                let mut names = self.reader.names(SYSTEM);
                names.extend(system::TABLES.iter().map(|table| table.name.to_owned()));
                names
            }
            namespace => self.reader.names(namespace),
        }
    }

    async fn table(&self, name: &str) -> DfResult<Option<Arc<dyn TableProvider>>> {
        if self.name == SYSTEM
            && let Some(table) = system::find(name)
        {
            return Ok(Some(system::provider(table, self.reader.clone())));
        }
        let name = Name { namespace: self.name.clone(), name: name.to_owned() };
        self.reader.provider(&name, self.with_pseudo).map_err(into_datafusion)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.reader.exists(&Name { namespace: self.name.clone(), name: name.to_owned() })
    }
}
