//! The room's front: one per engine.

use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::execution::SessionState;
use millstream_engine::{
    BatchOperator, ContinuousInfo, ContinuousPlan, Engine, Error as EngineError, Principal, TableInfo, TopicCompiler,
    TopicInfo, TopicPlugins,
};
use parking_lot::RwLock;

use crate::query::{Reader, base_state, runtime};
use crate::run::Scene;
use crate::selector::{Filters, MessageFilter, PropertyNames};
use crate::threads::{Threads, planning};
use crate::{Error, Result, SqlOptions, SqlSession, continuous, names, system, topic, values};

/// SQL over one engine. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqlEngine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    engine: Engine,
    options: Arc<SqlOptions>,
    state: Arc<SessionState>,
    threads: Threads,
    filters: Filters,
}

impl SqlEngine {
    /// Sets up queries over `engine`, starts the threads that run them, and becomes the engine's topic compiler. The threads
    /// end with the last clone; queries that still run are broken off.
    pub fn new(engine: Engine, options: SqlOptions) -> Result<SqlEngine> {
        let threads = Threads::start(options.threads)?;
        let runtime = runtime(&options)?;
        let state = Arc::new(planning(|| base_state(&options, runtime)));
        engine.set_topic_compiler(Arc::new(Compiler { state: Arc::clone(&state) }));
        let (options, filters) = (Arc::new(options), Filters::default());
        Ok(SqlEngine { inner: Arc::new(Inner { engine, options, state, threads, filters }) })
    }

    /// The engine beneath.
    pub fn engine(&self) -> &Engine {
        &self.inner.engine
    }

    /// Starts a session. The namespace need not exist yet.
    pub fn session(&self, who: Principal, namespace: &str) -> SqlSession {
        SqlSession { sql: self.clone(), who, namespace: Arc::new(RwLock::new(namespace.to_owned())) }
    }

    /// The filter of a condition over messages' properties, with the plugins of a namespace. `names` are those of properties that
    /// have columns of their own. It is compiled once, and anew when a plugin that it calls has another version.
    pub fn message_filter(
        &self,
        who: &Principal,
        namespace: &str,
        expression: &str,
        names: PropertyNames,
    ) -> Result<Arc<MessageFilter>> {
        let reader = self.scene(who, namespace.to_owned()).reader;
        self.inner.filters.get(namespace, expression, names, &reader.callables(namespace))
    }

    /// The name of the one catalog.
    pub fn catalog_name() -> &'static str {
        names::CATALOG
    }

    /// The name of the schema that [`Self::system_tables`] are in.
    pub fn system_namespace() -> &'static str {
        names::SYSTEM
    }

    /// Names and schemas of the tables in the namespace `system`, by name.
    pub fn system_tables() -> Vec<(&'static str, SchemaRef)> {
        system::TABLES.iter().map(|table| (table.name, table.schema())).collect()
    }

    /// The scalar, aggregate, window and table functions that queries can call, sorted.
    pub fn function_names(&self) -> Vec<String> {
        let state = &self.inner.state;
        let mut names: Vec<String> = state
            .scalar_functions()
            .keys()
            .chain(state.aggregate_functions().keys())
            .chain(state.window_functions().keys())
            .chain(state.table_functions().keys())
            .filter(|name| !name.starts_with("__"))
            .cloned()
            .chain([crate::poll::NAME.to_owned()])
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    pub(crate) fn threads(&self) -> &Threads {
        &self.inner.threads
    }

    pub(crate) fn scene(&self, who: &Principal, namespace: String) -> Scene {
        let inner = &self.inner;
        let (state, shares) = (Arc::clone(&inner.state), Arc::clone(inner.threads.shares()));
        let options = Arc::clone(&inner.options);
        let reader = Reader { engine: inner.engine.clone(), who: who.clone(), state, shares, options };
        Scene { reader, namespace }
    }
}

/// What the engine holds of this room. It holds no engine: that would keep the store open for ever.
#[derive(Debug)]
struct Compiler {
    state: Arc<SessionState>,
}

impl TopicCompiler for Compiler {
    fn compile(
        &self,
        topic: &TopicInfo,
        table: &TableInfo,
        plugins: &TopicPlugins,
    ) -> millstream_engine::Result<Arc<dyn BatchOperator>> {
        // The engine calls from whatever thread reads the topic first.
        planning(|| topic::compile_topic(topic, table, plugins, &self.state))
            .map_err(|error| unplanned(&topic.name, error))
    }

    fn compile_continuous(
        &self,
        info: &ContinuousInfo,
        sources: &[Arc<TableInfo>],
        plugins: &TopicPlugins,
    ) -> millstream_engine::Result<Arc<dyn ContinuousPlan>> {
        let compiled = planning(|| continuous::compile(info, sources, plugins, &self.state));
        Ok(Arc::new(compiled.map_err(|error| unplanned(&info.name, error))?))
    }

    fn try_cast(&self, values: &ArrayRef, to: &DataType) -> millstream_engine::Result<ArrayRef> {
        values::convert(values, to, true).map_err(|error| EngineError::InvalidInput(error.to_string()))
    }
}

fn unplanned(topic: &str, error: Error) -> EngineError {
    match error {
        Error::Engine(error) => error,
        other => EngineError::Internal(format!("topic {topic:?} does not compile any more: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::{Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};

    use super::*;

    #[test]
    fn the_engine_reads_texts_as_sql_does() {
        let options = SqlOptions::default();
        let state = base_state(&options, runtime(&options).unwrap());
        let compiler = Compiler { state: Arc::new(state) };
        let cast = |texts: &[&str], to: DataType| {
            let texts: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
            compiler.try_cast(&texts, &to).unwrap()
        };
        let doubles = cast(&["1e400", "-Infinity", "0.5", "much"], DataType::Float64);
        let doubles: Vec<_> = doubles.as_primitive::<Float64Type>().iter().collect();
        assert_eq!(doubles, [None, Some(f64::NEG_INFINITY), Some(0.5), None]);
        let integers = cast(&["7", "1.5", "9223372036854775808"], DataType::Int64);
        assert_eq!(integers.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(7), None, None]);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let times = cast(&["1970-01-01 00:01", "1970-01-01T00:00:00.000002Z", "soon"], utc.clone());
        let times: &TimestampMicrosecondArray = times.as_primitive::<TimestampMicrosecondType>();
        assert_eq!(
            (times.data_type(), times.iter().collect::<Vec<_>>()),
            (&utc, vec![Some(60_000_000), Some(2), None])
        );
    }
}
