//! Topics over windows: CREATE, EXPLAIN, pausing and beginning anew.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use datafusion::sql::sqlparser::ast::ObjectName;
use millstream_engine::{
    ContinuousPlan, ContinuousSettings, ContinuousSpec, ContinuousStart, ContinuousStatus, Error as EngineError,
    LatePolicy, TableInfo,
};

use super::define::writable;
use super::groups::micros;
use super::topics::source_table;
use super::{Scene, done};
use crate::continuous::{self, ContinuousDefinition, Over};
use crate::listing::{duration, missing, start};
use crate::names::Name;
use crate::parse::{CreateTopic, OptionValue, Options, parse_definition};
use crate::topic::{explain_schema, schema_at};
use crate::types::to_sql;
use crate::{Error, Outcome, Result};

const OPTIONS: [&str; 4] = ["late", "idle", "start", "state_bytes"];

pub(super) fn create_topic(scene: &Scene, create: &CreateTopic) -> Result<Outcome> {
    let name = writable(scene, &create.name)?;
    let settings = settings(create.options.clone())?;
    let (definition, table) = plan(scene, &name, create, settings.late)?;
    let ContinuousDefinition { text, plan, output_time, plugins, functions } = definition;
    let spec = ContinuousSpec {
        namespace: name.namespace.clone(),
        name: name.name.clone(),
        sources: vec![table.name.clone()],
        definition: text,
        plugins,
        functions,
        output_schema: Arc::clone(plan.output_schema()),
        output_time,
        late_schema: plan.late_schema().cloned(),
        fingerprint: plan.fingerprint().to_owned(),
        settings,
    };
    match scene.engine().create_continuous_topic(scene.who(), spec) {
        Err(EngineError::AlreadyExists { .. }) if create.if_not_exists && scene.reader.continuous(&name)?.is_some() => {
            done(format!("topic {:?} was there", name.name))
        }
        Err(error) => Err(error.into()),
        Ok(_) => done(format!("topic {:?} created", name.name)),
    }
}

fn plan(
    scene: &Scene,
    name: &Name,
    create: &CreateTopic,
    late: LatePolicy,
) -> Result<(ContinuousDefinition, Arc<TableInfo>)> {
    let source = continuous::source_of(&create.definition, &scene.reader.state)?;
    let table = source_table(scene, name, &source)?;
    let over = Over {
        table: table.id,
        schema: table.schema(),
        time_column: table.options.time_column.as_deref(),
        late,
        begins_us: None,
    };
    let callables = scene.reader.callables(&name.namespace);
    let definition = continuous::define(&create.definition, over, &callables, &scene.reader.state)?;
    Ok((definition, table))
}

fn settings(mut options: Options) -> Result<ContinuousSettings> {
    let mut settings = ContinuousSettings::default();
    let invalid = |message: String| Err(Error::Invalid { message, position: None });
    settings.late = match options.text("late")?.as_deref() {
        None | Some("keep") => LatePolicy::Keep,
        Some("drop") => LatePolicy::Drop,
        Some(other) => return invalid(format!("late is 'keep' or 'drop', not {other:?}")),
    };
    match options.take("idle") {
        Some((OptionValue::Text(text), _)) if text == "none" => settings.idle_ms = None,
        Some((value, position)) => {
            options.put_back("idle", value, position);
            settings.idle_ms = options.duration_ms("idle")?;
        }
        None => {}
    }
    settings.start = match options.text("start")?.as_deref() {
        None | Some("earliest") => ContinuousStart::Earliest,
        Some("latest") => ContinuousStart::Latest,
        Some(time) => match micros(time) {
            Ok(us) => ContinuousStart::At(us),
            Err(_) => return invalid(format!("start is 'earliest', 'latest' or a timestamp, not {time:?}")),
        },
    };
    if let Some(bytes) = options.bytes("state_bytes")? {
        settings.state_bytes = bytes;
    }
    options.finish("CREATE TOPIC over windows", &OPTIONS)?;
    Ok(settings)
}

pub(super) fn explain_create_topic(scene: &Scene, create: &CreateTopic) -> Result<RecordBatch> {
    let name = writable(scene, &create.name)?;
    let settings = settings(create.options.clone())?;
    let (definition, table) = plan(scene, &name, create, settings.late)?;
    explain(&definition, &table, table.schema_version(), &settings)
}

pub(super) fn explain_topic(scene: &Scene, status: &ContinuousStatus) -> Result<RecordBatch> {
    let (info, engine) = (&status.info, scene.engine());
    let ([source], [version]) = (info.sources.as_slice(), info.source_versions.as_slice()) else {
        return Err(Error::Internal(format!("continuous topic {:?} reads {} tables", info.name, info.sources.len())));
    };
    let table = engine.table_by_id(scene.who(), *source)?;
    let over = Over {
        table: table.id,
        schema: schema_at(&table, *version)?,
        time_column: table.options.time_column.as_deref(),
        late: info.settings.late,
        begins_us: continuous::begins_us(info.settings.start),
    };
    let callables = scene.reader.callables(&info.namespace);
    let definition = continuous::define(&parse_definition(&info.definition)?, over, &callables, &scene.reader.state)?;
    explain(&definition, &table, *version, &info.settings)
}

/// One row for each item.
fn explain(
    definition: &ContinuousDefinition,
    table: &TableInfo,
    version: u32,
    settings: &ContinuousSettings,
) -> Result<RecordBatch> {
    let plan = &definition.plan;
    let time = table.options.time_column.as_deref().unwrap_or("_append_ts");
    let late = match settings.late {
        LatePolicy::Keep => "kept in the table of the topic's name with $late",
        LatePolicy::Drop => "counted",
    };
    let idle = match settings.idle_ms {
        Some(ms) => format!("after {} without rows the watermark goes on with the clock", duration(ms)),
        None => "the watermark waits for rows".to_owned(),
    };
    let mut rows = vec![
        ("source", format!("table {}.{}, schema version {version}", table.namespace, table.name)),
        ("watermark", format!("of {time}, {} ms behind the newest row; {idle}", table.options.watermark_delay_ms)),
        ("windows", plan.windows()),
        ("rows as they come", plan.below()),
        ("state", plan.state()),
        ("state limit", format!("{} bytes", settings.state_bytes)),
        ("emits", "each window once, when it closes".to_owned()),
        ("late rows", late.to_owned()),
        ("start", start(settings)),
    ];
    rows.extend(plan.at_close().lines().map(|line| ("at close", line.to_owned())));
    rows.extend(plan.output_schema().fields().iter().map(|field| ("output", column(field))));
    let (items, values): (Vec<&str>, Vec<String>) = rows.into_iter().unzip();
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(StringArray::from(items)), Arc::new(StringArray::from(values))];
    RecordBatch::try_new(explain_schema(), columns).map_err(|error| Error::Internal(error.to_string()))
}

fn column(field: &Field) -> String {
    let data_type: &DataType = field.data_type();
    let null = if field.is_nullable() { "" } else { " NOT NULL" };
    format!("{} {}{null}", field.name(), to_sql(data_type))
}

pub(super) fn pause_topic(scene: &Scene, name: &ObjectName, paused: bool) -> Result<Outcome> {
    let name = writable(scene, name)?;
    let (who, namespace) = (scene.who(), name.namespace.as_str());
    match paused {
        true => scene.engine().pause_continuous_topic(who, namespace, &name.name)?,
        false => scene.engine().resume_continuous_topic(who, namespace, &name.name)?,
    };
    done(format!("topic {:?} {}", name.name, if paused { "paused" } else { "goes on" }))
}

pub(super) fn rebuild_topic(scene: &Scene, name: &ObjectName) -> Result<Outcome> {
    let name = writable(scene, name)?;
    if scene.reader.continuous(&name)?.is_none() {
        return match scene.reader.relation(&name)? {
            None => Err(missing("topic", &name)),
            Some(_) => {
                let message = format!(
                    "{:?} is no topic over windows, and has nothing to rebuild; RELOAD TOPIC plans it anew",
                    name.name
                );
                Err(Error::Unsupported { message, position: None })
            }
        };
    }
    scene.engine().rebuild_continuous_topic(scene.who(), &name.namespace, &name.name)?;
    done(format!("topic {:?} begins anew with what is retained", name.name))
}
