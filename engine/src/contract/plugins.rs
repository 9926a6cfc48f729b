//! What users define of plugins: modules with what they say of themselves and what they are granted, and SQL functions
//! made of them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use crate::contract::{ConsumerOutput, PluginSuspension, Volatility};
use crate::lookups::TableUse;
use crate::model::{FunctionId, Lsn, PluginId, Principal, TableId};

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PluginKind {
    /// Columns in, a selection bitmap out.
    Filter,
    /// Columns in, one column out.
    Function,
    /// Rows in, rows of another schema out.
    Transform,
    /// Rows in; rows for tables, state and a verdict out.
    Consumer,
    /// Half messages in, a verdict for each out.
    Checkback,
}

impl PluginKind {
    /// As SQL shows it.
    pub fn name(self) -> &'static str {
        match self {
            PluginKind::Filter => "filter",
            PluginKind::Function => "function",
            PluginKind::Transform => "transform",
            PluginKind::Consumer => "consumer",
            PluginKind::Checkback => "checkback",
        }
    }
}

/// Something beside its arguments that a plugin may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// The time.
    Clock,
    /// Random numbers.
    Random,
    /// Key-value state of its own; consumers have it.
    State,
    /// Rows of tables by key; consumers and checkback handlers have it. Tables are granted one by one.
    Table,
    /// Requests over HTTP; consumers and checkback handlers have it. Hosts are granted one by one.
    Http,
}

impl Capability {
    /// Every capability that `WITH (grant = '…')` grants.
    pub const ALL: [Capability; 3] = [Capability::Clock, Capability::Random, Capability::State];

    /// As users know it.
    pub fn name(self) -> &'static str {
        match self {
            Capability::Clock => "clock",
            Capability::Random => "random",
            Capability::State => "state",
            Capability::Table => "table",
            Capability::Http => "http",
        }
    }

    /// True for what is granted with a name, by an option of its own, and not by `WITH (grant = '…')`.
    pub fn is_granted_by_name(self) -> bool {
        !Capability::ALL.contains(&self)
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Limits of one plugin, from `CREATE PLUGIN … WITH (…)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginLimits {
    /// Linear memory and tables of one instance.
    pub memory_bytes: u64,
    /// Wall time of one call.
    pub call_timeout_ms: u64,
    /// Instances that may run at once.
    pub concurrency: u32,
    /// What one call may answer with.
    #[serde(default = "default_output_bytes")]
    pub output_bytes: u64,
    /// What the indexes of the tables that it reads may have together, over all instances.
    #[serde(default = "default_lookup_bytes")]
    pub lookup_bytes: u64,
    /// Thousandths of one core that its calls may take, averaged over seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_milli: Option<u32>,
    /// Log lines a second, over all calls.
    #[serde(default = "default_log_rate")]
    pub log_rate: u32,
}

fn default_output_bytes() -> u64 {
    16 << 20
}

fn default_lookup_bytes() -> u64 {
    64 << 20
}

fn default_log_rate() -> u32 {
    1_000
}

impl Default for PluginLimits {
    fn default() -> Self {
        PluginLimits {
            memory_bytes: 64 << 20,
            call_timeout_ms: 1_000,
            concurrency: 4,
            output_bytes: default_output_bytes(),
            lookup_bytes: default_lookup_bytes(),
            cpu_milli: None,
            log_rate: default_log_rate(),
        }
    }
}

/// What a module says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginDescription {
    /// What it calls itself; `PluginInfo::name` is what the catalog calls it.
    pub name: String,
    pub kind: PluginKind,
    /// The contract it was built against, such as `millstream:plugin@0.1.0`.
    pub contract: String,
    pub parameters: Vec<(String, DataType)>,
    /// Boolean for a filter; for a transform a Struct of the columns that come out, which may depend on the
    /// configuration; Null for a consumer and a checkback handler.
    pub returns: DataType,
    pub volatility: Volatility,
    /// What it asks for.
    #[serde(default)]
    pub capabilities: BTreeSet<Capability>,
    /// What a consumer writes; empty for the others.
    #[serde(default)]
    pub outputs: Vec<ConsumerOutput>,
    /// The tables that it reads by key.
    #[serde(default)]
    pub tables: Vec<TableUse>,
    /// The hosts that it sends requests to, `api.example.com` or `api.example.com:8443`; `*` for those that the operator
    /// names.
    #[serde(default)]
    pub http_hosts: Vec<String>,
}

/// A plugin to load.
#[derive(Debug, Clone)]
pub struct PluginSpec {
    pub namespace: String,
    pub name: String,
    pub module: Arc<[u8]>,
    pub settings: PluginSettings,
}

/// What an operator decides about a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PluginSettings {
    pub limits: PluginLimits,
    /// Text handed to the guest at open: `WITH (config = '…')`.
    pub config: String,
    /// What it may use: `WITH (grant = '…')`.
    pub grants: BTreeSet<Capability>,
    /// The tables that it may read, by what it calls them: `WITH (table.NAME = '…')`.
    pub tables: Vec<(String, String)>,
    /// The hosts that it may send requests to: `WITH (http = '…')`.
    pub http_hosts: Vec<String>,
}

/// A loaded plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    pub id: PluginId,
    pub namespace: String,
    pub name: String,
    pub version: u32,
    /// SHA-256 of the module, lower-case hex; the module lies in `plugins/<sha256>.wasm` of the data directory.
    pub sha256: String,
    pub module_bytes: u64,
    pub description: PluginDescription,
    pub limits: PluginLimits,
    pub config: String,
    #[serde(default)]
    pub grants: BTreeSet<Capability>,
    /// Why it is not called, from the host's noticing on until it is resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<PluginSuspension>,
    /// A table for each of [`PluginDescription::tables`].
    #[serde(default)]
    pub tables: Vec<TableId>,
    /// The hosts that it may send requests to.
    #[serde(default)]
    pub http_hosts: Vec<String>,
    /// Who created its first version.
    #[serde(default = "Principal::anonymous")]
    pub owner: Principal,
    pub created: Lsn,
}

/// A function to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSpec {
    pub namespace: String,
    pub name: String,
    /// Names and types; the types are the plugin's.
    pub parameters: Vec<(String, DataType)>,
    pub returns: DataType,
    /// The name of a filter or function plugin of the same namespace.
    pub plugin: String,
}

/// A function as the catalog has it. Queries call the plugin's newest version through it, topics the one that they
/// record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionInfo {
    pub id: FunctionId,
    pub namespace: String,
    pub name: String,
    pub parameters: Vec<(String, DataType)>,
    pub returns: DataType,
    pub plugin: String,
    /// Who created it.
    #[serde(default = "Principal::anonymous")]
    pub owner: Principal,
    pub created: Lsn,
}

impl FunctionInfo {
    /// Why a plugin that says this of itself can't stand behind the function; `None` if it can.
    pub fn misfit(&self, plugin: &PluginDescription) -> Option<String> {
        match plugin.kind {
            PluginKind::Filter | PluginKind::Function => {}
            PluginKind::Transform => return Some("it is a transform, which gives rows and not a value".to_owned()),
            PluginKind::Consumer => return Some("it is a consumer, which gives no value".to_owned()),
            PluginKind::Checkback => return Some("it is a checkback handler, which gives no value".to_owned()),
        }
        let types = |parameters: &[(String, DataType)]| {
            let types: Vec<String> = parameters.iter().map(|(_, data_type)| data_type.to_string()).collect();
            types.join(", ")
        };
        let (declared, offered) = (types(&self.parameters), types(&plugin.parameters));
        if declared != offered {
            return Some(format!("it takes ({offered}), and the function ({declared})"));
        }
        if self.returns != plugin.returns {
            return Some(format!("it returns {}, and the function {}", plugin.returns, self.returns));
        }
        None
    }
}
