//! What a description may say.

use std::collections::BTreeSet;

use arrow_schema::DataType;
use millstream_engine::{
    Capability, ConsumerOutput, FailureKind, OperatorError, PluginDescription, PluginKind, TableUse, Volatility,
};

use super::Offer;
use super::checkback::WireCheckback;
use super::consumer::{WireConsumer, WireTable};
use super::sites::{ANY, MAX_SITES, Site};
use super::types::{KNOWN_TYPES, MAX_NAME, batch_schema, is_name, parse_type};
use super::wire::{
    WireCapability, WireFilter, WireFilterV1, WireFunction, WireParameter, WireTableUse, WireTransform, WireVolatility,
};
use crate::failure::{clip, failure};

const MAX_PARAMETERS: usize = 64;
const MAX_CAPABILITIES: usize = 64;
const MAX_OUTPUTS: usize = 16;
const MAX_TABLES: usize = 16;

/// What any kind says of itself; what a kind does not say has its only value.
#[derive(Debug)]
pub(crate) struct Description {
    name: String,
    parameters: Vec<WireParameter>,
    /// `None` where it is not the guest's to say.
    returns: Option<String>,
    volatility: WireVolatility,
    capabilities: Vec<WireCapability>,
    outputs: Vec<WireTable>,
}

impl From<WireFilterV1> for Description {
    fn from(WireFilterV1 { name, parameters, volatility }: WireFilterV1) -> Description {
        Description { name, parameters, returns: None, volatility, capabilities: Vec::new(), outputs: Vec::new() }
    }
}

impl From<WireFilter> for Description {
    fn from(WireFilter { name, parameters, volatility, capabilities }: WireFilter) -> Description {
        Description { name, parameters, returns: None, volatility, capabilities, outputs: Vec::new() }
    }
}

impl From<WireFunction> for Description {
    fn from(WireFunction { name, parameters, returns, volatility, capabilities }: WireFunction) -> Description {
        Description { name, parameters, returns: Some(returns), volatility, capabilities, outputs: Vec::new() }
    }
}

impl From<WireTransform> for Description {
    fn from(WireTransform { name, parameters, capabilities }: WireTransform) -> Description {
        let volatility = WireVolatility::Immutable;
        Description { name, parameters, returns: None, volatility, capabilities, outputs: Vec::new() }
    }
}

impl From<WireConsumer> for Description {
    fn from(WireConsumer { name, parameters, outputs, capabilities }: WireConsumer) -> Description {
        Description { name, parameters, returns: None, volatility: WireVolatility::Volatile, capabilities, outputs }
    }
}

impl From<WireCheckback> for Description {
    fn from(WireCheckback { name, parameters, capabilities }: WireCheckback) -> Description {
        let volatility = WireVolatility::Volatile;
        Description { name, parameters, returns: None, volatility, capabilities, outputs: Vec::new() }
    }
}

impl Description {
    /// Checks what a guest says of itself. `imported` is what the module can call; it must have asked for that.
    pub(crate) fn check(
        self,
        offer: &Offer,
        imported: &BTreeSet<Capability>,
    ) -> Result<PluginDescription, OperatorError> {
        if !is_name(&self.name) {
            return refuse(format!("its name {:?} is not a text of 1 to {MAX_NAME} bytes", clip(&self.name)));
        }
        let parameters = check_parameters("parameter", &self.parameters)?;
        let outputs = check_outputs(&self.outputs)?;
        let returns = match self.returns {
            None if offer.kind == PluginKind::Filter => DataType::Boolean,
            None => DataType::Null,
            Some(text) => parse_type(&text)
                .ok_or_else(|| bad(format!("it returns {:?}, which is no type; {KNOWN_TYPES}", clip(&text))))?,
        };
        let capabilities = check_capabilities(&self.capabilities, offer.kind)?;
        let tables = check_tables(&self.capabilities)?;
        let http_hosts = check_hosts(&self.capabilities)?;
        if let Some(import) = imported.difference(&capabilities).next() {
            return refuse(format!("it imports {import:?} without asking for it", import = import.name()));
        }
        let volatility = match self.volatility {
            WireVolatility::Volatile => Volatility::Volatile,
            WireVolatility::Immutable => match capabilities.first() {
                None => Volatility::Immutable,
                Some(capability) => {
                    return refuse(format!("it says that it is immutable, and asks for {:?}", capability.name()));
                }
            },
        };
        Ok(PluginDescription {
            name: self.name,
            kind: offer.kind,
            contract: offer.contract.to_owned(),
            parameters,
            returns,
            volatility,
            capabilities,
            outputs,
            tables,
            http_hosts,
        })
    }
}

/// `what` they are to be called.
fn check_parameters(what: &str, declared: &[WireParameter]) -> Result<Vec<(String, DataType)>, OperatorError> {
    if declared.len() > MAX_PARAMETERS {
        return refuse(format!("it declares {} {what}s, more than {MAX_PARAMETERS}", declared.len()));
    }
    let mut parameters: Vec<(String, DataType)> = Vec::with_capacity(declared.len());
    for WireParameter { name, data_type } in declared {
        if !is_name(name) {
            return refuse(format!("{what} name {:?} is not a text of 1 to {MAX_NAME} bytes", clip(name)));
        }
        if parameters.iter().any(|(other, _)| other == name) {
            return refuse(format!("{what} {name:?} is declared twice"));
        }
        let Some(parsed) = parse_type(data_type) else {
            return refuse(format!("{what} {name:?} has type {:?}; {KNOWN_TYPES}", clip(data_type)));
        };
        parameters.push((name.clone(), parsed));
    }
    Ok(parameters)
}

fn check_outputs(declared: &[WireTable]) -> Result<Vec<ConsumerOutput>, OperatorError> {
    if declared.len() > MAX_OUTPUTS {
        return refuse(format!("it declares {} outputs, more than {MAX_OUTPUTS}", declared.len()));
    }
    let mut outputs: Vec<ConsumerOutput> = Vec::with_capacity(declared.len());
    for WireTable { name, columns } in declared {
        if !is_name(name) {
            return refuse(format!("output name {:?} is not a text of 1 to {MAX_NAME} bytes", clip(name)));
        }
        if outputs.iter().any(|other| other.name == *name) {
            return refuse(format!("output {name:?} is declared twice"));
        }
        let columns = check_parameters("column", columns)?;
        if columns.is_empty() {
            return refuse(format!("output {name:?} has no columns"));
        }
        outputs.push(ConsumerOutput { name: name.clone(), schema: batch_schema(&columns) });
    }
    Ok(outputs)
}

fn check_tables(asked: &[WireCapability]) -> Result<Vec<TableUse>, OperatorError> {
    let mut tables: Vec<TableUse> = Vec::new();
    for capability in asked {
        let WireCapability::Table(WireTableUse { name, key, columns }) = capability else { continue };
        if !is_name(name) {
            return refuse(format!("table name {:?} is not a text of 1 to {MAX_NAME} bytes", clip(name)));
        }
        if tables.iter().any(|other| other.name == *name) {
            return refuse(format!("table {name:?} is declared twice"));
        }
        let (key, columns) = (check_parameters("key column", key)?, check_parameters("column", columns)?);
        if key.is_empty() || columns.is_empty() {
            return refuse(format!("table {name:?} is declared without key or columns"));
        }
        if let Some((float, _)) = key.iter().find(|(_, data_type)| data_type.is_floating()) {
            return refuse(format!("key column {float:?} of table {name:?} is a floating-point number"));
        }
        tables.push(TableUse { name: name.clone(), key: batch_schema(&key), columns: batch_schema(&columns) });
    }
    match tables.len() {
        0..=MAX_TABLES => Ok(tables),
        many => refuse(format!("it declares {many} tables, more than {MAX_TABLES}")),
    }
}

/// The hosts as [`Site`]s write them, so that they can be compared.
fn check_hosts(asked: &[WireCapability]) -> Result<Vec<String>, OperatorError> {
    let mut hosts: Vec<String> = Vec::new();
    for capability in asked {
        let WireCapability::Http(host) = capability else { continue };
        let site = if host == ANY { Ok(ANY.to_owned()) } else { host.parse().map(|site: Site| site.to_string()) };
        let site = site.map_err(|why| bad(format!("it sends requests to what is no host: {why}")))?;
        if hosts.contains(&site) {
            return refuse(format!("host {site:?} is declared twice"));
        }
        hosts.push(site);
    }
    match hosts.len() {
        0..=MAX_SITES => Ok(hosts),
        many => refuse(format!("it declares {many} hosts, more than {MAX_SITES}")),
    }
}

fn check_capabilities(asked: &[WireCapability], kind: PluginKind) -> Result<BTreeSet<Capability>, OperatorError> {
    if asked.len() > MAX_CAPABILITIES {
        return refuse(format!("it asks for {} capabilities, more than {MAX_CAPABILITIES}", asked.len()));
    }
    let not_offered =
        |what: String| refuse(format!("it asks for {what}, which this server gives to no plugin of its kind"));
    let mut capabilities = BTreeSet::new();
    for capability in asked {
        let known = match capability {
            WireCapability::Clock => Capability::Clock,
            WireCapability::Random => Capability::Random,
            WireCapability::State if kind == PluginKind::Consumer => Capability::State,
            WireCapability::State => return not_offered("state".to_owned()),
            WireCapability::Table(_) if matches!(kind, PluginKind::Consumer | PluginKind::Checkback) => {
                Capability::Table
            }
            WireCapability::Table(table) => return not_offered(format!("table {:?}", clip(&table.name))),
            WireCapability::Http(_) if matches!(kind, PluginKind::Consumer | PluginKind::Checkback) => Capability::Http,
            WireCapability::Http(host) => return not_offered(format!("requests to {:?}", clip(host))),
        };
        capabilities.insert(known);
    }
    Ok(capabilities)
}

fn bad(message: String) -> OperatorError {
    failure(FailureKind::BadOutput, message)
}

fn refuse<T>(message: String) -> Result<T, OperatorError> {
    Err(bad(message))
}

#[cfg(test)]
mod tests;
