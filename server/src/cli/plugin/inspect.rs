//! `millstream plugin inspect`.

use std::fmt::Write as _;
use std::path::Path;

use arrow::datatypes::{DataType, SchemaRef};
use millstream_engine::{PluginDescription, PluginHost as _, PluginKind, PluginLimits};
use millstream_plugin_host::{HostOptions, WasmHost};

use super::module::read;
use crate::cli::exit::Failure;
use crate::cli::output::say;

pub(super) fn run(file: &Path) -> Result<(), Failure> {
    let module = read(file)?;
    // A cache of its own: the server's belongs to the server.
    let cache = tempfile::tempdir().map_err(|error| Failure::failed(format!("cannot make a directory: {error}")))?;
    let host = WasmHost::new(HostOptions::new(cache.path())).map_err(Failure::failed)?;
    let about = host.inspect(&module, &PluginLimits::default());
    let about = about.map_err(|error| Failure::failed(format!("{}: {error}", file.display())))?;
    say(&described(&about, module.len()))
}

fn described(about: &PluginDescription, bytes: usize) -> String {
    let PluginDescription { kind, contract, volatility, .. } = about;
    let parameters = columns(about.parameters.iter().map(|(name, data_type)| (name, data_type)));
    let mut text = format!("kind        {kind:?}\ncontract    {contract}\nparameters  {parameters}\n");
    match kind {
        PluginKind::Consumer => {
            for output in &about.outputs {
                let fields = columns(output.schema.fields().iter().map(|field| (field.name(), field.data_type())));
                let _ = writeln!(text, "output      {}: {fields}", output.name);
            }
        }
        PluginKind::Checkback => {}
        _ => {
            let _ = writeln!(text, "returns     {}\nvolatility  {volatility:?}", about.returns);
        }
    }
    for used in &about.tables {
        let fields =
            |schema: &SchemaRef| columns(schema.fields().iter().map(|field| (field.name(), field.data_type())));
        let (key, found) = (fields(&used.key), fields(&used.columns));
        let _ = writeln!(
            text,
            "looks up    {found} by {key} in {name}, which --table {name}=TABLE gives it",
            name = used.name
        );
    }
    for host in &about.http_hosts {
        let _ = match host.as_str() {
            "*" => writeln!(text, "sends       requests to the hosts that --http of `plugin load` names"),
            host => writeln!(text, "sends       requests to {host}, which --http {host} allows it"),
        };
    }
    let asked = about.capabilities.iter().filter(|capability| !capability.is_granted_by_name());
    let asked: Vec<String> = asked.map(ToString::to_string).collect();
    if !asked.is_empty() {
        let _ = writeln!(text, "asks for    {}, which --grant of `plugin load` gives it", asked.join(", "));
    }
    let _ = writeln!(text, "bytes       {bytes}");
    text
}

fn columns<'a>(columns: impl Iterator<Item = (&'a String, &'a DataType)>) -> String {
    columns.map(|(name, data_type)| format!("{name} {data_type}")).collect::<Vec<_>>().join(", ")
}
