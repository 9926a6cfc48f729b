//! SHOW and DESCRIBE as queries over `system`, and the text of SHOW CREATE.

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use millstream_engine::{
    CheckbackInfo, CheckbackSettings, ContinuousInfo, ContinuousSettings, ContinuousStart, Durability, FunctionInfo,
    OnError, TableInfo, TableOptions, TopicInfo, TopicSource,
};
use std::sync::Arc;

use crate::names::{Name, SYSTEM, literal, quote, resolve};
use crate::parse::Show;
use crate::query::{Reader, Relation, VERSION, permitted};
use crate::types::to_sql;
use crate::{Error, Result, system};

/// How `on_error` is written.
pub(crate) fn on_error(policy: OnError) -> &'static str {
    match policy {
        OnError::Stop => "stop",
        OnError::Skip => "skip",
        OnError::DeadLetter => "dead_letter",
    }
}

/// The query that answers a listing; `None` for SHOW CREATE, which is answered by [`show_create`].
pub(crate) fn query_of(show: &Show, reader: &Reader, namespace: &str) -> Result<Option<String>> {
    let here = format!("WHERE namespace = {}", literal(namespace));
    Ok(Some(match show {
        Show::Namespaces => "SELECT * FROM system.namespaces ORDER BY name".to_owned(),
        Show::Tables => {
            format!("SELECT name, partitions, time_column, durability, rows FROM system.tables {here} ORDER BY name")
        }
        Show::Topics => format!(
            "SELECT name, table_name AS \"table\", version, on_error, definition FROM system.topics {here} ORDER BY name"
        ),
        Show::Plugins => format!(
            "SELECT name, version, kind, parameters, module_bytes, memory_bytes, timeout_ms, concurrency, \
             suspended \
             FROM system.plugins {here} ORDER BY name"
        ),
        Show::Groups => {
            format!(
                "SELECT group_id, mode, state, members, lag, max_attempts, retry_steps FROM system.consumer_groups {here} ORDER BY group_id"
            )
        }
        Show::Consumers => format!(
            "SELECT group_id, client_id, member_id, topics, partitions, joined_at FROM system.members {here} \
             ORDER BY group_id, client_id, member_id"
        ),
        Show::PluginConsumers => format!(
            "SELECT name, topic, plugin, plugin_version AS version, group_id, outputs, state, lag, rows_in, rows_out, error \
             FROM system.plugin_consumers {here} ORDER BY name"
        ),
        Show::Checkbacks => format!(
            "SELECT name, table_name AS \"table\", plugin, plugin_version AS version, asks, after_ms, every_ms, check_limit, \
             asked, committed, rolled_back, unknown, failed, error FROM system.checkbacks {here} ORDER BY name"
        ),
        Show::Subscriptions => format!(
            "SELECT o.group_id, o.topic, o.\"partition\", a.client_id, o.committed_offset, o.end_offset, o.lag \
             FROM system.offsets o LEFT JOIN system.assignments a ON o.namespace = a.namespace \
             AND o.group_id = a.group_id AND o.topic = a.topic AND o.\"partition\" = a.\"partition\" \
             WHERE o.namespace = {} ORDER BY o.group_id, o.topic, o.\"partition\"",
            literal(namespace)
        ),
        Show::Segments => format!(
            "SELECT table_name AS \"table\", \"partition\", first_offset, next_offset, bytes, path FROM system.segments \
             {here} ORDER BY 1, 2, 3"
        ),
        Show::Functions => format!(
            "SELECT DISTINCT routine_name AS name, function_type AS kind, description FROM information_schema.routines \
             WHERE left(routine_name, 2) <> '__' UNION ALL SELECT name, 'PLUGIN', concat('(', parameters, ') RETURNS ', returns, ' USING PLUGIN ', plugin) \
             FROM system.functions {here} ORDER BY name"
        ),
        Show::Users => "SELECT * FROM system.users ORDER BY name".to_owned(),
        Show::Roles => "SELECT * FROM system.roles ORDER BY name".to_owned(),
        Show::Tokens => "SELECT * FROM system.tokens ORDER BY user_name, name".to_owned(),
        Show::AccessKeys => "SELECT * FROM system.access_keys ORDER BY user_name, access_key".to_owned(),
        Show::Grants(of) => {
            let of = of.as_deref().unwrap_or_else(|| reader.who.name());
            let names: Vec<String> =
                reader.engine.roles_of(&reader.who, of)?.iter().map(|name| literal(name)).collect();
            format!(
                "SELECT grantee, rights, kind, namespace, name FROM system.grants WHERE grantee IN ({}) ORDER BY 1, 3, 4, 5",
                names.join(", ")
            )
        }
        Show::Describe(name) => {
            let name = resolve(name, namespace)?;
            if !reader.exists(&name) {
                return Err(missing("table or topic", &name));
            }
            format!(
                "SELECT column_name, data_type, nullable FROM system.columns WHERE namespace = {} AND relation = {} \
                 ORDER BY ordinal",
                literal(&name.namespace),
                literal(&name.name)
            )
        }
        Show::Setting(name) => {
            format!("SELECT {} AS {}", literal(&setting(name, namespace)), quote(name))
        }
        Show::CreateTable(_) | Show::CreateTopic(_) | Show::CreateFunction(_) | Show::CreateCheckback(_) => {
            return Ok(None);
        }
    }))
}

/// What a setting is. None of them can be set.
fn setting(name: &str, namespace: &str) -> String {
    match name {
        "server_version" => VERSION.to_owned(),
        "server_encoding" | "client_encoding" => "UTF8".to_owned(),
        "standard_conforming_strings" | "integer_datetimes" => "on".to_owned(),
        "datestyle" => "ISO, YMD".to_owned(),
        "timezone" => "UTC".to_owned(),
        "search_path" => quote(namespace),
        "default_transaction_read_only" => "off".to_owned(),
        "max_identifier_length" => "255".to_owned(),
        // A query sees what was durable when it began, and no transaction has two.
        _ => "read committed".to_owned(),
    }
}

/// The columns of SHOW CREATE.
pub(crate) fn show_create_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("name", DataType::Utf8, false),
        Field::new("statement", DataType::Utf8, false),
    ]))
}

/// Answers SHOW CREATE TABLE, TOPIC and FUNCTION.
pub(crate) fn show_create(show: &Show, reader: &Reader, namespace: &str) -> Result<RecordBatch> {
    let (name, text) = match show {
        Show::CreateTable(name) => {
            let name = resolve(name, namespace)?;
            match reader.relation(&name)? {
                Some(Relation::Table(table)) => (name, create_table(&table)),
                _ if name.namespace == SYSTEM && system::find(&name.name).is_some() => {
                    let message = format!("{name} is computed by the engine; DESCRIBE shows its columns");
                    return Err(Error::Unsupported { message, position: None });
                }
                _ => return Err(missing("table", &name)),
            }
        }
        Show::CreateTopic(name) => {
            let name = resolve(name, namespace)?;
            match (reader.continuous(&name)?, reader.relation(&name)?) {
                (Some(status), Some(_)) => {
                    let text = create_continuous(reader, &status.info)?;
                    (name, text)
                }
                (_, Some(Relation::Topic(topic, _))) => {
                    reader.check_definition(&topic)?;
                    (name, create_topic(&topic))
                }
                (_, Some(Relation::Table(table))) => {
                    let text =
                        format!("-- the identity topic of table {}: every row, every column", quote(&table.name));
                    (name, text)
                }
                (_, None) => return Err(missing("topic", &name)),
            }
        }
        Show::CreateFunction(name) => {
            let name = resolve(name, namespace)?;
            let function = reader.engine.function(&reader.who, &name.namespace, &name.name)?;
            (name, create_function(&function))
        }
        Show::CreateCheckback(name) => {
            let name = resolve(name, namespace)?;
            let checkback = reader.engine.checkback(&reader.who, &name.namespace, &name.name)?;
            let table = reader.engine.table_by_id(&reader.who, checkback.table)?;
            (name, create_checkback(&checkback, &table))
        }
        _ => return Err(Error::Internal("not a SHOW CREATE".to_owned())),
    };
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(StringArray::from(vec![name.name])), Arc::new(StringArray::from(vec![text]))];
    RecordBatch::try_new(show_create_schema(), columns).map_err(|error| Error::Internal(error.to_string()))
}

/// The error of a name that is not there.
pub(crate) fn missing(what: &'static str, name: &Name) -> Error {
    Error::Engine(millstream_engine::Error::NotFound { what, name: name.name.clone() })
}

fn create_table(table: &TableInfo) -> String {
    if let Some(kind) = table.options.messages {
        let options = TableOptions { partition_key: Vec::new(), ..table.options.clone() };
        let (name, kind) = (quote(&table.name), literal(kind.name()));
        return format!("CREATE TABLE {name} OF MESSAGES WITH (kind = {kind}, {})", with(&options));
    }
    let column = |field: &Arc<Field>| {
        let null = if field.is_nullable() { "" } else { " NOT NULL" };
        format!("{} {}{null}", quote(field.name()), to_sql(field.data_type()))
    };
    let columns: Vec<_> = table.schema().fields().iter().map(column).collect();
    format!("CREATE TABLE {} ({}) WITH ({})", quote(&table.name), columns.join(", "), with(&table.options))
}

fn with(options: &TableOptions) -> String {
    let mut entries = Vec::new();
    if let Some(column) = &options.time_column {
        entries.push(format!("time_column = {}", literal(column)));
    }
    entries.push(format!("partitions = {}", options.partitions));
    if !options.partition_key.is_empty() {
        let columns: Vec<_> = options.partition_key.iter().map(|column| quote(column)).collect();
        entries.push(format!("partition_key = ({})", columns.join(", ")));
    }
    entries.push(match options.retention_ms {
        Some(ms) => format!("retention = '{}'", duration(ms)),
        None => "retention = 'forever'".to_owned(),
    });
    if let Some(bytes) = options.retention_bytes {
        entries.push(format!("retention_bytes = {bytes}"));
    }
    entries.push(match options.durability {
        Durability::Sync => "durability = 'sync'".to_owned(),
        Durability::Os => "durability = 'os'".to_owned(),
    });
    let usual = TableOptions::default();
    if options.watermark_delay_ms != usual.watermark_delay_ms {
        entries.push(format!("watermark_delay = '{}'", duration(options.watermark_delay_ms)));
    }
    if options.max_lead_ms != usual.max_lead_ms {
        entries.push(format!("max_lead = '{}'", duration(options.max_lead_ms)));
    }
    entries.join(", ")
}

pub(crate) fn duration(ms: u64) -> String {
    for (unit, size) in [("days", 86_400_000), ("hours", 3_600_000), ("minutes", 60_000), ("seconds", 1_000)] {
        if ms >= size && ms.is_multiple_of(size) {
            return format!("{} {unit}", ms / size);
        }
    }
    format!("{ms} ms")
}

fn create_topic(topic: &TopicInfo) -> String {
    let definition = match &topic.source {
        TopicSource::Identity => String::new(),
        TopicSource::Select { definition, .. } => definition.clone(),
    };
    let with = match topic.on_error {
        OnError::Stop => String::new(),
        policy => format!(" WITH (on_error = '{}')", on_error(policy)),
    };
    format!("CREATE TOPIC {}{with} AS {definition}", quote(&topic.name))
}

fn create_continuous(reader: &Reader, info: &ContinuousInfo) -> Result<String> {
    for source in &info.sources {
        if permitted(reader.engine.table_by_id(&reader.who, *source))?.is_none() {
            let message = format!("the definition of topic {:?} is told to whoever has rights on its table", info.name);
            return Err(millstream_engine::Error::PermissionDenied(message).into());
        }
    }
    let settings = shown(&info.settings);
    let with = if settings.is_empty() { String::new() } else { format!(" WITH ({})", settings.join(", ")) };
    Ok(format!("CREATE TOPIC {}{with} AS {}", quote(&info.name), info.definition))
}

/// The settings of a topic over windows that are not the usual ones, as they are written.
fn shown(settings: &ContinuousSettings) -> Vec<String> {
    let usual = ContinuousSettings::default();
    let mut shown = Vec::new();
    if settings.late != usual.late {
        shown.push("late = 'drop'".to_owned());
    }
    if settings.idle_ms != usual.idle_ms {
        shown.push(format!("idle = '{}'", idle(settings)));
    }
    if settings.start != usual.start {
        shown.push(format!("start = {}", literal(&start(settings))));
    }
    if settings.state_bytes != usual.state_bytes {
        shown.push(format!("state_bytes = {}", settings.state_bytes));
    }
    shown
}

fn idle(settings: &ContinuousSettings) -> String {
    settings.idle_ms.map_or_else(|| "none".to_owned(), duration)
}

/// How `start` is written.
pub(crate) fn start(settings: &ContinuousSettings) -> String {
    match settings.start {
        ContinuousStart::Earliest => "earliest".to_owned(),
        ContinuousStart::Latest => "latest".to_owned(),
        ContinuousStart::At(us) => chrono::DateTime::from_timestamp_micros(us)
            .map_or_else(|| us.to_string(), |time| time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
    }
}

fn create_checkback(checkback: &CheckbackInfo, table: &TableInfo) -> String {
    let CheckbackSettings { order, after_ms, every_ms, limit } = checkback.settings;
    format!(
        "CREATE CHECKBACK {} ON {} USING PLUGIN {} WITH (order = '{}', after = {after_ms}, every = {every_ms}, limit = {limit})",
        quote(&checkback.name),
        quote(&table.name),
        quote(&checkback.plugin),
        order.name()
    )
}

fn create_function(function: &FunctionInfo) -> String {
    let parameter = |(name, data_type): &(String, DataType)| format!("{} {}", quote(name), to_sql(data_type));
    let parameters: Vec<_> = function.parameters.iter().map(parameter).collect();
    format!(
        "CREATE FUNCTION {}({}) RETURNS {} USING PLUGIN {}",
        quote(&function.name),
        parameters.join(", "),
        to_sql(&function.returns),
        quote(&function.plugin)
    )
}
